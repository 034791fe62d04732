"""Does the interval of an estimated PCI hold the true one as often as it says? Simulated sections, damage by damage.

    python -m defects.research.intervals --json
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass

import numpy as np

from ..indices import DEDUCT, SQUARE_AREA_M2, Looked, PciOptions, estimate_pci, pci
from ..taxonomy import ALL_TYPES, BY_KEY

_SQUARES = 700
_PATCH_SQUARES = 3.0  # mean size of a damage that is wider than a point, which the estimate does not know of
_POINTS = ("pothole", "frame_level")


@dataclass(frozen=True)
class Coverage:
    """looked: share of squares a camera saw. inside: share of sections whose true PCI lies in the interval; width:
    mean, points; error: mean of the estimate less the truth; rmse: of the same."""

    looked: float
    sections: int
    inside: float
    width: float
    error: float
    rmse: float


def coverage(looked: float, sections: int, rng: np.random.Generator, options: PciOptions) -> Coverage:
    """Sections from very good to bad are damaged, looked at in part, coloured with misses and false alarms, and
    estimated. The level of damage is drawn log-uniform over a factor of 30, and damages are patches: both are not what
    the estimate assumes."""
    hits, widths, errors = [], [], []
    for _ in range(sections):
        level = options.prior_per_m2 * 10 ** rng.uniform(-0.9, 0.6)
        confirmed = np.zeros(len(ALL_TYPES), np.int64)
        suspected = np.zeros(len(ALL_TYPES), np.int64)
        truth: dict[str, float] = {}
        for key in DEDUCT:
            sizes = rng.poisson(level * _SQUARES / (1 if key in _POINTS else _PATCH_SQUARES))
            patch = np.ones(sizes, np.int64) if key in _POINTS else rng.geometric(1 / _PATCH_SQUARES, sizes)
            squares = int(min(patch.sum(), _SQUARES))
            if squares:
                truth[key] = squares * SQUARE_AREA_M2.get(key, 1.0) * float(rng.lognormal(0.0, options.area_spread))
            # A patch is looked at as a whole or not at all: cameras miss stretches, not single squares.
            seen = int(rng.binomial(patch[rng.random(sizes) < looked], options.found).sum())
            false = int(rng.poisson(0.03 * level * _SQUARES))
            confirmed[BY_KEY[key].number] = rng.binomial(seen, 0.7)
            suspected[BY_KEY[key].number] = seen - confirmed[BY_KEY[key].number] + false
        told = estimate_pci(Looked(_SQUARES, np.full(len(ALL_TYPES), looked), confirmed, suspected), rng, options)
        true = float(pci(truth, float(_SQUARES)))
        if told is not None:
            hits.append(told.low - 1e-9 <= true <= told.high + 1e-9)
            widths.append(told.high - told.low)
            errors.append(told.value - true)
    off = np.array(errors)
    return Coverage(
        looked, sections, float(np.mean(hits)), float(np.mean(widths)), float(off.mean()),
        float(np.sqrt((off**2).mean())),
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    """Prints a row a share of squares that were looked at."""
    parser = argparse.ArgumentParser(
        prog="python -m defects.research.intervals",
        description="How often the interval of an estimated PCI holds the true one, on simulated sections.",
    )
    parser.add_argument("--sections", type=int, default=1000, help="a row (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args(arguments)
    rows = [
        coverage(looked, given.sections, np.random.default_rng([given.seed, k]), PciOptions())
        for k, looked in enumerate((0.3, 0.6, 0.8, 0.9, 1.0))
    ]
    if given.json:
        sys.stdout.write(json.dumps([asdict(r) for r in rows], indent=1) + "\n")
        return 0
    sys.stdout.write("looked  inside  width  error  rmse\n")
    for r in rows:
        sys.stdout.write(f"{r.looked:6.2f}  {r.inside:6.3f}  {r.width:5.1f}  {r.error:5.1f}  {r.rmse:4.1f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
