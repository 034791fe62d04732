"""Two streets that cross, and what is wrong with them: the answer against which the platform's codes are held.

Along a street one measures from its first end, across it from its axis, positive to the left of its course. Traffic
keeps to the right: the lane `forward` lies right of the axis, the lane `backward` left of it, and "left" and "right"
wheel path are meant as the driver in that lane sees them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from defects import BY_KEY

LANE_M = 3.5
HALF_TRACK_M = 0.9
"""From the vehicle's middle to the middle of a wheel path."""
SPEED_BUMP = "speed_bump"
"""The one kind that is no defect: no code should ever turn red for it."""

_A_M = 6_378_137.0
_E2 = 0.006_694_379_990_141_3  # WGS 84, first eccentricity squared

Metres = float | NDArray[np.float64]
Lane = Literal["forward", "backward", "both"]
Side = Literal["left", "right", "across"]
Shape = Literal["none", "hole", "sunken", "hump", "dip", "step"]
Severity = Literal["red", "yellow", "harmless"]
LANES: tuple[Lane, Lane] = ("forward", "backward")


@dataclass(frozen=True)
class Place:
    """A local plane at a point of the WGS 84 ellipsoid: x east, y north, metres.

    Second order in x and y over the radii of curvature at the centre (any textbook on the ellipsoid's polar
    coordinates); the terms left out stay below 1 mm within 500 m. First order alone is 2 cm off at the corners.
    """

    lon_deg: float
    lat_deg: float

    def lonlat(self, xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longitude and latitude, degrees, float64 (..., 2), of points float64 (..., 2)."""
        x_m, y_m = xy_m[..., 0], xy_m[..., 1]
        lat = math.radians(self.lat_deg)
        w2 = 1 - _E2 * math.sin(lat) ** 2
        meridian_m = _A_M * (1 - _E2) / w2**1.5
        normal_m = _A_M / math.sqrt(w2)
        tan = math.tan(lat)
        north = y_m / meridian_m - x_m**2 * tan / (2 * meridian_m * normal_m)
        east = x_m / (normal_m * math.cos(lat)) * (1 + y_m * tan / normal_m)
        return np.stack([self.lon_deg + np.degrees(east), self.lat_deg + np.degrees(north)], axis=-1)


@dataclass(frozen=True)
class Street:
    """A straight street through the place's origin. course_deg: clockwise from north, of its lane `forward`."""

    name: str
    course_deg: float
    length_m: float

    def xy(self, along_m: Metres, lateral_m: Metres) -> NDArray[np.float64]:
        """Local x, y (m), float64 (..., 2), of points given along and left of the street's axis."""
        sin, cos = math.sin(math.radians(self.course_deg)), math.cos(math.radians(self.course_deg))
        ahead, left = np.asarray(along_m) - self.length_m / 2, np.asarray(lateral_m)
        return np.stack([ahead * sin - left * cos, ahead * cos + left * sin], axis=-1)


@dataclass(frozen=True)
class Defect:
    """One thing on a street. kind: a key of the taxonomy, or `speed_bump`.

    street: index in the truth. along_m, lateral_m: its middle, on the street. length_m along, width_m across.
    depth_mm: how far its deepest or highest point lies from the road, never negative; shape says which way (hole,
    sunken, dip: below; hump, step: above; none: no height, only a camera sees it).
    """

    kind: str
    street: int
    lane: Lane
    side: Side
    along_m: float
    lateral_m: float
    length_m: float
    width_m: float
    depth_mm: float
    shape: Shape
    severity: Severity
    visible_to: tuple[str, ...]

    @property
    def area_m2(self) -> float:
        """Of an ellipse for what is round, else of a rectangle."""
        full = self.length_m * self.width_m
        return full * math.pi / 4 if self.shape in ("hole", "sunken", "dip") else full


@dataclass(frozen=True)
class Truth:
    """The streets and all that is on them."""

    place: Place
    streets: tuple[Street, ...]
    defects: tuple[Defect, ...]

    def lonlat(self, defect: Defect) -> tuple[float, float]:
        """Where the middle of a defect lies, degrees, WGS 84."""
        lon, lat = self.place.lonlat(self.streets[defect.street].xy(defect.along_m, defect.lateral_m))
        return float(lon), float(lat)


def lane_centre_m(lane: Lane) -> float:
    """Lateral position of a lane's middle."""
    return -LANE_M / 2 if lane == "forward" else LANE_M / 2


def _lateral_m(lane: Lane, side: Side) -> float:
    if lane == "both":
        return 0.0
    leftwards = 1.0 if lane == "forward" else -1.0  # the driver's left, on the street's lateral axis
    aside = {"left": HALF_TRACK_M, "right": -HALF_TRACK_M, "across": 0.0}[side]
    return lane_centre_m(lane) + leftwards * aside


def _defect(
    kind: str,
    at: tuple[int, float, Lane, Side],
    size_m: tuple[float, float],
    severity: Severity,
    depth_mm: float = 0.0,
    shape: Shape = "none",
) -> Defect:
    street, along_m, lane, side = at
    seen = ("camera",) if kind in BY_KEY else ()
    felt = () if shape == "none" else ("imu",)
    return Defect(
        kind, street, lane, side, along_m, _lateral_m(lane, side), *size_m, depth_mm, shape, severity, felt + seen
    )


# Places 30 m apart along a street: the body has swung out from one before it meets the next (12 m would do at
# 50 km/h), and the crossing itself stays clean. Sizes put each on the stated side of the limits in the table of types.
_DEFECTS = (
    _defect("pothole", (0, 20, "forward", "right"), (0.6, 0.6), "red", 80, "hole"),
    _defect("linear_crack", (0, 50, "backward", "left"), (2.0, 0.005), "yellow"),
    _defect("pothole", (0, 80, "forward", "left"), (0.3, 0.3), "yellow", 20, "hole"),
    _defect("net_crack", (0, 110, "backward", "right"), (1.5, 1.2), "yellow"),
    _defect("frame_level", (0, 140, "forward", "right"), (0.7, 0.7), "yellow", 20, "sunken"),
    _defect("alligator_crack", (0, 170, "backward", "across"), (2.0, 1.5), "yellow"),
    _defect(SPEED_BUMP, (0, 230, "both", "across"), (1.5, 2 * LANE_M), "harmless", 50, "hump"),
    _defect("ravelling", (0, 260, "forward", "left"), (1.5, 1.0), "red"),
    _defect("pothole", (0, 290, "backward", "left"), (0.6, 0.6), "red", 70, "hole"),
    _defect("rutting", (0, 320, "forward", "across"), (4.0, 2.4), "yellow", 18),
    _defect("edge_break", (0, 350, "backward", "right"), (1.2, 0.3), "yellow", 10),
    _defect("litter", (0, 380, "forward", "across"), (0.5, 0.5), "yellow"),
    _defect("mud_boil", (1, 20, "backward", "left"), (1.0, 0.8), "yellow"),
    _defect("shoving", (1, 50, "forward", "left"), (0.8, 0.8), "yellow", 20, "hump"),
    _defect("pumping", (1, 80, "backward", "across"), (0.8, 0.3), "yellow"),
    _defect("pothole", (1, 110, "forward", "right"), (0.6, 0.6), "red", 60, "hole"),
    _defect("bleeding", (1, 140, "backward", "right"), (3.0, 0.8), "yellow"),
    _defect("subsidence", (1, 170, "forward", "right"), (3.0, 2.0), "red", 40, "dip"),
    _defect("defective_cover", (1, 230, "backward", "right"), (0.7, 0.7), "yellow"),
    _defect("faulting", (1, 260, "forward", "across"), (3.0, LANE_M), "yellow", 18, "step"),
    _defect("broken_slab", (1, 290, "backward", "across"), (2.0, 1.5), "yellow"),
    _defect("pothole", (1, 320, "backward", "right"), (0.6, 0.6), "red", 80, "hole"),
    _defect("ponding", (1, 350, "forward", "across"), (3.0, 1.5), "yellow"),
)


def crossing(centre_deg: tuple[float, float]) -> Truth:
    """Two streets of 400 m that cross at ``centre_deg`` (longitude, latitude), turned against north, so that no row of
    squares runs along a wheel path by luck."""
    streets = (Street("Long Street", 23.0, 400.0), Street("Cross Street", 111.0, 400.0))
    return Truth(Place(*centre_deg), streets, _DEFECTS)


def truth_tree(truth: Truth) -> dict[str, Any]:
    """The truth as plain maps, lists, numbers and texts; coordinates are [longitude, latitude], WGS 84, degrees."""
    streets = []
    for street in truth.streets:
        ends = street.xy(np.array([0.0, street.length_m]), np.zeros(2))
        streets.append(
            {
                "name": street.name,
                "course_deg": street.course_deg,
                "length_m": street.length_m,
                "lane_m": LANE_M,
                "half_track_m": HALF_TRACK_M,
                "axis": truth.place.lonlat(ends).tolist(),
            }
        )
    defects = []
    for number, defect in enumerate(truth.defects):
        lon, lat = truth.lonlat(defect)
        defects.append(
            {
                "id": number,
                "kind": defect.kind,
                "severity": defect.severity,
                "visible_to": list(defect.visible_to),
                "lon_deg": lon,
                "lat_deg": lat,
                "street": truth.streets[defect.street].name,
                "lane": defect.lane,
                "side": defect.side,
                "along_m": defect.along_m,
                "lateral_m": defect.lateral_m,
                "length_m": defect.length_m,
                "width_m": defect.width_m,
                "depth_mm": defect.depth_mm,
                "shape": defect.shape,
                "area_m2": round(defect.area_m2, 4),
            }
        )
    centre = [truth.place.lon_deg, truth.place.lat_deg]
    return {"schema": "rhc-truth/1", "centre": centre, "streets": streets, "defects": defects}


def write_truth(path: Path, truth: Truth) -> None:
    """Writes the truth as JSON. It appears whole or not at all: a reader may be polling for it."""
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(truth_tree(truth), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def roads_tree(truth: Truth) -> dict[str, Any]:
    """The streets as GeoJSON, as a survey would draw them: the middle of each, with name, class, width and lanes."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {
                    "type": "LineString",
                    "coordinates": truth.place.lonlat(
                        street.xy(np.linspace(0, street.length_m, 21), np.zeros(21))
                    ).round(8).tolist(),
                },
                "properties": {
                    "id": f"street-{number}", "name": street.name, "road_class": "secondary",
                    "width_m": 2 * LANE_M, "lanes": 2,
                },
            }
            for number, street in enumerate(truth.streets)
        ],
    }  # fmt: skip


def write_roads(path: Path, truth: Truth) -> None:
    """Writes the streets as GeoJSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(roads_tree(truth), ensure_ascii=False) + "\n", encoding="utf-8")
