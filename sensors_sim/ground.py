"""The proving ground: roads, things on them and drives, drawn for training and for the benchmark. A pure function of
its options: the same ones give the same bytes."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from defects import LEAVES
from ingest import DEFECT_KEYS

from .catalogue import LOOK_ALIKES, draw_act, draw_look_alike
from .plan import Act, Plan, Ride, Stretch, Thing, Way
from .truth import Place
from .ways import Driver, Line, bends, drive

FAMILIES = ("first", "second")
WHAT = ("mixed", "varied", "healthy", "look_alikes", "passes")
"""mixed: all types alike, for judging; varied: all subtypes alike, for learning, or a rattling cover would be one thing
in a hundred."""
LANE_M = 3.5
KINDS = DEFECT_KEYS[:16]
"""What mixed roads carry: the 16 types of the standard; ponding and litter lie beyond it."""
GRADE_SHARE = (0.15, 0.40, 0.45)
LOOK_ALIKE_SHARE = 0.25
SPACING_M = (25.0, 75.0)
"""Between the end of a thing and the begin of the next, uniform: less, and what is around a thing is never healthy;
more, and training takes longer roads for as many things."""
NATURAL_PER_KM = {
    "sound_cover": 12.5, "good_patch": 2.5, "slab_joint": 1.5, "expansion_joint": 1.0, "speed_bump": 1.4,
    "raised_crosswalk": 0.3, "rail": 0.2, "cobbles": 0.1,
    "pavement_change": 1.0, "manhole_row": 0.5, "branches": 0.3, "drain_channel": 0.2, "kerb_drop": 0.2,
    "tram_crossing": 0.1, "rumble_strips": 0.1, "cable_ramp": 0.03, "cattle_grid": 0.01,
}  # fmt: skip
"""Harmless things on a healthy road, proposed: a sound cover each 80 m, a joint or patch each 200 m, a bump each 600 m,
rails each 5 km. The second line are those of the second family, which lie on its roads besides the others."""
ACTS_PER_KM = {"braking": 0.6, "turning": 0.4, "handled": 0.4, "dropped": 0.05, "typing": 0.25}
_OF_HANDS = ("handled", "dropped", "typing")
PHONE_HZ = ((50.0, 0.45), (60.0, 0.40), (100.0, 0.15))
"""Mini-programs, browsers, apps."""
RIDES = 4
"""Drives of one vehicle with one device; each on its own stretch."""
TWO_WHEELS = ("ebike", "bike")
_SPEED_KMH = {"bus": (15, 50), "sweeper": (6, 35), "ebike": (12, 28), "bike": (8, 22)}
_CAR_KMH = (15, 70)
_NIGHT, _WET = 0.25, 0.2
_ASIDE_M = {"ebike": -0.9, "bike": -0.9, "sweeper": -0.55}
"""Usual place of a carrier in the lane, to the left of its middle: by the kerb."""
_KERB_SHARE, _KERB_M = 0.12, 0.5
"""Drives of the others that keep by the kerb, and how far: without them no wheel ever meets a broken edge."""
SWERVE_SHARE = 0.1
"""Drivers who go around red holes; on real roads most do, here few, since what is not met cannot be learned."""
_CENTRE_DEG = (120.1655, 30.2790)
_SPREAD_DEG = 0.15
_FIRST_DAY = datetime(2026, 3, 2, 1, tzinfo=UTC)
"""09:00 in Hangzhou; drives lie within eleven hours of it, so that the day of the trip is the day in UTC as well."""
_ROAD, _FLEET, _RIDE = range(81, 84)  # purposes of generators


@dataclass(frozen=True)
class Options:
    """What to drive. km: at least. rate_hz: of a box's IMU. passes: over each stretch, of what = "passes"."""

    physics: str = "first"
    what: str = "mixed"
    device: str = "box"
    km: float = 50.0
    seed: int = 1
    equipment: frozenset[str] = frozenset()
    passes: int = 16
    rate_hz: float = 200.0


@dataclass(frozen=True, eq=False)
class Drive:
    """One drive, ready to be written: see DriveWriter.add. last: no further pass over its stretch follows."""

    plan: Plan
    place: Place
    device: str
    trip: str
    stretch: str
    last: bool


def family(physics: str) -> Any:
    """The module of a family of physics (`sensors_sim.first` tells its names). Raises ValueError for others."""
    if physics not in FAMILIES:
        raise ValueError(f"no physics {physics!r}; there are {', '.join(FAMILIES)}")
    return importlib.import_module(f".{physics}", __package__)


def ride(physics: str, plan: Plan) -> Ride:
    """What a plan's device records under a family of physics."""
    recorded: Ride = family(physics).ride(plan)
    return recorded


def _defect(rng: np.random.Generator, physics: Any, varied: bool) -> Thing:
    """One defect, of a type by chance, or of a subtype."""
    kind, subtype = str(rng.choice(KINDS)), None
    if varied:
        leaf = LEAVES[int(rng.integers(len(LEAVES)))]
        kind, subtype = leaf.key, leaf.subtype
    thing: Thing = physics.draw_defect(rng, kind, int(rng.choice(3, p=GRADE_SHARE)), LANE_M)
    for _ in range(60 if varied else 0):
        if thing.subtype == subtype:
            break
        thing = physics.draw_defect(rng, kind, int(rng.choice(3, p=GRADE_SHARE)), LANE_M)
    return thing


def _dense(
    rng: np.random.Generator, physics: Any, length_m: float, harmless_share: float, varied: bool
) -> tuple[Thing, ...]:
    """Things one after the other: defects of all types (or subtypes) and grades alike, and look-alikes."""
    things: list[Thing] = []
    at_m = rng.uniform(20, 60)
    while True:
        if rng.random() < harmless_share:
            thing = physics.draw_look_alike(rng, str(rng.choice(physics.LOOK_ALIKES)))
        else:
            thing = _defect(rng, physics, varied)
        if at_m + thing.length_m > length_m - 15:
            return tuple(things)
        things.append(replace(thing, s_m=float(at_m + thing.length_m / 2)))
        at_m += thing.length_m + rng.uniform(*SPACING_M)


def _natural(rng: np.random.Generator, physics: Any, length_m: float) -> tuple[Thing, ...]:
    """Harmless things alone, as often as one meets them, none upon another."""
    drawn = []
    for kind in dict.fromkeys((*LOOK_ALIKES, *physics.LOOK_ALIKES)):
        draw = physics.draw_look_alike if kind in physics.LOOK_ALIKES else draw_look_alike
        for _ in range(rng.poisson(NATURAL_PER_KM[kind] * length_m / 1000)):
            thing = draw(rng, kind)
            room = max(length_m - 30 - thing.length_m, 1.0)
            drawn.append(replace(thing, s_m=float(15 + thing.length_m / 2 + rng.uniform(0, room))))
    things: list[Thing] = []
    for thing in sorted(drawn, key=lambda t: t.s_m - t.length_m / 2):
        if not things or thing.s_m - thing.length_m / 2 > things[-1].s_m + things[-1].length_m / 2 + 1.0:
            things.append(thing)
    return tuple(things)


def stretch_of(options: Options, number: int) -> Stretch:
    """The stretch with this number: the same for every device that drives it."""
    rng = np.random.default_rng([options.seed, number, _ROAD])
    physics = family(options.physics)
    mix = physics.ROUGHNESS_MIX
    roughness = str(rng.choice(list(mix), p=np.array(list(mix.values())) / sum(mix.values())))
    seed = int(rng.integers(1, 2**31))
    if options.what == "healthy":
        length = float(rng.uniform(1000, 2500))
        return Stretch(length, roughness, seed, _natural(rng, physics, length))
    length = float(rng.uniform(400, 800))
    harmless = 1.0 if options.what == "look_alikes" else LOOK_ALIKE_SHARE
    return Stretch(length, roughness, seed, _dense(rng, physics, length, harmless, options.what == "varied"))


def _acts(rng: np.random.Generator, way: Way, length_m: float, device: str) -> tuple[Act, ...]:
    acts = []
    for kind, often in ACTS_PER_KM.items():
        for _ in range(rng.poisson(often * length_m / 1000)):
            act = draw_act(rng, kind, float(rng.uniform(4, max(way.duration_s - 14, 5))))
            if device == "phone" or kind not in _OF_HANDS:
                acts.append(act)
    return tuple(sorted(acts, key=lambda a: a.t_s))


@dataclass(frozen=True)
class _Vehicle:
    """A vehicle and the device in it."""

    model: str
    carrier: str
    vehicle_seed: int
    device_seed: int
    rate_hz: float
    aside_m: float


def _vehicle(options: Options, number: int) -> _Vehicle:
    rng = np.random.default_rng([options.seed, number, _FLEET])
    models = family(options.physics).MODELS
    names = list(models)
    if options.device == "box":
        weights = np.array([0.0 if models[n] in TWO_WHEELS else 1.0 for n in names])
    else:
        weights = np.array([0.4 if models[n] in TWO_WHEELS else 1.0 for n in names])
    model = str(rng.choice(names, p=weights / weights.sum()))
    rate = float(rng.choice([r for r, _ in PHONE_HZ], p=[p for _, p in PHONE_HZ]))
    aside = rng.normal(0, 0.15) + _ASIDE_M.get(models[model], 0.0)
    vehicle_seed, device_seed = (int(v) for v in rng.integers(1, 2**31, 2))
    rate_hz = options.rate_hz if options.device == "box" else rate
    return _Vehicle(model, models[model], vehicle_seed, device_seed, rate_hz, float(aside))


def _one(
    options: Options, number: int, stretch: Stretch, line: Line, vehicle: _Vehicle, nth: int
) -> tuple[Plan, str]:
    """The plan of the drive with this number, the nth of its device or over its stretch; and its trip's id."""
    rng = np.random.default_rng([options.seed, number, _RIDE])
    low, high = _SPEED_KMH.get(vehicle.carrier, _CAR_KMH)
    driver = Driver(
        speed_mps=rng.uniform(low, high) / 3.6,
        stops_per_km=2.0 if vehicle.carrier == "bus" else 0.7,
        aside_m=vehicle.aside_m + rng.normal(0, 0.1) - (_KERB_M if rng.random() < _KERB_SHARE else 0.0),
        wander_m=rng.uniform(0.15, 0.25),
        accel_mps2=rng.uniform(0.8, 1.8),
        brake_mps2=rng.uniform(1.2, 2.5),
        swerves=bool(rng.random() < SWERVE_SHARE),
    )
    start = _FIRST_DAY + timedelta(days=nth // 16, minutes=40 * (nth % 16))
    t0_s = round(start.timestamp() + rng.uniform(0, 600), 3)
    pass_seed = int(rng.integers(1, 2**31))
    wheels = family(options.physics).draw_wheels(vehicle.model, vehicle.vehicle_seed)
    way = drive(stretch, line, driver, wheels, t0_s, pass_seed)
    plan = Plan(
        stretch=stretch, way=way, carrier=vehicle.carrier, model=vehicle.model, wheels=wheels, device=options.device,
        rate_hz=vehicle.rate_hz, equipment=options.equipment if options.device == "box" else frozenset(),
        acts=_acts(rng, way, stretch.length_m, options.device), vehicle_seed=vehicle.vehicle_seed,
        device_seed=vehicle.device_seed, pass_seed=pass_seed,
        night=bool(rng.random() < _NIGHT), wet=bool(rng.random() < _WET),
    )  # fmt: skip
    return plan, f"{start:%Y%m%d}-{rng.bytes(8).hex()}"


def drives(options: Options) -> Iterator[Drive]:
    """Drives without end, in order; who takes them stops at the kilometres."""
    passes = options.passes if options.what == "passes" else 1
    number = 0
    road = 0
    while True:
        stretch = stretch_of(options, road)
        line = bends(stretch)
        rng = np.random.default_rng([options.seed, road, _ROAD, 1])
        lon, lat = (c + rng.uniform(-_SPREAD_DEG, _SPREAD_DEG) for c in _CENTRE_DEG)
        place = Place(round(float(lon), 6), round(float(lat), 6))
        for nth in range(passes):
            many = options.what == "passes"
            unit = number if many else number // RIDES
            vehicle = _vehicle(options, unit)
            plan, trip = _one(options, number, stretch, line, vehicle, nth if many else number % RIDES)
            name = f"{options.physics}-{options.what}-{options.seed}"
            device, road_name = f"{name}-{options.device}-{unit:06d}", f"{name}-{road:06d}"
            yield Drive(plan, place, device, trip, road_name, nth == passes - 1)
            number += 1
        road += 1


def expected_drives(options: Options) -> int:
    """About how many drives the kilometres take."""
    return math.ceil(options.km / (1.75 if options.what == "healthy" else 0.6))
