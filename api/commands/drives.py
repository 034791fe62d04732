"""Simulated drives for training and benchmark: made where they are missing, by the simulator in a process of its
own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from .printing import ERR


def tell(text: str) -> None:
    """A line of progress on standard error."""
    ERR.print(text, highlight=False)


def simulator(arguments: Sequence[str], done: Path, what: str) -> None:
    """Runs a sub-command of the simulator unless ``done`` is there; its progress is on standard error. Exits with 1
    where it fails."""
    if done.exists():
        return
    tell(f"simulating {what}")
    ended = subprocess.run([sys.executable, "-m", "sensors_sim", *arguments], stdout=subprocess.DEVNULL, check=False)
    if ended.returncode or not done.exists():
        tell(
            f"the simulator ended with {ended.returncode} and no {what}: see above, free disk space if there is "
            "none, run it again"
        )
        raise typer.Exit(1)
