"""Which broker the worker takes chunks from: one address with its user and password inside, read in one place."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

PORTS: Final = {"nats": 4222, "tls": 4222, "mqtt": 1883, "mqtts": 8883}
"""Schemes that are understood, and the port that each means where the address names none."""


class BrokerUrlError(ValueError):
    """An address that names no broker of ours; the text says what it should look like, never the address itself,
    since a password may stand in it."""


@dataclass(frozen=True)
class BrokerUrl:
    """A broker's address. scheme: nats or tls for NATS with JetStream, mqtt or mqtts for any other MQTT broker."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def plain(self) -> bool:
        """Whether it is a plain MQTT broker, without JetStream."""
        return self.scheme.startswith("mqtt")

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.scheme in ("tls", "mqtts")

    @property
    def shown(self) -> str:
        """Without user and password, so that it may be logged."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def read_broker_url(text: str) -> BrokerUrl:
    """The broker of an address such as mqtt://user:password@host:1883. Raises BrokerUrlError."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BrokerUrlError(f"the broker's address cannot be read ({_without(text, error)})") from None
    if parts.scheme not in PORTS or not host or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise BrokerUrlError(
            f"a broker's address is SCHEME://USER:PASSWORD@HOST:PORT with SCHEME one of {', '.join(PORTS)}; "
            "special characters of user and password as %XX"
        )
    return BrokerUrl(
        parts.scheme, host, port or PORTS[parts.scheme], unquote(parts.username or ""), unquote(parts.password or "")
    )


def _without(secret: str, error: ValueError) -> str:
    """An error's text, unless it quotes the address, which may hold the password."""
    said = str(error)
    return type(error).__name__ if any(part in said for part in secret.split(":") if len(part) > 3) else said


def tls_of(url: BrokerUrl, authority: Path | None) -> ssl.SSLContext | None:
    """The context to connect with; None where the address asks for no TLS. authority: whose certificates are believed
    (a PEM file); the system's where None. Certificates and names are always checked. Raises OSError, ssl.SSLError."""
    return ssl.create_default_context(cafile=authority) if url.encrypted else None
