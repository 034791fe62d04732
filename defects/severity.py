"""How bad is it: 1 is yellow (put on the maintenance list), 2 is red (must be acted on)."""

from __future__ import annotations

from ingest import DEFECT_KEYS, UNKNOWN, Detection

from .jolts import JoltOptions

RED_DEPTH_MM = {
    "shoving": 25.0,
    "rutting": 25.0,
    "subsidence": 25.0,
    "mud_boil": 25.0,
    "pothole": 25.0,
    "edge_break": 50.0,
    "frame_level": 30.0,
    "faulting": 25.0,
    "broken_slab": 10.0,
    "linear_crack": 10.0,
}
"""From these depths, heights or openings a type is red. Shoving and subsidence as JTG 5210 (read in code that
implements it); the rest are proposals."""
RED_AREA_M2 = {"pothole": 0.1, "ravelling": 1.0}
RED_ALWAYS = ("defective_cover",)

YELLOW_MM = {
    "shoving": 15.0,
    "rutting": 15.0,
    "subsidence": 10.0,
    "edge_break": 5.0,
    "frame_level": 15.0,
    "faulting": 15.0,
    "linear_crack": 3.0,
}
"""From these depths, heights or openings CJJ 36 counts a type (read in code that implements it; edge break and faulting
are doubtful there). Types that are missing count from anything on."""

AREA_TYPES = tuple(
    DEFECT_KEYS.index(key) + 1
    for key in (
        "linear_crack", "net_crack", "alligator_crack", "rutting", "mud_boil", "ravelling", "bleeding", "ponding",
    )
)  # fmt: skip
"""Types that cover an area: each square stands for itself, and what hangs together is counted. All others are points,
of which the strongest square is the place."""


def severity_of_detection(detection: Detection) -> int:
    """1 or 2 by the standard's unit where the camera states it; a defective cover is red at once."""
    kind = detection.kind
    if kind in RED_ALWAYS:
        return 2
    deep = detection.depth_mm != UNKNOWN and detection.depth_mm >= RED_DEPTH_MM.get(kind, float("inf"))
    wide = detection.area_m2 != UNKNOWN and detection.area_m2 >= RED_AREA_M2.get(kind, float("inf"))
    return 2 if deep or wide else 1


def severity_of_jolt(score: float, options: JoltOptions) -> float:
    """Severity of a jolt, continuous: 1 at the threshold, 2 at ``red_score``, at most 3, so that one hard hit among
    light ones does not decide a mean."""
    return min(3.0, 1.0 + (score - options.threshold) / (options.red_score - options.threshold))


def severity_of_size(key: str, size_mm: float) -> float:
    """Severity of a height or depth on the same scale: 1 at the standard's yellow, 2 at its red, 1 to 3."""
    if key in RED_ALWAYS:
        return 2.0
    red_mm = RED_DEPTH_MM.get(key)
    if red_mm is None:
        return 1.0
    yellow_mm = YELLOW_MM.get(key, 0.0)
    return min(3.0, max(1.0, 1.0 + (size_mm - yellow_mm) / (red_mm - yellow_mm)))
