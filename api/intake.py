"""Where the worker takes chunks from: JetStream of a NATS broker, or a durable session at a plain MQTT broker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from ingest import jetstream, mqtt, read_broker_url, tls_of

from . import wiring
from .embedded import open_folder
from .settings import Settings


async def take(
    settings: Settings,
    handle: jetstream.Handle,
    stop: asyncio.Event,
    note: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Feeds batches to ``handle`` until ``stop``. ``note`` writes the log; ``say`` keeps what is waited for, empty when
    chunks flow. Raises NotConfigured, and OSError where the file of `broker_ca` cannot be read."""
    if settings.broker_url is None:
        raise wiring.NotConfigured("no broker is configured: set ROADCODE_BROKER_URL, or run `roadcode up`")
    text = settings.broker_url.get_secret_value()
    url = read_broker_url(text)
    tls = tls_of(url, settings.broker_ca)

    def noted(why: str) -> None:
        note(why)
        say(why)

    def well() -> None:
        say("")

    if url.plain:
        # Secret: who connects with it and a clean session destroys what waits in the worker's. It stays the same, or
        # each start would leave a session behind that fills the broker's disk.
        client_id = open_folder(settings.home).secret("mqtt-session")[:40]
        await mqtt.subscribe(
            url, handle, stop, noted, settings.batch_most, settings.batch_age_s, client_id=client_id, tls=tls, well=well
        )
    else:
        ended = threading.Event()

        async def forward() -> None:
            await stop.wait()
            ended.set()

        forwarding = asyncio.create_task(forward())
        try:
            await asyncio.to_thread(
                jetstream.pull, text, handle, ended, noted, settings.batch_most, settings.batch_age_s, tls=tls,
                well=well,
            )  # fmt: skip
        finally:
            ended.set()
            forwarding.cancel()
