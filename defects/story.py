"""What one pass had to say about one square, told from the chunk itself: observing is pure, so nothing of it is stored
twice."""

from __future__ import annotations

from dataclasses import dataclass

from .evidence import UNIT
from .naming import Name
from .observe import Observation
from .planes import EXPOSURE_BOX
from .taxonomy import ALL_TYPES


@dataclass(frozen=True)
class PassStory:
    """what: quiet, jolt, camera, or passed (rolled over it, but could not say anything). weight: log-odds it added,
    negative where a quiet pass speaks against defects. speed_mps, sigma_m, score: of the finding, where there is one;
    p, name, size_mm: what the recogniser says of it, None where it said nothing (`Finding`).
    """

    what: str
    kind: str | None
    weight: float
    speed_mps: float | None
    sigma_m: float | None
    score: float | None
    p: float | None = None
    name: Name | None = None
    size_mm: float | None = None


def pass_story(seen: Observation, cell: int) -> PassStory | None:
    """What an observation says about ``cell``; None where it does not speak of it."""
    mine = seen.deltas.cell == cell
    if not mine.any():
        return None
    planes = seen.deltas.plane[mine]
    values = dict(zip(planes.tolist(), seen.deltas.value[mine].tolist(), strict=True))
    typed = [k for k in values if k < len(ALL_TYPES)]
    if typed:
        kind = max(typed, key=lambda k: values[k])
        near = [f for f in seen.findings if f.kind == kind]
        # A chunk seldom finds two of a type; the one whose best square is nearest in weight is the one meant.
        best = min(near, key=lambda f: (f.cell != cell, abs(f.weight - values[kind] / UNIT)), default=None)
        return PassStory(
            what=best.what if best else "jolt",
            kind=ALL_TYPES[kind].key,
            weight=values[kind] / UNIT,
            speed_mps=best.speed_mps if best and best.speed_mps >= 0 else None,
            sigma_m=best.sigma_m if best else None,
            score=best.score if best else None,
            p=best.p if best and best.p >= 0 else None,
            name=best.name if best else None,
            size_mm=best.size_mm if best and best.size_mm > 0 else None,
        )
    if EXPOSURE_BOX in values:
        return PassStory("quiet", None, -values[EXPOSURE_BOX] / UNIT, None, None, None)
    return PassStory("passed", None, 0.0, None, None, None)
