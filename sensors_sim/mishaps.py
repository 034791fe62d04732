"""What goes wrong on a device or on the way from it, each switchable and counted: tunnels, clocks, gaps, losses.

`inject` of faults.py repeats, disorders and breaks payloads; here is what happens to chunks before that.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ingest import Chunk, Fixes, encode

from .faults import Counts, Faults, inject

_LEAST_FIXES = 2
"""A device with fewer has no chunk to send: it does not know where it was."""
_TUNNEL_S, _GAP_S = (12.0, 45.0), (8.0, 60.0)
_PHONE_CLOCK_S, _BOX_CLOCK_S = 0.06, 0.005
"""Usual error of the clock of samples against the receiver's, of which the drift below is a part (proposed)."""
_DRIFT = 20e-6
"""Of a crystal, seconds a second; it is set anew each quarter of an hour."""
_SET_S = 900.0


@dataclass(frozen=True)
class Mishaps:
    """drop: share of chunks lost on the way, duplicate: sent twice. reorder: by how many payloads one may be late.
    bad: broken payloads an hour of a vehicle's driving. clock: times the usual error of a device's clock. tunnel, gap:
    an hour, without fixes and without chunks. handled: times the usual rate at which a phone is handled, typed on,
    dropped."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: int = 0
    bad: float = 0.0
    clock: float = 0.0
    tunnel: float = 0.0
    gap: float = 0.0
    handled: float = 1.0

    def __post_init__(self) -> None:
        if min(getattr(self, f.name) for f in fields(self)) < 0 or max(self.drop, self.duplicate) > 1:
            raise ValueError("faults are 0 or more; drop and duplicate are shares up to 1")


NONE = Mishaps()
ALL = Mishaps(drop=0.01, duplicate=0.05, reorder=8, bad=4.0, clock=1.0, tunnel=1.0, gap=1.0, handled=3.0)


def read_mishaps(text: str) -> Mishaps:
    """From a text like tunnel=1,drop=0.02, or `all`, alone or before others. Raises ValueError, with what is known."""
    known = {f.name: f.type for f in fields(Mishaps)}
    found = Mishaps()
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, number = part.partition("=")
        if part == "all":
            found = ALL
            continue
        try:
            value: Any = int(number) if known[name] == "int" else float(number)
        except (KeyError, ValueError):
            raise ValueError(f"{part!r} is no fault: `all`, or NAME=NUMBER with a name of {', '.join(known)}") from None
        found = replace(found, **{name: value})
    return found


class Trouble:
    """What befalls one device. The same seed brings the same; counts: of what was done."""

    def __init__(self, mishaps: Mishaps, seed: int, vehicle: int, kind: str, counts: Counter[str]) -> None:
        self._mishaps, self._seed, self._vehicle, self._counts = mishaps, seed, vehicle, counts
        self._usual_s = _PHONE_CLOCK_S if kind == "phone" else _BOX_CLOCK_S
        self._first_kind = vehicle

    def leg(self, chunks: list[Chunk], number: int) -> list[Chunk]:
        """The chunks of a leg, the device's number-th, that come to be sent."""
        m = self._mishaps
        if not chunks or not (m.tunnel or m.gap or m.clock or m.drop):
            return chunks
        rng = np.random.default_rng([self._seed, 50, self._vehicle, number])
        luck = rng.uniform(size=4)
        start_s, took_s = chunks[0].start_s, chunks[-1].end_s - chunks[0].start_s
        dark = self._span(luck[0], luck[1], m.tunnel, start_s, took_s, _TUNNEL_S)
        off = self._span(luck[2], luck[3], m.gap, start_s, took_s, _GAP_S)
        self._counts["tunnels"] += dark is not None
        self._counts["gaps"] += off is not None
        sent: list[Chunk] = []
        for chunk in chunks:
            lost = rng.uniform() < m.drop
            if off is not None and off[0] < chunk.end_s and chunk.start_s < off[1]:
                self._counts["lost_in_gaps"] += 1
                continue
            kept = self._clocked(chunk) if m.clock else chunk
            if dark is not None:
                seen = _without(kept.fixes, *dark)
                if len(seen.t_s) < _LEAST_FIXES:
                    self._counts["without_fixes"] += 1
                    continue
                kept = replace(kept, fixes=seen)
            if lost:
                self._counts["dropped"] += 1
                continue
            sent.append(kept)
        return sent

    @staticmethod
    def _span(
        chance: float, luck: float, an_hour: float, start_s: float, took_s: float, lasts_s: tuple[float, float]
    ) -> tuple[float, float] | None:
        if chance >= an_hour * took_s / 3600:
            return None
        begin_s = start_s + luck * took_s
        return begin_s, begin_s + lasts_s[0] + (lasts_s[1] - lasts_s[0]) * ((luck * 7919) % 1)

    def _clocked(self, chunk: Chunk) -> Chunk:
        """Samples under a clock that runs beside the receiver's."""
        number, since_s = divmod(chunk.start_s, _SET_S)
        rng = np.random.default_rng([self._seed, 51, self._vehicle, int(number)])
        off_s = self._mishaps.clock * (self._usual_s * rng.standard_normal() + _DRIFT * rng.standard_normal() * since_s)
        self._counts["clocked"] += 1
        return replace(chunk, t0_s=chunk.t0_s + round(float(np.clip(off_s, -1.0, 1.0)), 4))

    def payloads(self, sent: list[Chunk], slab: int, seconds: float) -> list[tuple[float, bytes]]:
        """The chunks of a slab of time as payloads in the order in which they go out, each behind the time by which it
        is put among those of others."""
        m = self._mishaps
        good = [encode(chunk) for chunk in sent]
        if not good or not (m.duplicate or m.reorder or m.bad):
            return [(chunk.start_s, payload) for chunk, payload in zip(sent, good, strict=True)]
        rng = np.random.default_rng([self._seed, 52, self._vehicle, slab])
        bad = int(rng.poisson(m.bad * seconds / 3600))
        counts = Counts()
        faults = Faults(m.duplicate, m.reorder, bad)
        broken = inject(good, int(rng.integers(1 << 62)), faults, counts, self._first_kind)
        times = {payload: chunk.start_s for chunk, payload in zip(sent, good, strict=True)}
        at_s, out = sent[0].start_s, []
        for payload in broken:
            self._counts["late"] += times.get(payload, at_s) < at_s
            at_s = max(at_s, times.get(payload, at_s))
            out.append((at_s, payload))
        self._first_kind += bad
        self._counts["duplicates"] += counts.duplicates
        self._counts["bad"] += sum(counts.bad.values())
        return out


def _without(fixes: Fixes, begin_s: float, end_s: float) -> Fixes:
    keep = (fixes.t_s < begin_s) | (fixes.t_s > end_s)
    return Fixes(
        fixes.t_s[keep], fixes.lat_deg[keep], fixes.lon_deg[keep], fixes.accuracy_m[keep], fixes.speed_mps[keep],
        fixes.course_deg[keep],
    )  # fmt: skip
