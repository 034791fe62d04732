"""Small models for tests, with trees grown in a second on numbers of chance, and a chunk with all senses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from defects.gate import GATE_BOX, GATE_PHONE
from defects.model import Model
from defects.research.fit import FitOptions, forest
from defects.senses import feature_names
from defects.taxonomy import BY_KEY, Leaf
from defects.told import SPEED_EDGES_MPS
from ingest import Bands, Chunk, Laser

LEAVES = (Leaf("pothole"), Leaf("faulting"), Leaf("subsidence", "settlement"))


def tiny(kind: str, seed: int = 1) -> Model:
    """A model of ``kind``. It needs scikit-learn."""
    rng = np.random.default_rng([seed, 1])
    names = feature_names(kind)
    rows = rng.normal(size=(600, len(names)))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    rise, crest = (np.nan_to_num(rows[:, names.index(n)]) for n in ("rise_2", "crest"))
    options = FitOptions(rounds=6, leaves=7, least=10, share=1.0)
    return Model(
        kind=kind,
        gate=GATE_BOX if kind == "box" else GATE_PHONE,
        leaves=LEAVES,
        detect=forest("classes", rows, (rise > 0).astype(np.int64), None, options, seed),
        knots=np.array([[-0.8, 0.0, 0.8], [-6.0, -2.0, 20.0]]),
        prior=0.02,
        kinds=forest("classes", rows, np.digitize(crest, (-0.4, 0.4)), None, options, seed),
        temperature=1.3,
        shares=np.array([0.5, 0.3, 0.2]),
        size=forest("number", rows, np.log1p(20 + 5 * np.tanh(rise)), None, options, seed),
        fire=0.5,
        quiet=np.full((len(BY_KEY), len(SPEED_EDGES_MPS), 3), 0.5),
        rough=np.array([-3.0, -1.0]),
        per_m=0.01,
    )


def equipped(chunk: Chunk, seed: int) -> Chunk:
    """With a laser that saw a hole and a microphone that heard it."""
    rng = np.random.default_rng([seed, 2])
    lines = rng.normal(0, 0.8, (9 * 20, 64))
    lines[80:84, 20:40] -= 40
    levels = rng.normal(60, 2, (90, 8)).astype(np.float32)
    levels[40:43] += 15
    centre_hz = np.array([63, 125, 250, 500, 1000, 2000, 4000, 8000], np.float32)
    return replace(
        chunk,
        laser=Laser(chunk.t0_s, 20.0, 3.2, 0.0001, np.rint(lines * 10).astype(np.int16)),
        bands=Bands(chunk.t0_s, 0.1, centre_hz, levels),
    )
