"""The settings in force. This is the only reader of the environment; everything else gets frozen options."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest import City, CityFileError, read_city

_ROOT = Path(__file__).resolve().parent.parent
_BESIDE = _ROOT.parent / "shared" / "data"


class Settings(BaseSettings):
    """Every setting is an environment variable ROADCODE_<NAME>; `roadcode settings` prints what is in force."""

    model_config = SettingsConfigDict(env_prefix="ROADCODE_", env_ignore_empty=True, extra="ignore", frozen=True)

    home: Path = Field(default=_ROOT / "var", description="the one data folder; nothing is written outside it")
    city: Path = Field(default=_ROOT / "city.toml", description="the city file")
    recordings: Path | None = Field(
        default_factory=lambda: _BESIDE if _BESIDE.is_dir() else None,
        description="folder of real drives, for demo and tests; shared/data beside the project where there is one",
    )

    host: str = Field(default="127.0.0.1", description="where the map is served; anything else is open to the network")
    port: int = Field(default=8420, ge=0, le=65535, description="port of the map; the next free one where taken")
    api_token: SecretStr | None = Field(default=None, description="required of clients where host is not loopback")

    database_url: SecretStr | None = Field(default=None, description="PostgreSQL; the embedded one where not set")
    nats_url: SecretStr | None = Field(default=None, description="NATS of the worker; the embedded one where not set")
    mqtt_host: str = Field(default="127.0.0.1", description="where devices connect by MQTT")
    mqtt_port: int = Field(default=0, ge=0, le=65535, description="port of MQTT; 0 takes the embedded broker's")
    broker_monitor: str | None = Field(default=None, description="http address of the broker's monitor")
    rpc_url: SecretStr | None = Field(default=None, description="JSON-RPC of a chain; the embedded one where not set")

    anchor_every_s: float = Field(default=5.0, ge=0, description="time between anchors on the chain")
    public_contributors: int = Field(
        default=3, ge=3, le=63,
        description="different phones that must have felt something in a square on a day before it is told of",
    )
    fold_every_s: float = Field(default=1.0, gt=0, le=60, description="how often the coder looks for new evidence")
    batch_most: int = Field(default=256, ge=1, le=5000, description="chunks in a worker's batch at the most")
    batch_age_s: float = Field(default=0.2, gt=0, le=5, description="how long a batch waits to fill")

    def read_city(self) -> City:
        """The city of the city file. Raises CityFileError."""
        try:
            text = self.city.read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = f"{type(error).__name__}: {self.city}"
            raise CityFileError(f"the city file cannot be read ({why}): mend ROADCODE_CITY, or unset it") from None
        return read_city(text)

    def masked(self) -> dict[str, str]:
        """Every setting as text, secrets as stars."""
        return {name: "" if (value := getattr(self, name)) is None else str(value) for name in type(self).model_fields}
