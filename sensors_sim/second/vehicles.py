"""Vehicles of the second family: vans, minibuses, buses, lorries, sweepers, electric two-wheelers.

Masses, springs and dampers are proposed, set so that body and wheels answer where such vehicles are said to: body 1.1
to 2.4 Hz, wheels 10 to 15 Hz. Each vehicle of a model differs a little, by its seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..plan import Wheels


@dataclass(frozen=True)
class Axle:
    """One axle.

    share: of the sprung weight on it. heave_hz: of the body on its springs; damping: share of critical at low speeds,
    the mean of bump and rebound. friction: of leaves or seals, as a share of the axle's load. air: stiffness of the
    bellows' second chamber as a share of the first, 0 for steel. unsprung: mass as a share of the axle's load. hop_hz:
    of the wheel between tyre and spring. spring_track: where the springs stand, as a share of the wheels' half track, 1
    for independent wheels. travel_m: up to the stop.
    """

    share: float
    heave_hz: float
    damping: float
    friction: float
    air: float
    unsprung: float
    hop_hz: float
    spring_track: float
    travel_m: float


@dataclass(frozen=True)
class Model:
    """One vehicle model.

    sprung_kg; half_track_m, wheelbase_m, tyre_m (width of a tyre or of a pair); gyration: of pitch and roll, squared
    radius over (front lever times rear lever) and over half track squared. cg_m: height of the sprung mass above the
    springs. mount_m: where the box or phone may sit behind the front axle. flex_hz, flex: bending of the body and how
    much of it the mount feels. hum_mps2: engine and drive at cruising speed, hum_hz at 10 m/s.
    """

    carrier: str
    sprung_kg: float
    half_track_m: float
    wheelbase_m: float
    tyre_m: float
    front: Axle
    rear: Axle
    gyration: tuple[float, float]
    cg_m: float
    mount_m: tuple[float, float]
    flex_hz: float
    flex: float
    hum_mps2: float
    hum_hz: float


def _independent(share: float, heave_hz: float, unsprung: float = 0.11) -> Axle:
    return Axle(share, heave_hz, 0.42, 0.012, 0.0, unsprung, 15.0, 1.0, 0.06)


def _leaves(share: float, heave_hz: float, friction: float, unsprung: float = 0.16) -> Axle:
    return Axle(share, heave_hz, 0.32, friction, 0.0, unsprung, 13.0, 0.78, 0.07)


def _bellows(share: float, heave_hz: float, unsprung: float = 0.14) -> Axle:
    return Axle(share, heave_hz, 0.42, 0.015, 0.9, unsprung, 11.5, 0.80, 0.07)


_FLEET: dict[str, Model] = {
    "microvan": Model(
        "car", 1050, 0.69, 2.70, 0.17, _independent(0.52, 1.45), _leaves(0.48, 1.75, 0.025, 0.15), (0.75, 0.60),
        0.45, (0.3, 1.0), 26.0, 0.95, 0.10, 26.0,
    ),
    "panel_van": Model(
        "car", 1900, 0.83, 3.20, 0.22, _independent(0.54, 1.35), _leaves(0.46, 1.7, 0.03, 0.15), (0.8, 0.60),
        0.55, (0.3, 1.2), 22.0, 0.95, 0.09, 24.0,
    ),
    "minibus": Model(
        "bus", 3300, 0.86, 3.85, 0.22, _independent(0.45, 1.35), _leaves(0.55, 1.6, 0.035), (1.0, 0.75),
        0.65, (1.0, 3.0), 17.0, 0.5, 0.10, 23.0,
    ),
    "city_bus": Model(
        "bus", 10800, 1.03, 5.90, 0.32, _bellows(0.36, 1.15), _bellows(0.64, 1.15), (1.25, 0.85),
        0.75, (0.8, 3.0), 9.5, 0.35, 0.12, 18.0,
    ),
    "electric_bus": Model(
        "bus", 9200, 1.02, 5.00, 0.30, _bellows(0.42, 1.2), _bellows(0.58, 1.2), (1.15, 0.80),
        0.80, (0.5, 2.5), 10.5, 0.30, 0.03, 40.0,
    ),
    "light_lorry": Model(
        "unknown", 3900, 0.84, 3.60, 0.40, _leaves(0.42, 2.0, 0.05), _leaves(0.58, 2.1, 0.055), (1.0, 0.70),
        0.70, (0.5, 1.2), 13.0, 0.40, 0.16, 21.0,
    ),
    "lorry": Model(
        "unknown", 9500, 0.98, 4.70, 0.55, _leaves(0.36, 1.9, 0.055), _leaves(0.64, 2.1, 0.06), (1.05, 0.70),
        0.85, (0.5, 2.0), 9.0, 0.40, 0.18, 18.0,
    ),
    "road_sweeper": Model(
        "sweeper", 6800, 0.90, 3.30, 0.45, _leaves(0.38, 2.1, 0.05), _leaves(0.62, 2.3, 0.06), (1.0, 0.70),
        0.80, (0.5, 1.5), 11.5, 0.35, 0.30, 32.0,
    ),
    "delivery_ebike": Model(
        "ebike", 105, 0.0, 1.30, 0.075, Axle(0.42, 2.6, 0.25, 0.03, 0.0, 0.13, 14.0, 1.0, 0.055),
        Axle(0.58, 3.0, 0.22, 0.03, 0.0, 0.15, 15.0, 1.0, 0.05), (0.7, 1.0), 0.6, (0.0, 0.7), 30.0, 0.2, 0.05, 45.0,
    ),
    "step_through_ebike": Model(
        "bike", 88, 0.0, 1.18, 0.055, Axle(0.40, 4.0, 0.12, 0.02, 0.0, 0.09, 17.0, 1.0, 0.03),
        Axle(0.60, 5.5, 0.12, 0.02, 0.0, 0.13, 18.0, 1.0, 0.02), (0.7, 1.0), 0.65, (0.0, 0.5), 28.0, 0.2, 0.03, 50.0,
    ),
}  # fmt: skip

MODELS: dict[str, str] = {name: model.carrier for name, model in _FLEET.items()}
"""Model of this family -> carrier of the wire format."""

ROUGHNESS_MIX: dict[str, float] = {"A": 0.15, "B": 0.35, "C": 0.35, "D": 0.15}
"""Share of road of each class of ISO 8608; rougher than the mix one trains on."""

_LONG_BODY_HZ = 12.0  # bodies that bend slower are long: in places they move against their axles
SLOTS = 48
"""Length of the row of numbers that the integration takes."""


def two_wheeled(model: str) -> bool:
    """Whether a model has one track."""
    return _FLEET[model].half_track_m == 0


def _differs(rng: np.random.Generator, share: float) -> float:
    return float(np.exp(rng.normal(0, share)))


def draw_wheels(model: str, vehicle_seed: int) -> Wheels:
    """Where the wheels of one vehicle of a model are. Raises KeyError for a model that is none of `MODELS`."""
    of = _FLEET[model]
    rng = np.random.default_rng([vehicle_seed, 421])
    return Wheels(
        of.half_track_m * float(rng.uniform(0.97, 1.03)), of.wheelbase_m * float(rng.uniform(0.94, 1.08)), of.tyre_m
    )


@dataclass(frozen=True, eq=False)
class Vehicle:
    """One vehicle, ready to be driven: numbers of the integration (SLOTS,), and what the instruments ask for.

    hum_mps2, hum_hz: shaking by engine and drive.
    """

    numbers: NDArray[np.float64]
    hum_mps2: float
    hum_hz: float


def draw_vehicle(model: str, wheels: Wheels, vehicle_seed: int, device_seed: int) -> Vehicle:
    """One vehicle of a model and where in it the device sits.

    Springs from c = k / (2 pi f)², wheel hop from the tyre and the spring in parallel on the unsprung mass.
    """
    of = _FLEET[model]
    rng = np.random.default_rng([vehicle_seed, 422])
    mount = np.random.default_rng([device_seed, 423])
    sprung = of.sprung_kg * float(rng.uniform(0.85, 1.2))
    half = wheels.half_track_m
    lever = (
        wheels.wheelbase_m * of.rear.share,
        -wheels.wheelbase_m * of.front.share,
    )  # of front and rear axle from the cg
    pitch = of.gyration[0] * sprung * -lever[0] * lever[1]
    roll = of.gyration[1] * sprung * half**2 if half else 1e6
    q = np.zeros(SLOTS)
    q[:4] = sprung, pitch, roll, of.cg_m
    q[4] = lever[0] - float(mount.uniform(*of.mount_m))
    q[5] = half * float(mount.uniform(-0.6, 0.6))
    q[6] = float(mount.uniform(0.1, 0.9))  # above the axis about which it rolls
    q[7] = 2 * np.pi * of.flex_hz * _differs(rng, 0.12)
    against = 0.3 if of.flex_hz < _LONG_BODY_HZ else 0.0
    q[8] = of.flex * float(mount.uniform(0.5, 1.3)) * (-1.0 if mount.random() < against else 1.0)
    q[9] = 1.0 if half else 0.0
    for number, axle in enumerate((of.front, of.rear)):
        load = sprung * axle.share  # kg
        k = load * (2 * np.pi * axle.heave_hz * _differs(rng, 0.06)) ** 2 / 2  # of one side, N/m
        c = axle.damping * _differs(rng, 0.2) * np.sqrt(k * load / 2) * 2
        own = of.sprung_kg * axle.share * axle.unsprung
        tyre = own * (2 * np.pi * axle.hop_hz * _differs(rng, 0.05)) ** 2 / 2 - k * (1 + axle.air)
        b = 10 + 16 * number
        q[b : b + 13] = (
            lever[number], half, half * axle.spring_track, k, 1.15 * c, 0.95 * c,
            axle.friction * _differs(rng, 0.3) * load * 9.81 / 2, axle.air * k, 0.45 * c + 0.02 * k, axle.travel_m,
            own, 0.8 * own * half**2 if half else 1e6, tyre,
        )  # fmt: skip
        q[b + 13] = 0.06 * np.sqrt(tyre * own / 2)
        q[b + 14] = (load + own) * 9.81 / 2
        q[b + 15] = 4 * k
    return Vehicle(q, of.hum_mps2 * _differs(rng, 0.3), of.hum_hz * _differs(rng, 0.1))
