"""Real drives, published as phones would: through the broker, at real or multiplied speed, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from defects import Rate, rate
from defects import store as defects_store
from ingest import Credential, Report, Sender, encode, recordings

from . import wiring
from .platform import enrol_here
from .settings import Settings

FIND_S = 120.0


@dataclass(frozen=True)
class Replayed:
    """A drive and what the platform made of it. felt: None where the vehicle was never fast enough to feel."""

    drive: str
    chunks: int
    report: Report
    felt: Rate | None


def device_of(drive: str, copy: int) -> str:
    """The name under which a drive is replayed; the same drive keeps its device, so that it is never counted twice."""
    plain = "".join(c if c.isalnum() else "-" for c in drive.lower()).strip("-")
    return f"replay-{plain[:24]}-{copy}"


def replay(
    settings: Settings, folder: Path, speed: float, copies: int, told: Callable[[str, int, int], None]
) -> list[Replayed]:
    """Replays every drive below ``folder`` and waits for the verdicts.

    speed: times real time; 0 is as fast as verdicts come. copies: how many devices send the same drive (their passes
    are perfectly correlated: that tests plumbing, not truth). ``told`` hears (drive, chunks sent, chunks in all).
    Raises RecordingError, SenderError, NotRunning.
    """
    full = wiring.resolved(settings)
    city = full.read_city()
    paths = recordings.drives_in(folder)
    names = [(device_of(path.name, n), "phone") for path in paths for n in range(copies)]
    _, credentials = enrol_here(full, names, "replay")
    by_name = {c.device: c for c in credentials}
    now_s = time.time()
    done = []
    for number, path in enumerate(paths):
        drive = recordings.read_drive(path)
        senders = [by_name[device_of(path.name, n)] for n in range(copies)]
        for credential in senders:
            # Side by side rather than on top of one another: the drives are from other streets anyway.
            apart_m = 500.0 + 250.0 * number
            chunks = list(recordings.chunks_of(drive, city, now_s - 5.0, credential.device, apart_m))
            report = _publish(credential, drive, [(c.end_s, encode(c)) for c in chunks], speed, told)
            with wiring.database(full) as conn:
                km, findings = defects_store.felt_by(conn, credential.device)
            done.append(Replayed(drive.name, len(chunks), report, rate(findings, km) if km > 0 else None))
    return done


def _publish(
    credential: Credential,
    drive: recordings.Drive,
    payloads: Sequence[tuple[float, bytes]],
    speed: float,
    told: Callable[[str, int, int], None],
) -> Report:
    begun_s = time.monotonic()
    with Sender(credential) as sender:
        for n, (end_s, payload) in enumerate(payloads, start=1):
            if speed > 0:
                due_s = (end_s - payloads[0][0]) / speed
                time.sleep(max(0.0, due_s - (time.monotonic() - begun_s)))
            sender.send(payload)
            told(drive.name, n, len(payloads))
        return sender.finish(FIND_S)
