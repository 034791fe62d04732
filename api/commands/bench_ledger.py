"""`roadcode bench ledger`: what the log, its proofs and its anchors cost."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .printing import ERR, Json, bar, show

EXAMPLES = """\b
roadcode bench ledger
roadcode bench ledger --entries 20000 --leaves 1e6 --anchors 20
roadcode bench ledger --json > ledger.json"""


def bench_ledger(
    entries: Annotated[int, typer.Option(help="records through the pump", min=100)] = 50_000,
    leaves: Annotated[str, typer.Option(help="leaves of the log that proofs are taken from, such as 1e7")] = "1e7",
    anchors: Annotated[int, typer.Option(help="heads put on a chain of its own", min=2)] = 50,
    as_json: Json = False,
) -> None:
    """Entries a second through the pump, receipts, proofs out of a large log, anchors, certificates; a minute or two.

    A PostgreSQL and a chain of its own run in a temporary folder and go afterwards: nothing of yours is touched. 1e7
    leaves take 330 MB there. `fsyncs_per_s` is the disk's own rate: with a slower disk everything durable is slower.
    """
    from ..bench_ledger import run_bench_ledger  # noqa: PLC0415  (`--help` needs no web3)

    try:
        count = int(float(leaves))
    except (ValueError, OverflowError):
        count = 0
    if not 1 <= count <= 1_000_000_000:
        raise typer.BadParameter("a number from 1 to 1e9, such as 1e7", param_hint="--leaves")
    with bar() as progress:
        task = progress.add_task("", total=1.0)
        lines: list[str] = []

        def told(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)
            if not ERR.is_terminal and what not in lines:
                lines.append(what)
                ERR.print(what)

        figures = run_bench_ledger(entries, count, anchors, told)
    if as_json:
        print(json.dumps(figures, indent=1))
        return
    show([{"figure": name, "value": json.dumps(value)} for name, value in figures.items()], False, "bench ledger")
