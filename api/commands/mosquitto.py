"""`roadcode mosquitto`: users, rights and options of a Mosquitto that devices and the worker connect to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from ingest import read_broker_url

from .. import wiring
from ..embedded import stop_signals
from ..plain_broker import OPTIONS, BadFolder, Listener, tell, write_files
from ..settings import Settings


def write(
    settings: Settings,
    folder: Path,
    listen: str,
    certificate: Path | None,
    key: Path | None,
    pid_file: Path | None,
    every_s: float,
) -> Iterator[dict[str, Any]]:
    """Writes the files and gives what was done; with ``every_s`` again and again, but only what has changed.

    Raises BadFolder, NotConfigured, NotRunning, OSError.
    """
    listener = _listener(listen, certificate, key)
    full = wiring.resolved(settings)
    url = read_broker_url(full.broker_url.get_secret_value()) if full.broker_url else None
    if url is None or not url.plain or not (url.user and url.password):
        raise wiring.NotConfigured(
            "set ROADCODE_BROKER_URL to mqtt://USER:PASSWORD@HOST:PORT of the Mosquitto that you want: the worker's "
            "user and password in it are written into the files"
        )
    with stop_signals() as stop:
        while True:
            try:
                with wiring.database(full) as conn:
                    changed, devices, without = write_files(conn, folder, (url.user, url.password), listener)
            except psycopg.OperationalError:
                if not every_s:
                    raise
                if stop.wait(every_s):  # the database comes back, and until then nothing can have changed
                    return
                continue
            if changed and pid_file is not None:
                tell(pid_file)
            if changed or not every_s:
                yield {
                    "file": str(folder.resolve() / OPTIONS), "changed": changed, "devices": devices,
                    "need a new password": ", ".join(without[:20]) + (" ..." if len(without) > 20 else ""),
                    "told mosquitto": changed and pid_file is not None,
                }  # fmt: skip
            if not every_s or stop.wait(every_s):
                return


def _listener(listen: str, certificate: Path | None, key: Path | None) -> Listener:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536 or any(c.isspace() for c in host):
        raise BadFolder(f"--listen is HOST:PORT, not {listen!r}")
    if (certificate is None) != (key is None):
        raise BadFolder("--certificate and --key go together")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise BadFolder(f"{file} is not there")
    loopback = host in ("127.0.0.1", "::1", "localhost")
    if certificate is None and not loopback:
        raise BadFolder(
            f"{listen} is open to the network: give --certificate and --key, or passwords and chunks go in the clear"
        )
    return Listener(host, int(port), certificate and certificate.resolve(), key and key.resolve())
