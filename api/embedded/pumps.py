"""The platform's own processes (worker, coder, anchorer, web): started, restarted when they die, stopped in order.

Unlike the services they never outlive the platform: the kernel kills them with it, since two workers of two
platforms on one folder would be confusing (not wrong).
"""

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .processes import Process, bound_log, launch


@dataclass(frozen=True)
class PumpCommand:
    """How to start a pump. Secrets belong in `environment`, never in `command`: arguments are for all to read."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class PumpOptions:
    """When to restart and how long to wait."""

    first_wait_s: float = 0.5  # shorter spins on a pump that cannot start, longer is felt on the map
    longest_wait_s: float = 30.0
    healthy_after_s: float = 20.0  # lived that long: the next death is a new one, and waits little again
    stop_within_s: float = 10.0  # a batch's commit fits; after it SIGKILL, which pumps survive by design
    log_bytes: int = 5_000_000


@dataclass
class _Pump:
    command: PumpCommand
    process: Process | None = None
    started_s: float = 0.0
    deaths: int = 0
    not_before_s: float = 0.0


class Pumps:
    """The child processes of one platform. Use from one thread that lives as long as they shall.

    (The kernel kills them when the *thread* that started them ends.)
    """

    def __init__(
        self,
        commands: Sequence[PumpCommand],
        logs: Path,
        options: PumpOptions,
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pumps = [_Pump(command) for command in commands]
        self._logs, self._options, self._rng, self._clock = logs, options, rng, clock
        self.restarts: dict[str, int] = {command.name: 0 for command in commands}

    def start(self) -> None:
        """Start all, in order."""
        for pump in self._pumps:
            self._start(pump)

    def running(self) -> dict[str, Process]:
        """The pumps that run now, by name."""
        return {
            pump.command.name: pump.process for pump in self._pumps if pump.process and pump.process.alive()
        }

    def look(self) -> list[str]:
        """Look once: restart what died and has waited; returns the names restarted. Call every second or so."""
        restarted = []
        for pump in self._pumps:
            bound_log(self._logs / f"{pump.command.name}.log", self._options.log_bytes)
            if pump.process is not None and not pump.process.alive():
                self._plan_restart(pump)
            if pump.process is None and self._clock() >= pump.not_before_s:
                self._start(pump)
                self.restarts[pump.command.name] += 1
                restarted.append(pump.command.name)
        return restarted

    def stop(self) -> None:
        """Stop all, last started first, so that nothing is fed into what is gone already."""
        for pump in reversed(self._pumps):
            if pump.process is not None:
                pump.process.stop(signal.SIGTERM, self._options.stop_within_s)
                pump.process = None
                pump.not_before_s = float("inf")

    def _plan_restart(self, pump: _Pump) -> None:
        lived_s = self._clock() - pump.started_s
        pump.deaths = 1 if lived_s >= self._options.healthy_after_s else pump.deaths + 1
        wait_s = min(self._options.longest_wait_s, self._options.first_wait_s * 2.0 ** (pump.deaths - 1))
        # Jitter: pumps that died of the same cause (the database went) shall not all come back at one instant.
        pump.not_before_s = self._clock() + wait_s * self._rng.uniform(0.5, 1.0)
        pump.process = None

    def _start(self, pump: _Pump) -> None:
        log = self._logs / f"{pump.command.name}.log"
        pump.process = launch((*_tied_to_us(), *pump.command.command), log, self._logs, pump.command.environment)
        pump.started_s = self._clock()


def _tied_to_us() -> tuple[str, ...]:
    """What to put before a command so that the kernel kills it when we end, however we end."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, in place of ending the process half-way. Main thread only."""
    asked = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment_of(extra: Mapping[str, str]) -> dict[str, str]:
    """Our own environment and what a pump needs besides, so that settings and secrets reach it unseen."""
    return {**os.environ, **extra}
