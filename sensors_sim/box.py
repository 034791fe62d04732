"""A box on a bus: six axes at 100 Hz, RTK positions at 5 Hz, and an edge camera that looks at its own lane."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from defects import TYPES
from ingest import DEFECT_KEYS, UNKNOWN, Detection

from .recording import RADIUS68, Recording, Run, counts, fix_columns, turned
from .truth import LANE_M
from .vehicle import G_MPS2, ROAD_HZ, Suspension, feel

RATE_HZ = 100
FIX_HZ = 5.0
FIX_SIGMA_M = 0.05
ACC_SCALE_MPS2 = 8 * G_MPS2 / 32768
GYRO_SCALE_RADPS = math.radians(250) / 32768
ACC_NOISE_MPS2 = 0.03  # a common automotive IMU with the engine running
GYRO_NOISE_RADPS = 0.002
TILT_DEG = 1.5

CAMERA_RECALL: Mapping[str, float] = {t.key: t.camera_detect for t in TYPES}
"""Chance that one pass reports a defect in its lane: the taxonomy's own assumption, nothing measured. Passes miss
independently here; real ones miss together, in rain and at night."""
CAMERA_SIGMA_M = 0.3  # per axis
FALSE_PER_KM = 0.3
LOOK_AHEAD_M = 4.0
"""How far before a defect it is reported. The report is a quarter to half a second early and carries its own place."""


def mounting(rng: np.random.Generator) -> NDArray[np.float64]:
    """Axes (rows) of a box screwed on with a tilt of about TILT_DEG about each axis."""
    x, y, z = np.radians(rng.normal(0, TILT_DEG, 3))
    about_x = np.array([[1, 0, 0], [0, math.cos(x), math.sin(x)], [0, -math.sin(x), math.cos(x)]])
    about_y = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    about_z = np.array([[math.cos(z), math.sin(z), 0], [-math.sin(z), math.cos(z), 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z, dtype=np.float64)


def _detection(
    run: Run,
    rng: np.random.Generator,
    t_s: float,
    kind: str,
    score: float,
    xy_m: NDArray[np.float64],
    area_m2: float,
    depth_mm: float,
) -> Detection:
    lon, lat = run.place.lonlat(xy_m + rng.normal(0, CAMERA_SIGMA_M, 2)).tolist()
    return Detection(t_s, kind, score, lat, lon, CAMERA_SIGMA_M * RADIUS68, area_m2, depth_mm)


def look(run: Run, rng: np.random.Generator, recall: Mapping[str, float] = CAMERA_RECALL) -> tuple[Detection, ...]:
    """What the camera reports in one run, in time order: defects of its own lane at their recall, area within 15 %,
    depth (where there is one; a stereo camera) within 20 %, and FALSE_PER_KM false alarms of any type and low score."""
    s, step = run.drive.s_m, 1 / ROAD_HZ
    found = []
    for patch in run.surface.patches:
        kind = run.truth.defects[patch.defect].kind
        # Drawn also where nothing is reported, so that one recall does not shift the luck of all that follow.
        luck, score, wide, deep = rng.uniform(), rng.beta(8, 2), rng.normal(1, 0.15), rng.normal(1, 0.2)
        if luck >= recall.get(kind, 0.0):
            continue
        t_s = run.t0_s + float(np.searchsorted(s, patch.s_m - LOOK_AHEAD_M)) * step
        xy = run.on_lane(patch.s_m, patch.y_m)
        area = run.truth.defects[patch.defect].area_m2 * max(wide, 0.3)
        depth = patch.depth_m * 1000 * max(deep, 0.3) if patch.depth_m > 0 else UNKNOWN
        found.append(_detection(run, rng, t_s, kind, score, xy, area, depth))
    for _ in range(rng.poisson(FALSE_PER_KM * run.surface.length_m / 1000)):
        at = rng.uniform(0, run.surface.length_m)
        t_s = run.t0_s + float(np.searchsorted(s, at - LOOK_AHEAD_M)) * step
        xy = run.on_lane(at, rng.uniform(-LANE_M / 2, LANE_M / 2))
        kind = DEFECT_KEYS[int(rng.integers(len(DEFECT_KEYS)))]
        found.append(_detection(run, rng, t_s, kind, rng.beta(3, 6), xy, rng.uniform(0.05, 0.5), UNKNOWN))
    return tuple(sorted(found, key=lambda d: d.t_s))


def record(run: Run, car: Suspension, axes: NDArray[np.float64], rng: np.random.Generator) -> Recording:
    """What a box with the mounting ``axes`` records of a run."""
    motion = feel(run.surface, run.drive, car, RATE_HZ)
    force, rate = turned(motion, axes)
    ticks = run.ticks(FIX_HZ)
    return Recording(
        t0_s=run.t0_s,
        rate_hz=float(RATE_HZ),
        carrier="bus",
        acc_scale_mps2=ACC_SCALE_MPS2,
        acc_counts=counts(force + rng.normal(0, ACC_NOISE_MPS2, force.shape), ACC_SCALE_MPS2),
        gyro_scale_radps=GYRO_SCALE_RADPS,
        gyro_counts=counts(rate + rng.normal(0, GYRO_NOISE_RADPS, rate.shape), GYRO_SCALE_RADPS),
        fixes=fix_columns(run, ticks, rng.normal(0, FIX_SIGMA_M, (len(ticks), 2)), FIX_SIGMA_M * RADIUS68, rng),
        detections=look(run, rng),
    )
