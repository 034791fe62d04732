"""How a vehicle answers the road: a non-linear model with seven degrees of freedom, and what a box in it feels.

Bounce, pitch and roll of the body, four wheels. Dampers are softer in compression than in rebound and yield above a
knee, bump stops end the travel on both sides, tyres press and never pull: over a missing cover a wheel falls freely.
A bicycle is the same model with both wheels of an axle in one track, so that nothing rolls it.

Axes: x forward, y left, z up; angles by the right hand: roll positive with the left side up, pitch positive nose down.
**When the left wheel falls, the left side goes down and the roll rate is negative first; when the right one falls,
positive.**
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .plan import WAY_HZ, Act, Motion, Plan, Series, Wheels
from .profile import PHYSICS_HZ, STEP_M, tracks_m

G_MPS2 = 9.81
MOTION_HZ = 400
"""Rate of what `feel` returns; a third of PHYSICS_HZ."""


@dataclass(frozen=True)
class Vehicle:
    """A vehicle as its maker might describe it.

    sprung_kg: body with load; front_share: of the body's weight on the front axle; hz_front, hz_rear: natural frequency
    of the body on the springs of one axle; damping: share of the critical, mean of compression and rebound; wheel_*_kg,
    tyre_*_npm: mass and stiffness of one wheel (on a single track: of half a wheel); tall_m: centre of gravity above
    the road; bar: stiffness of the anti-roll bars over that of the springs; travel_m: from rest to a bump stop;
    pitch_index: k² / ab; idle_hz and hum_mps2: engine at rest and its vibration on the floor.
    """

    carrier: str
    sprung_kg: float
    front_share: float
    wheelbase_m: float
    half_track_m: float
    hz_front: float
    hz_rear: float
    damping: float
    wheel_front_kg: float
    wheel_rear_kg: float
    tyre_front_npm: float
    tyre_rear_npm: float
    tyre_m: float
    radius_m: float
    tall_m: float
    bar: float = 0.4
    travel_m: float = 0.08
    pitch_index: float = 0.92
    idle_hz: float = 26.0
    hum_mps2: float = 0.06


_VEHICLES = {
    "small_car": Vehicle(
        "car", 850, 0.60, 2.42, 0.71, 1.35, 1.45, 0.33, 32, 32, 180e3, 180e3, 0.175, 0.29, 0.50
    ),
    "sedan": Vehicle("car", 1300, 0.55, 2.70, 0.78, 1.25, 1.35, 0.36, 42, 40, 210e3, 210e3, 0.205, 0.32, 0.53),
    "suv": Vehicle("car", 1700, 0.54, 2.80, 0.80, 1.30, 1.40, 0.35, 55, 55, 240e3, 240e3, 0.235, 0.36, 0.66),
    "taxi_ev": Vehicle(
        "car", 1750, 0.50, 2.75, 0.78, 1.30, 1.40, 0.36, 46, 46, 245e3, 245e3, 0.215, 0.33, 0.48, hum_mps2=0.01
    ),
    "minibus": Vehicle(
        "bus", 2900, 0.48, 3.20, 0.83, 1.50, 1.70, 0.30, 75, 110, 320e3, 420e3, 0.225, 0.35, 0.85, hum_mps2=0.12
    ),
    "van_sweeper": Vehicle(
        "sweeper", 4500, 0.45, 3.30, 0.85, 1.65, 1.90, 0.28, 140, 220, 480e3, 850e3, 0.24, 0.38, 1.0, hum_mps2=0.25
    ),
    "city_bus": Vehicle(
        "bus", 10500, 0.37, 5.90, 1.02, 1.10, 1.20, 0.28, 330, 560, 850e3, 1700e3, 0.30, 0.48, 1.2, 0.3, 0.09, 1.0,
        20.0, 0.15,
    ),
    "e_bike": Vehicle(
        "ebike", 100, 0.42, 1.25, 0.0, 2.6, 2.9, 0.20, 2.5, 6, 45e3, 50e3, 0.07, 0.24, 0.9, 0, 0.05, 0.7, 40.0, 0.0
    ),
    "bicycle": Vehicle(
        "bike", 85, 0.42, 1.08, 0.0, 4.6, 4.2, 0.12, 1.6, 1.9, 60e3, 60e3, 0.04, 0.34, 0.95, 0, 0.03, 0.7, 40.0, 0.0
    ),
}  # fmt: skip
MODELS: dict[str, str] = {name: vehicle.carrier for name, vehicle in _VEHICLES.items()}
"""Names of the models and the carrier of the wire format that each is."""

_SPREAD = {
    "sprung_kg": 0.2, "front_share": 0.07, "wheelbase_m": 0.08, "half_track_m": 0.05, "hz_front": 0.25,
    "hz_rear": 0.25, "damping": 0.4, "wheel_front_kg": 0.3, "wheel_rear_kg": 0.3, "tyre_front_npm": 0.35,
    "tyre_rear_npm": 0.35, "tyre_m": 0.15, "radius_m": 0.08, "tall_m": 0.1, "bar": 0.25, "travel_m": 0.2,
    "pitch_index": 0.1, "idle_hz": 0.15, "hum_mps2": 0.5,
}  # fmt: skip
"""Each vehicle of a model differs by so much on each side, as fleets do by make, load and wear. Less, and what is
trained on one fleet fits its vehicles too well; more, and a sedan becomes a bus."""
(_VEHICLE, _NOISE, _CLANK) = range(11, 14)  # purposes of generators


@lru_cache(maxsize=4096)
def vehicle_of(model: str, vehicle_seed: int | None) -> Vehicle:
    """The vehicle of a model with this seed; None: as the model's table has it. KeyError for an unknown model."""
    nominal = _VEHICLES[model]
    if vehicle_seed is None:
        return nominal
    rng = np.random.default_rng([vehicle_seed, _VEHICLE])
    names = [f.name for f in fields(Vehicle) if f.name in _SPREAD]
    drawn = {name: getattr(nominal, name) * float(1 + _SPREAD[name] * rng.uniform(-1, 1)) for name in names}
    return replace(nominal, **drawn)


def draw_wheels(model: str, vehicle_seed: int | None) -> Wheels:
    """Where the wheels of that vehicle are."""
    vehicle = vehicle_of(model, vehicle_seed)
    return Wheels(vehicle.half_track_m, vehicle.wheelbase_m, vehicle.tyre_m)


@lru_cache(maxsize=4096)
def _figures(vehicle: Vehicle, wheelbase_m: float, half_track_m: float) -> NDArray[np.float64]:
    """What the compiled core takes, SI units, in the order in which it reads them."""
    mass, share = vehicle.sprung_kg, vehicle.front_share
    ahead, behind = wheelbase_m * (1 - share), wheelbase_m * share
    front_kg, rear_kg = mass * share / 2, mass * (1 - share) / 2  # on one wheel
    w_front, w_rear = 2 * math.pi * vehicle.hz_front, 2 * math.pi * vehicle.hz_rear
    spring_f, spring_r = front_kg * w_front**2, rear_kg * w_rear**2
    damper_f, damper_r = 2 * vehicle.damping * front_kg * w_front, 2 * vehicle.damping * rear_kg * w_rear
    return np.array([
        mass,
        mass * (0.8 * max(half_track_m, 0.3)) ** 2,
        mass * ahead * behind * vehicle.pitch_index,
        ahead, behind, half_track_m, vehicle.tall_m,
        spring_f, spring_r, damper_f, damper_r,
        vehicle.wheel_front_kg, vehicle.wheel_rear_kg, vehicle.tyre_front_npm, vehicle.tyre_rear_npm,
        vehicle.bar * spring_f, vehicle.bar * spring_r, vehicle.travel_m,
    ])  # fmt: skip


@njit(cache=True)
def _leg(x: float, v: float, spring: float, damper: float, travel: float) -> float:
    """Force that presses body and wheel apart beyond its load at rest; x, v: compression and its speed."""
    force = spring * x
    if x > travel:  # rubber that hardens: eight springs after it is reached, twice that 2 cm on
        force += 8 * spring * (x - travel) * (1 + 25 * (x - travel))
    elif x < -travel:
        force += 8 * spring * (x + travel)
    knee = 0.25  # m/s, where the valves open
    c = damper * (0.6 if v > 0 else 1.4)
    if abs(v) > knee:
        return force + c * (knee + 0.5 * (abs(v) - knee)) * (1.0 if v > 0 else -1.0)
    return force + c * v


@njit(cache=True)
def _drive(  # noqa: PLR0915 - one step of a vehicle, unrolled for speed
    p: NDArray[np.float64],
    track: NDArray[np.float64],
    first_m: float,
    step_m: float,
    way_s_m: NDArray[np.float64],
    push: NDArray[np.float64],
    hold: int,
    substeps: int,
    dt: float,
    out: NDArray[np.float64],
) -> None:
    """Semi-implicit Euler: speeds from the forces at the places, then places from the new speeds.

    track: (2, k) or (1, k) heights along the lane from first_m on, a column each step_m; way_s_m (m,) and push (2, m),
    acceleration forward and to the left: a value each ``hold`` steps; out: (6, n) height, roll, pitch at the front
    axle, acceleration upwards there (mean over the sample), roll rate, pitch rate.
    """
    mass, ix, iy, ahead, behind, half, tall, travel = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[17]
    one_track = track.shape[0] == 1
    k = track.shape[1]
    spring, damper, tyre = np.empty(2), np.empty(2), np.empty(2)
    rub, kg, rest = np.empty(2), np.empty(2), np.empty(2)
    for axle in range(2):
        spring[axle], damper[axle], kg[axle], tyre[axle] = p[7 + axle], p[9 + axle], p[11 + axle], p[13 + axle]
        rub[axle] = 0.03 * math.sqrt(tyre[axle] * kg[axle])  # rubber: 1.5 % of the critical
    rest[0] = (mass * behind / (ahead + behind) / 2 + kg[0]) * 9.81
    rest[1] = (mass * ahead / (ahead + behind) / 2 + kg[1]) * 9.81
    per_kg = 1 / kg  # division costs as much as all else of a line
    per_mass, per_ix, per_iy, per_step, per_hold = 1 / mass, 1 / ix, 1 / iy, 1 / step_m, 1 / hold
    road, u, du, ddu = np.zeros(4), np.zeros(4), np.zeros(4), np.zeros(4)
    z = dz = roll = droll = pitch = dpitch = 0.0
    for sample in range(out.shape[1]):
        before = dz - ahead * dpitch
        for step in range(substeps):
            i = sample * substeps + step
            j = min(i // hold, way_s_m.shape[0] - 2)
            part = min(i * per_hold - j, 1.0)
            s_m = way_s_m[j] * (1 - part) + way_s_m[j + 1] * part
            for axle in range(2):
                at = (s_m - axle * (ahead + behind) - first_m) * per_step
                low = min(max(int(at), 0), k - 2)
                part = at - low
                road[2 * axle] = track[0, low] * (1 - part) + track[0, low + 1] * part
                if one_track:
                    road[2 * axle + 1] = road[2 * axle]
                else:
                    road[2 * axle + 1] = track[1, low] * (1 - part) + track[1, low + 1] * part
            if i == 0:  # stands on the road as it is there
                u[:] = road
                pitch = ((u[2] + u[3]) - (u[0] + u[1])) / 2 / (ahead + behind)
                z = (u[0] + u[1]) / 2 + pitch * ahead
                roll = ((u[0] - u[1]) + (u[2] - u[3])) / (4 * half) if half > 0 else 0.0
            if step == 0:
                out[0, sample], out[1, sample], out[2, sample] = z - ahead * pitch, roll, pitch
                out[4, sample], out[5, sample] = droll, dpitch
            lift = 0.0
            turn, nod = mass * push[1, j] * tall, -mass * push[0, j] * tall
            for axle in range(2):
                x_w = ahead if axle == 0 else -behind
                middle, dmiddle = z - pitch * x_w, dz - dpitch * x_w
                twist = p[15 + axle] * (2 * half * roll - (u[2 * axle] - u[2 * axle + 1]))
                for side in range(2):
                    w = 2 * axle + side
                    y_w = half if side == 0 else -half
                    x, v = u[w] - middle - roll * y_w, du[w] - dmiddle - droll * y_w
                    force = _leg(x, v, spring[axle], damper[axle], travel)
                    force += twist if side == 1 else -twist
                    press = rest[axle] + tyre[axle] * (road[w] - u[w]) - rub[axle] * du[w]
                    ddu[w] = (max(press, 0.0) - rest[axle] - force) * per_kg[axle]
                    lift += force
                    turn += force * y_w
                    nod -= force * x_w
            dz += dt * lift * per_mass
            droll += dt * turn * per_ix
            dpitch += dt * nod * per_iy
            z += dt * dz
            roll += dt * droll
            pitch += dt * dpitch
            for w in range(4):
                du[w] += dt * ddu[w]
                u[w] += dt * du[w]
        out[3, sample] = (dz - ahead * dpitch - before) / (dt * substeps)


def _smooth(values: Series, seconds: float) -> Series:
    """Hann-weighted mean over about ``seconds``, its ends held."""
    half = max(1, round(seconds * WAY_HZ / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.concatenate([np.full(half, values[0]), values, np.full(half, values[-1])])
    return np.convolve(padded, window / window.sum(), "valid")


def _pushed(plan: Plan) -> NDArray[np.float64]:
    """Acceleration forward and to the left (2, m), a value each 1 / WAY_HZ.

    Sideways from the second difference of the place, whatever the course says between polyline points; a driver's
    hands are no faster than the half second over which it is smoothed.
    """
    way = plan.way
    push = np.empty((2, len(way.s_m)))
    push[0] = np.gradient(_smooth(way.v_mps, 0.2)) * WAY_HZ
    course = np.radians(way.course_deg)
    east = np.gradient(np.gradient(_smooth(way.east_m - way.east_m[0], 0.8))) * WAY_HZ**2
    north = np.gradient(np.gradient(_smooth(way.north_m - way.north_m[0], 0.8))) * WAY_HZ**2
    push[1] = _smooth(-np.cos(course) * east + np.sin(course) * north, 0.3)
    edge = min(len(way.s_m) // 2, round(0.6 * WAY_HZ))  # held ends would look like a standing start
    push[1, :edge], push[1, len(way.s_m) - edge :] = push[1, edge], push[1, len(way.s_m) - edge - 1]
    for act in plan.acts:
        _act(act, push)
    return push


_USUAL_MPS2 = {"braking": (0, -3.0), "turning": (1, 2.5)}


def _act(act: Act, push: NDArray[np.float64]) -> None:
    if act.kind not in _USUAL_MPS2:
        return
    axis, usual = _USUAL_MPS2[act.kind]
    t = np.arange(push.shape[1]) / WAY_HZ - act.t_s
    rise = 0.15 if axis == 0 else 0.4  # a foot is quicker than a wheel
    shape = np.clip(np.minimum(t, act.duration_s - t) / rise, 0, 1)
    push[axis] += usual * act.strength * shape * shape * (3 - 2 * shape)


def _clank(plan: Plan, count: int) -> Series:
    """Hits of loose covers and slabs as a wheel presses one side down, then the other."""
    way, wheels = plan.way, plan.wheels
    out = np.zeros(count)
    t_way = np.arange(len(way.s_m)) / WAY_HZ
    ring = np.exp(-np.arange(round(0.08 * MOTION_HZ)) / (0.018 * MOTION_HZ))
    sides = (wheels.half_track_m, -wheels.half_track_m) if wheels.half_track_m > 0 else (0.0,)
    for number, thing in enumerate(plan.stretch.things):
        if thing.rattle <= 0 or not way.s_m[0] < thing.s_m < way.s_m[-1] - wheels.wheelbase_m:
            continue
        rng = np.random.default_rng([plan.pass_seed, _CLANK, number])
        for axle_m in (0.0, wheels.wheelbase_m):
            for side in sides:
                middle = np.interp(thing.s_m + axle_m, way.s_m, way.y_m) + side - thing.y_m
                if abs(middle) > thing.width_m / 2:
                    continue
                for end in (-0.45, 0.45):
                    s = thing.s_m + axle_m + end * thing.length_m
                    at = round(float(np.interp(s, way.s_m, t_way)) * MOTION_HZ)
                    v = float(np.interp(s, way.s_m, way.v_mps))
                    hit = thing.rattle * 5.0 * math.sqrt(v / 10) * rng.lognormal(0.0, 0.35)
                    last = min(count, at + len(ring))
                    if 0 <= at < last:
                        out[at:last] += hit * (ring * rng.standard_normal(len(ring)))[: last - at]
    return out


@njit(cache=True)
def _felt(
    ridden_out: NDArray[np.float64],
    push: NDArray[np.float64],
    v_mps: NDArray[np.float64],
    noise: NDArray[np.float32],
    clank: NDArray[np.float64],
    engine: NDArray[np.float64],
    ratio: int,
    force: NDArray[np.float64],
    rate: NDArray[np.float64],
) -> None:
    """Specific force and turn rates (n, 3) from what `_drive` put out, what pushes, and vibration: tones with the
    engine's turns, noise that grows with speed. engine: hum (m/s²), idle (Hz), m/s from idle to shifting up, first
    phase, wetness; ratio: samples to a value of the way."""
    n = ridden_out.shape[1]
    last = v_mps.shape[0] - 2
    phase = engine[3]
    gravity = 9.81
    for i in range(n):
        j = min(i // ratio, last)
        q = i / ratio - j
        v = v_mps[j] * (1 - q) + v_mps[j + 1] * q
        ahead = push[0, j] * (1 - q) + push[0, j + 1] * q
        left = push[1, j] * (1 - q) + push[1, j + 1] * q
        level = 0.02 + 0.006 * v * engine[4]
        hum = 0.0
        if engine[0] > 0.0:
            gears = v / engine[2]
            turns = engine[1] * (1 + 1.2 * (gears - math.floor(gears)))
            phase += 2 * math.pi * turns / (100.0 * ratio)
            one, two = math.sin(phase), math.cos(phase)
            hum = engine[0] * (one + 0.8 * one * two)
        # Differences of white noise: more above 100 Hz than below, as a body passes it on.
        x = level * (noise[i + 1, 0] - 0.7 * noise[i, 0])
        y = level * (noise[i + 1, 1] - 0.7 * noise[i, 1])
        z = level * (noise[i + 1, 2] - 0.7 * noise[i, 2])
        force[i, 0] = ahead - gravity * ridden_out[2, i] + 0.5 * (x + hum)
        force[i, 1] = left + gravity * ridden_out[1, i] + 0.5 * y + 0.6 * hum
        force[i, 2] = gravity + ridden_out[3, i] + clank[i] + z + hum
        rate[i, 0], rate[i, 1] = ridden_out[4, i], ridden_out[5, i]
        rate[i, 2] = left / max(v, 3.0)  # slower, and a wheel turned on the spot would turn the vehicle


def feel(plan: Plan, vehicle: Vehicle | None = None, substeps: int = PHYSICS_HZ // MOTION_HZ) -> Motion:
    """What a rigid box over the front axle feels, at MOTION_HZ from the way's first value on.

    vehicle: instead of the one of the plan's model and vehicle_seed. substeps: steps of the physics to a sample.
    Sources of noise follow pass_seed, the road the stretch's seed. KeyError for an unknown model.
    """
    vehicle = vehicle or vehicle_of(plan.model, plan.vehicle_seed)
    rate = MOTION_HZ * substeps
    track, first = tracks_m(plan, vehicle.radius_m)
    push = _pushed(plan)
    count = round((len(plan.way.s_m) - 1) * MOTION_HZ / WAY_HZ) + 1
    out = np.empty((6, count))
    figures = _figures(vehicle, plan.wheels.wheelbase_m, plan.wheels.half_track_m)
    _drive(figures, track, first, STEP_M, plan.way.s_m, push, round(rate / WAY_HZ), substeps, 1 / rate, out)
    clank = _clank(plan, count)
    rng = np.random.default_rng([plan.pass_seed, _NOISE])
    engine = np.array([
        vehicle.hum_mps2, vehicle.idle_hz, rng.uniform(9, 13), rng.uniform(0, 2 * np.pi), 1.3 if plan.wet else 1.0
    ])  # fmt: skip
    noise = rng.standard_normal((count + 1, 3), dtype=np.float32)
    force, rate_radps = np.empty((count, 3)), np.empty((count, 3))
    _felt(out, push, plan.way.v_mps, noise, clank, engine, round(MOTION_HZ / WAY_HZ), force, rate_radps)
    return Motion(float(MOTION_HZ), force, rate_radps, out[0], out[1], out[2], clank)
