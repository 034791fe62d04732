"""Warm before the first batch: what real chunks call was compiled by the made-up one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from api.wiring import EVIDENCE
from defects import features, forest, gate, laser, observe, warm_up
from ingest import Bands, City, Laser, decode, encode

from ..roads import straight


def compiled() -> dict[str, int]:
    """How many versions there are of each kernel."""
    return {
        f"{room.__name__}.{name}": len(kernel.signatures)
        for room in (features, forest, gate, laser)
        for name, kernel in vars(room).items()
        if hasattr(kernel, "signatures")
    }


def test_nothing_is_compiled_any_more_after_the_warm_up(city: City) -> None:
    warm_up(EVIDENCE)
    warm = compiled()
    assert len(warm) > 10
    plain = straight(city, jolts=((2.0, 1.5, 0.0),))
    full = replace(
        plain,
        laser=Laser(plain.t0_s, 50.0, 3.0, 0.001, np.zeros((400, 31), np.int16)),
        bands=Bands(plain.t0_s, 0.25, np.array([250, 1000], np.float32), np.full((30, 2), 50, np.float32)),
    )
    bare = replace(straight(city, jolts=((2.0, 1.5, 0.0),), accuracy_m=3.0, carrier="car"), gyro_counts=None)
    for chunk, kind in ((plain, "box"), (full, "box"), (bare, "phone")):
        assert observe(decode(encode(chunk)), kind, 1, city, EVIDENCE).findings
    assert compiled() == warm
