"""Database, broker and chain of one data folder, side by side: start or reuse, keep alive, stop.

They outlive a platform that was killed, and the next one uses them again: nothing is lost and nothing starts twice.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .broker import Broker, BrokerAddress, Listen
from .chain import ChainNode
from .folder import PORT_NAMES, DataFolder, choose_port, open_folder, port_is_free, supervised
from .postgres import Postgres
from .processes import Process, ServiceError, bound_log

LOG_BYTES = 5_000_000
PORTS_OF = {"postgres": ("postgres",), "nats": Broker.ports, "chain": ("chain",)}
ALL = tuple(PORTS_OF)


@dataclass(frozen=True)
class Services:
    """Where the services are; None for one that is not ours. Addresses of database and chain hold secrets: not for logs
    nor arguments."""

    database_url: str | None = field(repr=False)
    broker: BrokerAddress | None
    rpc_url: str | None = field(repr=False)


class EmbeddedServices:
    """The services of a data folder. Whoever makes one must hold `supervised(folder)`, as `embedded` does.

    names: which of the three are ours; the others are somebody else's, outside. listen: where devices come in.
    """

    def __init__(self, home: Path, *, listen: Listen | None = None, names: Sequence[str] = ALL) -> None:
        self.names = tuple(names)
        self.folder: DataFolder = open_folder(home)
        self.postgres = Postgres(self.folder)
        self.broker = Broker(self.folder, listen)
        self.chain = ChainNode(self.folder)
        self._rng = random.SystemRandom()
        self._ports: dict[str, int] = {}

    def start(self) -> Services:
        """Start what does not run, side by side; ServiceError says what to do if one cannot be started."""
        self._ports = self._choose_ports()
        self.folder.remember_ports(self._ports)
        with ThreadPoolExecutor(len(PORTS_OF)) as pool:
            results = [pool.submit(self._start_one, name) for name in self.names]
        failed = [error for result in results if (error := result.exception()) is not None]
        if failed:
            with contextlib.suppress(ServiceError):
                self.stop()
            raise failed[0]
        return self.services()

    def services(self) -> Services:
        """Where they are, once started."""
        return Services(
            self.postgres.url(self._ports["postgres"]) if "postgres" in self.names else None,
            self.broker.address(self._ports) if "nats" in self.names else None,
            self.chain.rpc_url(self._ports["chain"]) if "chain" in self.names else None,
        )

    def running(self) -> dict[str, Process]:
        """The services that run now, by name."""
        database = self.postgres.found()
        found = {"postgres": database and database[0], "nats": self.broker.found(), "chain": self.chain.found()}
        return {name: one for name, one in found.items() if one is not None}

    def watch(self, restarted: Callable[[str], None] = lambda _name: None) -> None:
        """Look once: restart what died, on the ports it had. Call every second or so.

        Raises ServiceError when one cannot be restarted; calling again tries again.
        """
        running = self.running()
        if "nats" in running and self.broker.stuck():
            self.broker.stop()
            del running["nats"]
        for name in self.names:
            if name not in running:
                self._start_on(name, self._ports)
                restarted(name)
        for log in self.folder.logs.glob("*.log"):
            bound_log(log, LOG_BYTES)

    def stop(self) -> None:
        """Stop all that run on this folder, side by side, also one that is left of a time when it was not outside.

        Raises ServiceError for one that is not proven to be ours.
        """
        with ThreadPoolExecutor(len(PORTS_OF)) as pool:
            results = [pool.submit(one.stop) for one in (self.postgres, self.broker, self.chain)]
        for result in results:
            result.result()

    def _choose_ports(self) -> dict[str, int]:
        """The remembered ports of what runs; for the rest the remembered ones if free, else others."""
        known, running = self.folder.ports(), self.running()
        chosen = {port: known[port] for name in running for port in PORTS_OF[name] if port in known}
        if self.broker.listen.port:
            chosen["mqtt"] = self.broker.listen.port
        for name in PORT_NAMES:
            if name not in chosen:
                chosen[name] = choose_port(known.get(name), set(chosen.values()), self._rng)
        return chosen

    def _start_one(self, name: str) -> None:
        try:
            self._start_on(name, self._ports)
        except ServiceError:
            mine = PORTS_OF[name]
            if name in self.running() or all(port_is_free(self._ports[port]) for port in mine):
                raise
            # Somebody took a port between our look and the service's: once more, with others.
            fresh = {port: choose_port(None, set(self._ports.values()), self._rng) for port in mine}
            if name == "nats" and self.broker.listen.port:
                fresh["mqtt"] = self.broker.listen.port
            self._ports = self._ports | fresh
            self.folder.remember_ports(fresh)
            self._start_on(name, self._ports)

    def _start_on(self, name: str, ports: dict[str, int]) -> None:
        try:
            self._start(name, ports)
        except OSError as error:  # a full disk: who watches must live on and try again
            raise ServiceError(f"{name} cannot be started: {error}") from error

    def _start(self, name: str, ports: dict[str, int]) -> None:
        if name == "postgres":
            port = self.postgres.start(ports["postgres"])
            if port != ports["postgres"]:  # it ran already, on a port that ports.json had lost
                self._ports = self._ports | {"postgres": port}
                self.folder.remember_ports({"postgres": port})
        elif name == "nats":
            self.broker.start(ports)
        else:
            self.chain.start(ports["chain"])


@contextlib.contextmanager
def supervising(
    home: Path, *, listen: Listen | None = None, names: Sequence[str] = ALL
) -> Iterator[EmbeddedServices]:
    """The services `names` of `home`, started, ours alone to look after, and stopped at the end. listen: where devices
    come in.

    Raises FolderInUse when another platform looks after them, ServiceError when one cannot be started.
    """
    with supervised(open_folder(home)):
        services = EmbeddedServices(home, listen=listen, names=names)
        services.start()
        try:
            yield services
        finally:
            services.stop()


@contextlib.contextmanager
def embedded(home: Path) -> Iterator[Services]:
    """`supervising`, for who only wants to know where the services are."""
    with supervising(home) as services:
        yield services.services()


def found(home: Path, names: Sequence[str] = ALL) -> Services | None:
    """Where the services `names` of `home` are if all of them run now, by whomever they were started."""
    services = EmbeddedServices(home, names=names)
    if not set(names) <= set(services.running()):
        return None
    services._ports = services.folder.ports()
    return services.services()
