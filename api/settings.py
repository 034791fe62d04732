"""The settings in force. This is the only reader of the environment; everything else gets frozen options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest import City, CityFileError, read_broker_url, read_city
from ledger import MERGE_DELAY_S

_ROOT = Path(__file__).resolve().parent.parent
_BESIDE = _ROOT.parent / "shared" / "data"


class Settings(BaseSettings):
    """Every setting is an environment variable ROADCODE_<NAME>; `roadcode settings` prints what is in force."""

    model_config = SettingsConfigDict(
        env_prefix="ROADCODE_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    home: Path = Field(default=_ROOT / "var", description="the one data folder; nothing is written outside it")
    city: Path = Field(default=_ROOT / "city.toml", description="the city file")
    recordings: Path | None = Field(
        default_factory=lambda: _BESIDE if _BESIDE.is_dir() else None,
        description="folder of real drives, for demo and tests; shared/data beside the project where there is one",
    )

    host: str = Field(default="127.0.0.1", description="where the map is served; anything else is open to the network")
    port: int = Field(default=8420, ge=0, le=65535, description="port of the map; the next free one where taken")
    api_token: SecretStr | None = Field(default=None, description="required of clients where host is not loopback")

    tls_cert: Path | None = Field(default=None, description="certificate (PEM, with its chain) of map and broker")
    tls_key: Path | None = Field(default=None, description="its key (PEM), readable by the platform alone")
    tls_ca: Path | None = Field(default=None, description="CA that devices check it by; their machine's own if not set")

    database_url: SecretStr | None = Field(default=None, description="PostgreSQL; the embedded one where not set")
    broker_url: SecretStr | None = Field(
        default=None,
        description="broker of the worker: nats, tls, mqtt or mqtts://USER:PASSWORD@HOST:PORT; the embedded one where "
        "not set",
    )
    broker_ca: Path | None = Field(
        default=None, description="whose certificates are believed of a tls or mqtts broker (PEM); else the system's"
    )
    mqtt_listen: str = Field(
        default="127.0.0.1",
        description="HOST or HOST:PORT where the embedded broker lets devices in; open to the network only with TLS",
    )
    mqtt_host: str = Field(default="127.0.0.1", description="name by which devices find the broker, for credentials")
    mqtt_port: int = Field(default=0, ge=0, le=65535, description="port of MQTT; 0 takes that of the broker")
    broker_monitor: SecretStr | None = Field(default=None, description="http address of the broker's monitor")
    rpc_url: SecretStr | None = Field(default=None, description="JSON-RPC of a chain; the embedded one where not set")

    hub_url: str | None = Field(
        default=None, pattern=r"^https?://", max_length=500,
        description="hub whose trust lists this instance takes; where not set it trusts its own keys alone",
    )  # fmt: skip
    hub_key: str | None = Field(
        default=None, description="the hub's public key, 64 hex digits, once its fingerprint was compared"
    )

    enrolment: Literal["off", "invitation", "open"] = Field(
        default="invitation", description="how phones enrol themselves: not, with a code of `device invite`, or freely"
    )
    enrolments_per_hour: float = Field(default=600.0, gt=0, description="phones that may enrol themselves in an hour")
    device_burst: float = Field(
        default=36_000.0, ge=1,
        description="chunks (of 64 KiB) a device may send at once: 48 h of 5 s chunks, after a time without network",
    )  # fmt: skip
    device_per_minute: float = Field(default=600.0, gt=0, description="chunks a minute a device may send after that")

    anchor_every_s: float = Field(default=5.0, ge=0, description="time between anchors on the chain")
    witnesses: Path | None = Field(
        default=None,
        description="policy file (C2SP tlog-policy) of the witnesses of the log: who they are, where they answer, how "
        "many must sign; `roadcode witness --help`",
    )
    witness_every_s: float = Field(
        default=10.0, ge=0.2, le=3600,
        description="time between askings of the witnesses; each head that three of them sign is 1 kB of database",
    )  # fmt: skip
    merge_delay_s: int = Field(
        default=MERGE_DELAY_S, ge=5, le=86_400,
        description="what a receipt promises: seconds until its record is under a signed checkpoint of the log",
    )  # fmt: skip
    chain_confirmations: int = Field(
        default=0, ge=0, le=1000,
        description="blocks on top of an anchor's before it is called final; 0 for the embedded chain, 1 for QBFT, 12 "
        "for a public one",
    )  # fmt: skip
    public_contributors: int = Field(
        default=3, ge=3, le=63,
        description="different phones that must have felt something in a square on a day before it is told of",
    )
    fold_every_s: float = Field(default=1.0, gt=0, le=60, description="how often the coder looks for new evidence")
    fold_quiet_s: float = Field(
        default=0.0, ge=0, le=60,
        description="how long evidence may wait of blocks where nothing was found; 10 to 60 from about 1,000 vehicles "
        "on, so that one fold takes many passes",
    )  # fmt: skip
    batch_most: int = Field(default=256, ge=1, le=5000, description="chunks in a worker's batch at the most")
    batch_age_s: float = Field(default=0.2, gt=0, le=5, description="how long a batch waits to fill")

    keep_raw_days: float = Field(
        default=30.0, ge=2, description="days that boxes' raw chunks are kept after their day: a month, to look again "
        "at a case or to try another model; citizens' go at the end of their day, whatever this says"
    )
    keep_leaves_days: int = Field(
        default=400, ge=30, description="days that the salted hashes of a day's chunks are kept, by which a chunk is "
        "traced to what it caused when it has gone: a year and a month, for a yearly audit; 32 bytes a chunk and block"
    )
    archive: Path | None = Field(
        default=None, description="folder of `roadcode archive`; where set, raw chunks go only once they are in it"
    )
    keep_every_s: float = Field(default=60.0, gt=0, le=3600, description="how often the keeper looks what must go")

    @field_validator("broker_url")
    @classmethod
    def _names_a_broker(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            read_broker_url(url.get_secret_value())
        return url

    @field_validator("hub_key")
    @classmethod
    def _is_a_key(cls, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(r"[0-9a-f]{64}", text):
            raise ValueError("the hub's key is 64 hex digits, as `roadcode hub list` prints it")
        return text

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
