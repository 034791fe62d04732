"""Straight, steady drives over a stretch with given things: what the tests of the first family drive."""

import numpy as np

from sensors_sim.car import MODELS, draw_wheels
from sensors_sim.plan import WAY_HZ, Act, Plan, Stretch, Thing, Way


def thing(kind: str, size_m: tuple[float, float], height_mm: float, y_m: float = 0.0, **more: object) -> Thing:
    fields: dict[str, object] = {"subtype": "", "amount": abs(height_mm), "unit": "mm", "grade": 2, "seed": 5} | more
    return Thing(kind=kind, s_m=100.0, y_m=y_m, length_m=size_m[0], width_m=size_m[1], height_mm=height_mm, **fields)  # type: ignore[arg-type]


def straight(
    *things: Thing,
    kmh: float = 40.0,
    length_m: float = 160.0,
    roughness: str = "A",
    seed: int = 1,
    model: str = "sedan",
    vehicle_seed: int | None = None,
    acts: tuple[Act, ...] = (),
    pass_seed: int = 0,
) -> Plan:
    v = kmh / 3.6
    s = np.asarray(np.arange(int(length_m / v * WAY_HZ) + 1) * v / WAY_HZ, dtype=np.float64)
    one = np.ones(len(s))
    way = Way(1e9, s, v * one, 0 * one, 0 * one, s.copy(), 0 * one)
    wheels = draw_wheels(model, vehicle_seed)
    stretch = Stretch(length_m, roughness, seed, things)
    return Plan(
        stretch, way, MODELS[model], model, wheels, "box", 200.0,
        acts=acts, vehicle_seed=vehicle_seed or 0, pass_seed=pass_seed,
    )  # fmt: skip
