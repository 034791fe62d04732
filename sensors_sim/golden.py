"""International roughness index of a profile: what a golden car at 80 km/h makes of it.

Constants of the golden car as in the standard (ASTM E1926 and the World Bank's paper on it, read in public code): a
quarter of a car with ks/ms 63.3, kt/ms 653, c/ms 6.0, mu/ms 0.15, over a profile smoothed by 0.25 m, the patch of a
tyre.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Series = NDArray[np.float64]

SPEED_MPS = 80 / 3.6
TYRE_M = 0.25
START_M = 20.0
"""Driven before the index counts: shorter, and the car still swings from its start on."""
_SUBSTEPS = 4


@njit(cache=True)
def _strokes(profile: Series, step_m: float, substeps: int, out: Series) -> None:
    """Speed of the suspension's stroke, absolute, m/s, at each value of the profile, into out (k,)."""
    dt = step_m / 22.222222222222222 / substeps
    zs = zu = profile[0]
    vs = vu = 0.0
    for i in range(profile.shape[0]):
        before = profile[i - 1] if i > 0 else profile[0]
        total = 0.0
        for j in range(substeps):
            z = before + (profile[i] - before) * (j + 1) / substeps
            stroke = 63.3 * (zs - zu) + 6.0 * (vs - vu)
            vs -= stroke * dt
            vu += (stroke - 653.0 * (zu - z)) / 0.15 * dt
            zs += vs * dt
            zu += vu * dt
            total += abs(vs - vu)
        out[i] = total / substeps


def iri_along(heights_m: Series, step_m: float) -> Series:
    """Index at each value of one or more profiles, m/km, float64 (k,): mean over the profiles; a mean over a piece
    of it is the IRI of the piece. heights_m: float64 (w, k), a value each step_m. The first `START_M` say nothing."""
    n = max(1, round(TYRE_M / step_m))
    total = np.zeros(heights_m.shape[1])
    for heights in heights_m:
        padded = np.concatenate([np.full(n // 2, heights[0]), heights, np.full(n - 1 - n // 2, heights[-1])])
        smooth = np.convolve(padded, np.ones(n) / n, "valid")
        out = np.empty(len(smooth))
        _strokes(smooth, step_m, _SUBSTEPS, out)
        total += out
    return np.asarray(total / len(heights_m) / SPEED_MPS * 1000.0)
