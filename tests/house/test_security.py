"""The table of threats is held against the tests that it names, and the tests against the table."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NEEDED = (
    "foreign topic, writing", "foreign topic, reading", "forged verdict", "stolen client id, without",
    "stolen client id, with the", "stolen credential", "replay", "clock skew", "flood", "oversize", "guessing",
    "enrolment abuse", "stolen disk", "on the way",
)  # fmt: skip


def threats() -> list[list[str]]:
    """Rows of the table: threat, what stands against it, tests, what remains."""
    part = PAGE.partition("## Threats")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"(?m)^\|.*\|$", part)]
    return rows[2:]


def found_in(*folders: str) -> dict[str, str]:
    """Name of every test function, and the file it is in."""
    found = {}
    for folder in folders:
        for path in sorted((ROOT / "tests" / folder).rglob("test_*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    found[node.name] = path.relative_to(ROOT).as_posix()
    return found


def test_every_threat_names_a_test_that_exists_and_says_what_remains() -> None:
    rows = threats()
    assert len(rows) >= len(NEEDED)
    known = found_in("security", "flow", "api", "ingest", "ledger")
    for row in rows:
        assert len(row) == 4, row[0]
        named = re.findall(r"`(test_\w+)`", row[2])
        assert named, f"{row[0]}: no test shows it"
        assert not [name for name in named if name not in known], row[0]
        assert all(row), f"{row[0]}: an empty column; a hyphen says that nothing remains"


def test_every_threat_that_must_be_there_is() -> None:
    said = [row[0].lower().replace("*", "") for row in threats()]
    assert not [threat for threat in NEEDED if not any(threat in row for row in said)]


def test_every_test_of_a_threat_stands_in_the_table() -> None:
    named = {name for row in threats() for name in re.findall(r"`(test_\w+)`", row[2])}
    tried = {name for name, path in found_in("security").items() if path.endswith("test_threats.py")}
    assert len(tried) > 10
    assert not tried - named
