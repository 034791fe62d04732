"""The whole platform as one thing that starts, is watched, and stops: services, schema, pumps, simulated fleet."""

from __future__ import annotations

import json
import random
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest import Credential

from . import heartbeat, wiring
from .embedded import (
    Broker,
    EmbeddedServices,
    PumpCommand,
    PumpOptions,
    Pumps,
    ServiceError,
    environment_of,
    open_folder,
    supervising,
    this_certificate,
)
from .enrolment import enrol, users
from .erasure import erase_asked
from .migrate import migrate
from .settings import Settings
from .tls import listen

PUMPS = (*heartbeat.PUMPS, "web")
_READY_S = 60.0


class NotReady(RuntimeError):
    """The platform did not come up in time; the text says what to read."""


@dataclass
class Platform:
    """A running platform. settings: with every address filled in."""

    settings: Settings
    services: EmbeddedServices
    pumps: Pumps

    @property
    def url(self) -> str:
        """Where the map is."""
        scheme = "https" if self.settings.tls_cert else "http"
        return f"{scheme}://{self.settings.host}:{self.settings.port}"

    def enrol(self, devices: Sequence[tuple[str, str]], group: str) -> tuple[Path, list[Credential]]:
        """Enrols devices (name, kind); gives the folder of their credentials and the credentials."""
        return enrol_here(self.settings, devices, group)

    def look(self) -> list[str]:
        """Restarts what died, once; names what was restarted. Call every second or so."""
        restarted: list[str] = []
        try:
            self.services.watch(restarted.append)
        except ServiceError as error:
            restarted.append(f"(not yet: {error})")
        return restarted + self.pumps.look()

    def health(self) -> dict[str, str]:
        """What /healthz says of the parts; empty where the web does not answer."""
        try:
            with self._opener().open(f"{self.url}/healthz", timeout=5) as answer:
                parts: dict[str, str] = json.load(answer)["parts"]
        except urllib.error.HTTPError as error:
            parts = json.load(error)["parts"]
        except (OSError, ValueError, KeyError):
            return {}
        return parts

    def _opener(self) -> urllib.request.OpenerDirector:
        # Our own address on this machine: a proxy of the user's environment must not be asked for it.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.settings.tls_cert:
            handlers.append(urllib.request.HTTPSHandler(context=this_certificate(self.settings.tls_cert)))
        return urllib.request.build_opener(*handlers)


def enrol_here(
    settings: Settings, devices: Sequence[tuple[str, str]], group: str, told: Callable[[int], None] = lambda _n: None
) -> tuple[Path, list[Credential]]:
    """Enrols devices at the platform of a data folder, from any process that may read it."""
    folder = settings.home.resolve() / "devices" / group
    broker = Broker(open_folder(settings.home))
    with wiring.database(settings) as conn:
        origins = settings.read_city().origins
        return folder, enrol(conn, broker, folder, devices, wiring.address(settings), origins, told)


def _free_port(host: str, wanted: int) -> int:
    """The wanted port or one of the next twenty, else any."""
    for port in [*range(wanted, wanted + 20), 0] if wanted else [0]:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((host, port))
            except OSError:
                continue
            return int(one.getsockname()[1])
    raise NotReady(f"no port is free on {host}")


def pump_command(name: str, settings: Settings, arguments: Sequence[str] = ()) -> PumpCommand:
    """One of our own processes; its settings, secrets among them, go by environment."""
    command = (sys.executable, "-m", "api.cli", name, *arguments)
    return PumpCommand(name, command, environment_of(wiring.environment(settings)))


@contextmanager
def running(settings: Settings, pumps: Sequence[str] = PUMPS) -> Iterator[Platform]:
    """A platform that runs while the context lasts, and leaves no process behind.

    What settings say is outside is used and not started. Raises FolderInUse, ServiceError, OutsideError,
    MigrationChanged, NotReady, CityFileError.
    """
    settings.read_city()
    wiring.check_exposure(settings)
    with supervising(settings.home, listen=listen(settings), names=wiring.embedded_names(settings)) as services:
        full = wiring.resolved(settings, services.services())
        wiring.check_outside(full, settings)
        full = full.model_copy(update={"port": _free_port(full.host, full.port)})
        with wiring.database(full) as conn:
            migrate(conn)
            erase_asked(conn)
            # Who was shut out while the broker was down, or in the moment of a crash, stays out.
            services.broker.refresh(lambda: users(conn))
        processes = Pumps(
            [pump_command(name, full) for name in pumps], services.folder.logs, PumpOptions(), random.SystemRandom()
        )
        platform = Platform(full, services, processes)
        try:
            processes.start()
            if "web" in pumps:
                _wait_ready(platform)
            yield platform
        finally:
            processes.stop()


def _wait_ready(platform: Platform) -> None:
    end_s = time.monotonic() + _READY_S
    while not platform.health():
        if time.monotonic() > end_s:
            log = platform.services.folder.logs / "web.log"
            raise NotReady(f"the map did not answer within {_READY_S:.0f} s; {log} says why")
        time.sleep(0.1)
