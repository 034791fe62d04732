"""Services that are not ours to start: are they there, of a version that we can use, and do they let us in?"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import nats.aio.client
import nats.errors
import nats.js.errors
import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from ingest import BrokerUrl, jetstream, mqtt, read_broker_url, tls_of
from ledger import AnchorRefused, Chain, ChainAway, WrongContract

from .settings import Settings

POSTGRES_LEAST = 18
"""RETURNING old (how a chunk's key tells whether it was there) came with it."""
NATS_LEAST = (2, 10)
"""The layout of its store of MQTT messages, which the worker reads, is that of 2.10; tests pin the embedded version."""
_WITHIN_S = 5


class OutsideError(RuntimeError):
    """A service that a setting names is away, too old, or does not let us in; the text says which and what to do."""


def check_database(url: str) -> str:
    """What the database says of itself. Raises OutsideError."""
    try:
        with psycopg.connect(url, connect_timeout=_WITHIN_S) as conn:
            version = conn.info.server_version
    except psycopg.ProgrammingError:  # its text would repeat the address, and with it the password
        raise OutsideError(
            "ROADCODE_DATABASE_URL is no address of PostgreSQL: postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None
    except psycopg.Error as error:
        raise OutsideError(
            f"the database of ROADCODE_DATABASE_URL does not let us in ({' '.join(str(error).split())[:300]})"
        ) from None
    if version < POSTGRES_LEAST * 10_000:
        raise OutsideError(
            f"the database of ROADCODE_DATABASE_URL is PostgreSQL {version // 10_000}; {POSTGRES_LEAST} or newer is "
            "needed: upgrade it, or unset the setting to use the embedded one"
        )
    return f"PostgreSQL {version // 10_000}.{version % 10_000}"


def check_broker(settings: Settings) -> str:
    """What the broker says of itself; on NATS, after its store of MQTT messages and our consumer are there. Whether a
    plain broker takes the worker's password is for the worker to tell: who asks with it would throw the worker out.

    Raises OutsideError.
    """
    url = _broker_url(settings)
    try:
        if url.plain:
            version = asyncio.run(mqtt.ask(url, tls_of(url, settings.broker_ca)))
            return f"MQTT {'5' if version == int(paho.MQTTv5) else '3.1.1'} at {url.shown}"
        return asyncio.run(_check_nats(settings, url))
    except (OSError, TimeoutError, nats.errors.Error) as error:
        said = str(error) or type(error).__name__
        raise OutsideError(f"the broker of ROADCODE_BROKER_URL ({url.shown}) cannot be used: {said[:300]}") from None


async def _check_nats(settings: Settings, url: BrokerUrl) -> str:
    async def quiet(_error: Exception) -> None:
        """What matters is raised by the call itself."""

    secret = settings.broker_url.get_secret_value() if settings.broker_url else ""
    tls = tls_of(url, settings.broker_ca)
    client = nats.aio.client.Client()  # made before it connects, so that one that is turned away is closed, too
    try:
        await client.connect(secret, allow_reconnect=False, connect_timeout=_WITHIN_S, tls=tls, error_cb=quiet)
        version = client.connected_server_version
        if (version.major, version.minor) < NATS_LEAST:
            raise OutsideError(
                f"the broker at {url.shown} is NATS {version.major}.{version.minor}; 2.10 or newer is needed, with "
                "JetStream and MQTT switched on"
            )
        context = client.jetstream(timeout=_WITHIN_S)
        try:
            await context.stream_info(jetstream.STREAM)
        except nats.js.errors.NotFoundError:
            if not settings.mqtt_port:
                raise OutsideError(
                    f"no device has ever connected to {url.shown} by MQTT, and where they would is not said: set "
                    "ROADCODE_MQTT_HOST and ROADCODE_MQTT_PORT"
                ) from None
            await asyncio.to_thread(_connect_once, settings, url)  # the server makes it for the first MQTT client
        await jetstream.ensure_consumer(context)
        return f"NATS {version.major}.{version.minor}.{version.patch} at {url.shown}"
    except nats.js.errors.ServiceUnavailableError:
        raise OutsideError(f"the broker at {url.shown} has no JetStream: switch it on, MQTT needs it, too") from None
    finally:
        await client.close()


def _connect_once(settings: Settings, url: BrokerUrl) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=paho.MQTTv311)
    client.username_pw_set(url.user, url.password)
    if tls := tls_of(url, settings.broker_ca):
        client.tls_set_context(tls)
    client.connect(settings.mqtt_host, settings.mqtt_port)
    for _ in range(100):
        client.loop(0.1)
        if client.is_connected():
            break
    client.disconnect()
    client.loop(0.1)


def reach_broker(settings: Settings) -> None:
    """Whether the broker answers now, for /healthz. Raises OSError."""
    url = _broker_url(settings)
    if url.plain:
        asyncio.run(mqtt.ask(url, tls_of(url, settings.broker_ca)))
        return
    with socket.create_connection((url.host, url.port), timeout=3) as one:
        one.settimeout(3)
        if not one.recv(4).startswith(b"INFO"):  # NATS greets before it asks who is there
            raise ConnectionError(f"{url.shown} does not greet as NATS does")


def check_chain(chain: Chain, admin_key: Path) -> str:
    """What the chain says of itself. admin_key: of the account that deploys the contract. Raises OutsideError."""
    try:
        said = str(chain.kind())
    except (ChainAway, AnchorRefused) as error:
        raise OutsideError(f"the chain of ROADCODE_RPC_URL cannot be used: {str(error)[:300]}") from None
    if not admin_key.exists() and not _let_in(chain):
        raise OutsideError(
            "an outside chain needs the key of an account that may deploy the contract: put it, in hexadecimal and for "
            f"your eyes only (0600), into {admin_key.parent.parent / 'secrets' / 'chain-admin'}"
        )
    return said


def _let_in(chain: Chain) -> bool:
    """Whether the contract is there and the anchorer may anchor: then the admin's key may be kept offline."""
    try:
        return chain.may_anchor()
    except (ChainAway, AnchorRefused, WrongContract):
        return False


def _broker_url(settings: Settings) -> BrokerUrl:
    if settings.broker_url is None:
        raise OutsideError("no broker is configured: set ROADCODE_BROKER_URL, or run `roadcode up`")
    return read_broker_url(settings.broker_url.get_secret_value())


def shown(settings: Settings) -> dict[str, str]:
    """The outside services that settings name, by what they are, without users and passwords."""
    said: dict[str, str] = {}
    if settings.database_url:
        said["database"] = "PostgreSQL"
        with contextlib.suppress(psycopg.Error):
            parts = psycopg.conninfo.conninfo_to_dict(settings.database_url.get_secret_value())
            said["database"] = f"{parts.get('host') or 'local'}:{parts.get('port') or 5432}"
    if settings.broker_url:
        said["broker"] = read_broker_url(settings.broker_url.get_secret_value()).shown
    if settings.rpc_url:
        said["chain"] = "JSON-RPC"
    return said
