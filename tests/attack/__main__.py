"""`python -m tests.attack`: attacks towns under many rules and writes what it found into docs/privacy-attack.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from api.wiring import EVIDENCE
from ingest import read_city

from .attackers import ATTACKERS, BLIND
from .publication import RAW
from .trial import Outcome, Size, attack, world

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "privacy-attack.md"
BEGIN, END = "<!-- written by tests.attack -->", "<!-- end of attack -->"
RULES = (
    (RAW, 0.0), (1, 0.0), (1, 100.0), (1, 200.0), (1, 400.0), (2, 0.0), (2, 200.0),
    (3, 0.0), (3, 100.0), (3, 200.0), (3, 400.0), (5, 0.0), (5, 200.0),
)  # fmt: skip
"""k, and metres trimmed."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def run(sizes: list[Size]) -> list[list[Outcome]]:
    """Every town under every rule."""
    city = read_city((ROOT / "city.toml").read_text())
    towns = []
    for size in sizes:
        begun_s = told_s = time.monotonic()

        def observed(n: int, size: Size = size) -> None:
            nonlocal told_s
            if time.monotonic() - told_s > 3:
                told_s = time.monotonic()
                say(f"town {size.seed}: {n:,} chunks observed")

        one = world(size, city, EVIDENCE, observed)
        say(f"town {size.seed}: {len(one.heard):,} chunks, {time.monotonic() - begun_s:.0f} s; attacking ...")
        towns.append(attack(one, city, RULES, lambda o: say(f"  k={o.k}, {o.trim_m:.0f} m: best {o.best:.2f}")))
    return towns


def mean(outcomes: list[Outcome], name: str) -> float:
    """Share found over all towns, which are of one size."""
    return sum(o.found[name] for o in outcomes) / len(outcomes)


def table(towns: list[list[Outcome]], sizes: list[Size]) -> str:
    """The outcomes as a table, with the conditions."""
    size = sizes[0]
    names = list(ATTACKERS)
    conditions = (
        f"{len(sizes)} towns (seeds {', '.join(str(s.seed) for s in sizes)}) of {size.blocks * 120 / 1000:.1f} km a "
        f"side with eight villages at dead ends, {size.citizens} citizens each, {size.days} days; simulated. Share of "
        "homes named to within 200 m at the first guess:"
    )
    lines = [
        conditions,
        "",
        f"| k | trimmed | told | {' | '.join(names)} | limit 1.5/k |",
        "|---" * (len(names) + 4) + "|",
    ]
    for rows in zip(*towns, strict=True):
        k, trim_m = rows[0].k, rows[0].trim_m
        told = sum(o.told for o in rows) / len(rows)
        cells = " | ".join(f"{mean(list(rows), n):.2f}" for n in names)
        limit = "none, the control" if k <= 1 else f"{1.5 / k:.2f}"
        rule = "raw" if k == RAW else str(k)
        lines.append(f"| {rule} | {trim_m:.0f} m | {100 * told:.1f} % | {cells} | {limit} |")
    blind = ", ".join(f"{n} {mean([o for t in towns for o in t], n):.2f}" for n in BLIND)
    return "\n".join([*lines, "", f"Who reads nothing reaches: {blind}. *Told*: places of the town times days."])


def main() -> None:
    """Parses, runs, prints; with --write also into the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--citizens", type=int, default=16, help="in each town")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--blocks", type=int, default=18, help="of 120 m along a town's side")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="one town each")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
    sizes = [Size(given.citizens, given.days, given.blocks, seed) for seed in given.seeds]
    towns = run(sizes)
    text = table(towns, sizes)
    if given.json:
        rows = [{"seed": s.seed, **asdict(o), "best": o.best} for s, t in zip(sizes, towns, strict=True) for o in t]
        print(json.dumps(rows, indent=1))  # noqa: T201
    else:
        print(text)  # noqa: T201
    if given.write:
        page = PAGE.read_text()
        head, rest = page.split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
