"""What commands print can be read: nothing of it vanishes, nothing of it is taken for markup."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich.console import Console

from api import cli
from api.commands import printing


def _told(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], title: str = "", width: int = 80) -> str:
    out = io.StringIO()
    monkeypatch.setattr(printing, "OUT", Console(file=out, width=width))
    printing.show(rows, False, title)
    return out.getvalue()


def test_a_narrow_terminal_hides_no_part_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {f"column {n}": "2026-12-01" for n in range(9)}
    assert _told(monkeypatch, [row]).count("2026-12-01") == 9
    assert _told(monkeypatch, [row], width=200).count("2026-12-01") == 9


def test_names_in_brackets_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _told(monkeypatch, [{"name": "[red]Ring", "note": "[/old]"}], "roads[a].geojson")
    assert "[red]Ring" in text
    assert "[/old]" in text
    assert "roads[a].geojson" in text


def test_an_empty_list_says_that_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _told(monkeypatch, [], "0 entries").strip() == "0 entries"
    assert _told(monkeypatch, []).strip() == "none"


def _commands(group: Any, name: str = "roadcode") -> Iterator[tuple[str, Any]]:
    yield name, group
    for called, one in getattr(group, "commands", {}).items():
        yield from _commands(one, f"{name} {called}")


def test_help_has_nothing_in_brackets_that_the_terminal_would_swallow() -> None:
    """`[today]` is a style to rich: the reader would see nothing of it."""
    for name, command in _commands(typer.main.get_command(cli.app)):
        for text in (command.help or "", *((getattr(p, "help", None) or "") for p in command.params)):
            assert not re.search(r"\[[a-z#/@][^\[]*\]", text), (name, text)


def test_an_error_that_names_a_file_in_brackets_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> None:
        raise OSError("no file roads[/old].geojson")

    out = io.StringIO()
    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(cli, "ERR", Console(file=out, width=80))
    with pytest.raises(SystemExit):
        cli.main()
    assert "roads[/old].geojson" in out.getvalue()
