"""Processes of this machine: who runs with our data folder, is it still the same one, is it gone.

Linux only: /proc tells what a process was started with. A pid alone proves nothing, since the kernel gives it
to another process after a crash; so a process is named by its pid and the clock tick it started at.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# For our own services on the loopback: a proxy named in the environment would be asked for them otherwise.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServiceError(Exception):
    """A service cannot be started, used or stopped; the text says what to do."""


@dataclass(frozen=True)
class Process:
    """A process, told apart from a later one with its pid by the tick (since boot) it started at."""

    pid: int
    started_tick: int

    def alive(self) -> bool:
        """Whether it still runs. A zombie does not; one of our own is reaped here."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return process(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal it, and never another that got its pid meanwhile; nothing happens if it is gone."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive():  # after the handle was taken: from here on the pid cannot be given away
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    def wait_gone(self, within_s: float) -> bool:
        """Whether it ended within that time. The kernel wakes us: no polling."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.alive():
                select.select([handle], [], [], within_s)
            return not self.alive()
        finally:
            os.close(handle)

    def stop(self, polite: signal.Signals, within_s: float) -> None:
        """Ask, wait, then kill."""
        self.send(polite)
        if not self.wait_gone(within_s):
            self.send(signal.SIGKILL)
            self.wait_gone(within_s)


def process(pid: int) -> Process | None:
    """The process that has this pid now; None if there is none or it is a zombie."""
    try:
        # The name in brackets may itself hold brackets and spaces: what follows the last one counts.
        after_name = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if after_name[0] in "ZX":
        # Reaped here if it was our child: PostgreSQL takes the pid of a zombie in its lock file for a living server,
        # and would refuse to start for as long as nobody waits for the dead one.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None
    return Process(pid, int(after_name[19]))


def arguments_of(pid: int) -> list[str]:
    """What a process was started with; empty if it is gone or not ours to see."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def started_with(marks: Sequence[str]) -> list[Process]:
    """Our processes that were started with all these arguments, oldest first.

    This is how a service is found again after the platform was killed: no pid file can be missing or stale.
    """
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and set(marks) <= set(arguments_of(int(entry.name))):
            one = process(int(entry.name))
            with contextlib.suppress(OSError):
                if one is not None and entry.stat().st_uid == os.geteuid():
                    found.append(one)
    return sorted(found, key=lambda one: one.started_tick)


def launch(command: Sequence[str], log: Path, cwd: Path, environment: Mapping[str, str]) -> Process:
    """Start a service that outlives us: own session, so that Ctrl-C and our death pass it by."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            list(command), cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=handle, stderr=handle,
            start_new_session=True, umask=0o077,
        )
    finally:
        os.close(handle)
    # It is told apart by tick and reaped by `alive`, also by a later platform whose child it is not: Popen's own
    # bookkeeping would warn about a child that is left running, which is what we want.
    child.returncode = 0
    return process(child.pid) or Process(child.pid, -1)


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, for an error's text."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return "(no log)"


def pause(step_s: float = 0.03) -> None:
    """Between two looks at something the kernel cannot wake us for."""
    time.sleep(step_s)


def bound_log(log: Path, most_bytes: int) -> None:
    """Keep a log and one older part within twice `most_bytes`.

    Copied and cut, not renamed: the process that writes it goes on at the new end, since it opened it to append.
    """
    try:
        if log.stat().st_size <= most_bytes:
            return
        older = log.with_name(log.name + ".1")
        shutil.copyfile(log, older)
        older.chmod(0o600)
        os.truncate(log, 0)
    except OSError:
        return  # a full disk or a folder that went away must not stop who looks after the services
