"""What every command prints with: rows as a table or as JSON, plain lines, progress; and the settings it was given."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..settings import Settings

Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
OUT = Console()
ERR = Console(stderr=True)
_STEERING = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")


def settings(**given: Any) -> Settings:
    """The settings in force, with what was given on the command line."""
    return Settings().model_copy(update={k: v for k, v in given.items() if v is not None})


def show(rows: list[dict[str, Any]], as_json: bool, title: str = "") -> None:
    """Rows as a table, or as JSON; where the terminal is too narrow for whole words, row by row, a line a value."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=1, default=str))
        return
    cells = [[_cell(v) for v in row.values()] for row in rows]
    names = list(rows[0]) if rows else []
    words = [
        max((len(w) for text in column for w in text.split()), default=1) for column in zip(names, *cells, strict=True)
    ]
    if not rows or sum(words) + 3 * len(words) + 1 > OUT.width:
        OUT.print(escape(title or ("" if rows else "none")), soft_wrap=True)
        for row in cells:
            said = "\n".join(f"  {name}: {text}" for name, text in zip(names, row, strict=True) if text)
            OUT.print(escape(said) + "\n", soft_wrap=True, highlight=False)
        return
    table = Table(title=escape(title) or None)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in cells:
        table.add_row(*(escape(text) for text in row))  # names and notes of other people are no markup
    OUT.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else _STEERING.sub("", str(value))  # other people's words steer no terminal


def bar() -> Progress:
    """A progress bar on a terminal, nothing elsewhere (commands say plain lines there)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=ERR, disable=not ERR.is_terminal)
