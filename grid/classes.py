"""What a source says of a road's class, as one of `ROAD_CLASSES`; and how wide a road is of which nobody says."""

from __future__ import annotations

import re

NOT_A_ROAD = "not_a_road"

OF_OSM: dict[str, tuple[str, ...]] = {
    "expressway": ("motorway", "motorway_link", "trunk", "trunk_link"),
    "trunk": ("primary", "primary_link"),
    "secondary": ("secondary", "secondary_link"),
    "branch": (
        "tertiary", "tertiary_link", "unclassified", "residential", "living_street", "service", "road", "busway",
        "bus_guideway",
    ),
    NOT_A_ROAD: (
        "footway", "path", "pedestrian", "steps", "cycleway", "bridleway", "track", "corridor", "platform", "elevator",
        "construction", "proposed", "planned", "abandoned", "razed", "raceway", "rest_area", "services", "via_ferrata",
        "escape", "no",
    ),
}  # fmt: skip
"""Values of OpenStreetMap's `highway`. In Chinese cities its `trunk` is an urban expressway and its `primary` a trunk
road (from the mappers' own agreement, from memory); elsewhere a class may come out one too high: name another field."""

OF_CENSUS: dict[str, tuple[str, ...]] = {
    "expressway": ("A1", "A63"),
    "trunk": ("A2",),
    "secondary": ("A3",),
    "branch": ("A4", "A6"),
    NOT_A_ROAD: ("A5", "A7"),
}
"""Codes of the census of the United States (CFCC), by how they begin: interstates and ramps, national roads, roads of
state and county, streets; A5 are tracks, A7 drives of private ground, walkways and stairs."""

OF_WORDS: dict[str, tuple[str, ...]] = {
    "expressway": ("高速", "快速", "expressway", "freeway", "interstate", "motorway", "ramp"),
    "secondary": ("次干", "collector", "secondary", "major collector"),
    "trunk": ("主干", "国道", "省道", "arterial", "trunk", "principal", "state highway", "primary"),
    "branch": (
        "支路", "街坊", "巷", "县道", "乡道", "小区", "local", "minor", "residential", "branch", "access", "street",
    ),
    NOT_A_ROAD: ("人行", "步道", "自行车道", "driveway", "walkway", "trail", "alley stairs"),
}  # fmt: skip
"""Words within a text, in this order: the first that is found decides."""

LANE_M: dict[str, float] = {"expressway": 3.75, "trunk": 3.5, "secondary": 3.5, "branch": 3.25, "unknown": 3.5}
"""Width of a lane (CJJ 37 gives 3.25 to 3.75 m by speed; from memory), for roads whose lanes are known."""
USUAL_WIDTH_M: dict[str, tuple[float, float]] = {
    "expressway": (22.5, 11.25),
    "trunk": (14.0, 10.5),
    "secondary": (14.0, 7.0),
    "branch": (7.0, 5.0),
    "unknown": (7.0, 7.0),
}
"""Carriageway of a road in both directions, and of one way (proposed), where neither width nor lanes are known.
Narrower, and squares that vehicles drove on belong to no section; wider, and pavements and houses count as road that
nobody ever measures."""
_NARROWEST_M, _WIDEST_M = 2.0, 80.0
_MOST_LANES = 20


def road_class_of(text: str) -> str:
    """Class that a source's text means, `NOT_A_ROAD`, or "unknown". Where it lists several, the first that says
    anything counts."""
    for part in re.split(r"[;,/|]", text):
        found = _class_of(part.strip())
        if found != "unknown":
            return found
    return "unknown"


def _class_of(text: str) -> str:
    lower = text.lower()
    for road_class, values in OF_OSM.items():
        if lower in values:
            return road_class
    if re.fullmatch(r"[AB]\d\d", text):
        longest = max(
            ((len(code), c) for c, codes in OF_CENSUS.items() for code in codes if text.startswith(code)),
            default=(0, "unknown"),
        )
        return longest[1]
    for road_class, words in OF_WORDS.items():
        if any(word in lower for word in words):
            return road_class
    return "unknown"


def width_of(road_class: str, oneway: bool, width_m: float, lanes: int) -> tuple[float, bool, int]:
    """Width of a carriageway, whether it is known, and its lanes (0 unknown), of what a source says (0 for nothing).
    A width under 2 m or over 80 m, and more than 20 lanes, are taken for nothing."""
    lanes = lanes if 0 < lanes <= _MOST_LANES else 0
    if _NARROWEST_M <= width_m <= _WIDEST_M:
        return round(width_m, 2), True, lanes
    if lanes:
        return lanes * LANE_M[road_class], False, lanes
    return USUAL_WIDTH_M[road_class][int(oneway)], False, 0
