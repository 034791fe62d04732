"""A guarded platform: TLS on map and broker, a token on the map, phones may enrol themselves, a small budget each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from api.platform import running
from api.settings import Settings
from api.tls import self_signed

from .fort import TOKEN, Fort


@pytest.fixture(scope="session")
def fort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fort]:
    """The platform; only the pumps that stand at the door run."""
    home = tmp_path_factory.mktemp("fort")
    files = self_signed(home, ["localhost", "127.0.0.1", "127.0.0.2"], datetime.now(UTC))
    settings = Settings(
        home=home, port=0, api_token=SecretStr(TOKEN), enrolment="open", device_burst=40, device_per_minute=600,
        # Not where everything else listens: as an address of the network would not be.
        mqtt_listen="127.0.0.2", mqtt_host="127.0.0.2", **files,
    )  # fmt: skip
    with running(settings, ("worker", "web")) as platform:
        yield Fort(platform, settings.read_city(), files["tls_ca"])
