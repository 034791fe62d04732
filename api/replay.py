"""Real drives, published as phones would: through the broker, at real or multiplied speed, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from defects import Rate, observe, rate
from defects import store as defects_store
from ingest import City, Credential, Report, Sender, encode, recordings

from . import wiring
from .platform import enrol_here
from .settings import Settings

FIND_S = 120.0


@dataclass(frozen=True)
class Replayed:
    """A drive and what became of it.

    chunks: sent, after the ends of the drive were cut off as a phone does. felt: what the platform made of those; None
    where nothing was sent, or the vehicle was never fast enough to feel. whole: what the same recogniser finds in the
    whole recording, here and without sending it: a drive of two minutes is all ends.
    """

    drive: str
    chunks: int
    report: Report
    felt: Rate | None
    whole: Rate | None


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
            felt = rate(findings, km) if km > 0 else None
            done.append(Replayed(drive.name, len(chunks), report, felt, _whole(drive, city, now_s)))
    return done


def _whole(drive: recordings.Drive, city: City, now_s: float) -> Rate | None:
    """Findings per km of everything that was recorded."""
    seen = [observe(c, "phone", 1, city, wiring.EVIDENCE) for c in recordings.recorded(drive, city, now_s - 5.0)]
    km = sum(s.distance_m for s in seen) / 1000
    return rate(sum(len(s.findings) for s in seen), km) if km > 0 else None


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
