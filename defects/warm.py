"""Before the first batch: models loaded and every kernel of the recogniser compiled, on a made-up pass over a bump.

Compiled anew it takes 20 s, out of numba's own cache half a second (measured on two loaded cores). A batch that
waited for it would outlive the time in which the broker wants to hear of it, and come again.
"""

from __future__ import annotations

import numpy as np

from ingest import Bands, Chunk, Fixes, Laser

from .options import EvidenceOptions

_RATE_HZ = 100.0
_SPEED_MPS = 10.0
_N = 900


def _bump(kind: str) -> Chunk:
    """Nine seconds with one jolt in the middle: with all senses of a box, or the acceleration that every phone has."""
    t = np.arange(_N) / _RATE_HZ
    heave = 15.0 * np.exp(-(((t - 4.5) / 0.05) ** 2)) + 0.05 * np.sin(40.0 * t)
    acc = np.stack([np.zeros(_N), np.zeros(_N), 9.81 + heave], axis=1)
    box = kind == "box"
    fix_t = np.arange(46) / 5
    lines = np.zeros((_N, 21), np.int16)
    lines[440:460] = -40
    levels = np.full((_N // 10, 4), 60.0, np.float32)
    return Chunk(
        trip="20260101-0000000000000001", seq=0, start_s=2.0, end_s=7.0, t0_s=0.0, rate_hz=_RATE_HZ, carrier="bus",
        origin="simulated", datum="wgs84", acc_scale_mps2=1 / 1024, acc_counts=np.rint(acc * 1024).astype(np.int16),
        gyro_scale_radps=1 / 4096, gyro_counts=np.zeros((_N, 3), np.int16) if box else None,
        fixes=Fixes(
            fix_t, np.full(46, 30.0), np.full(46, 120.0), np.full(46, 0.075, np.float32),
            np.full(46, _SPEED_MPS, np.float32), np.zeros(46, np.float32),
        ),
        laser=Laser(0.0, _RATE_HZ, 2.0, 0.001, lines) if box else None,
        bands=Bands(0.0, 0.1, np.array([125.0, 500.0, 2000.0, 4000.0], np.float32), levels) if box else None,
    )  # fmt: skip


def warm_up(options: EvidenceOptions) -> None:
    """Recognises a bump with each model of ``options``. Raises ModelError where one cannot be used."""
    if not options.models:
        return
    from .recognise import recognise  # noqa: PLC0415 - wakes the compiler: only who recognises pays for it
    from .shipped import shipped  # noqa: PLC0415

    for kind, name in sorted(options.models.items()):
        (told,) = recognise([_bump(kind)], [np.full(_N, _SPEED_MPS)], kind, shipped(name))
        if not len(told.t_s):
            raise RuntimeError(f"the model {name} felt nothing in a bump of 1.5 g: not all of it is compiled")
