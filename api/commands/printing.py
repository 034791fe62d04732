"""What every command prints with: rows as a table or as JSON, plain lines, progress; and the settings it was given."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..settings import Settings

Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
OUT = Console()
ERR = Console(stderr=True)


def settings(**given: Any) -> Settings:
    """The settings in force, with what was given on the command line."""
    return Settings().model_copy(update={k: v for k, v in given.items() if v is not None})


def show(rows: list[dict[str, Any]], as_json: bool, title: str = "") -> None:
    """Rows as a table, or as JSON."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=1, default=str))
        return
    table = Table(title=title or None)
    for name in rows[0] if rows else []:
        table.add_column(name)
    for row in rows:
        table.add_row(*(_cell(v) for v in row.values()))
    OUT.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)


def bar() -> Progress:
    """A progress bar on a terminal, nothing elsewhere (commands say plain lines there)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=ERR, disable=not ERR.is_terminal)
