"""The documents are true of the code: generated tables are up to date, links resolve, what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api import documents
from api.documents import ROOT

FILES = documents.documents()
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
NEEDED = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/glossary.md", "docs/health-code.md",
    "docs/operations.md", "docs/privacy.md",
)  # fmt: skip

# Class names on the doors that are words of ours, so that a reader may look them up.
WORDS = {
    "ingest": (
        "Bands", "Chunk", "City", "Credential", "Detection", "Fixes", "Laser", "NoGo", "Reason", "Refused", "Report",
        "Sender", "Verdict",
    ),
    "grid": ("Track", "Zone"),
    "defects": (
        "CODE", "HAZARDS", "Case", "Change", "Colour", "DefectType", "Deltas", "Finding", "Observation", "Rate",
        "State",
    ),
    "ledger": ("Anchor", "Checkpoint", "Fault", "Log", "Record", "Step", "Tiles"),
}  # fmt: skip
PLAIN_WORDS = (
    "sample", "trip", "cell", "square", "parent", "block", "pass", "jolt", "journal", "fold", "evidence", "exposure",
    "tempering", "health code", "suspected", "confirmed", "dead letter", "day context", "service day", "origin", "halo",
    "explain away", "ghost", "lease", "pump", "room", "door", "outbox",
)  # fmt: skip


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_every_document_is_there() -> None:
    assert set(NEEDED) <= set(TEXTS)
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence


def test_generated_parts_are_up_to_date() -> None:
    behind = [name for name, text in TEXTS.items() if documents.fill(text, name) != text]
    assert not behind, f"run python -m api.documents: {', '.join(behind)}"


def test_every_generated_part_stands_in_some_document() -> None:
    asked = set(re.findall(r"<!-- generated: ([a-z-]+) -->", "\n".join(TEXTS.values())))
    assert asked == set(documents.SECTIONS)


def test_check_writes_nothing_and_says_what_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    old = "before\n<!-- generated: evidence-to-code -->\nold\n<!-- end of evidence-to-code -->\nafter\n"
    page.write_text(old)
    made = documents.fill(old, "README.md")
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    monkeypatch.setattr(documents, "SECTIONS", {"evidence-to-code": documents.evidence_to_code})
    assert documents.main(["--check"]) == 1
    assert "README.md is behind" in capsys.readouterr().err
    assert page.read_text() == old
    assert documents.main([]) == 0
    assert page.read_text() == made
    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "| red |" in made
    assert documents.main(["--check"]) == 0
    assert documents.main(["--write"]) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<!-- generated: nothing-of-this-name -->\n<!-- end of nothing-of-this-name -->\n", "nothing-of-this-name"),
        ("<!-- generated: settings -->\nand no end\n", "opens 1"),
        ("<!-- generated: settings -->\n<!-- end of commands -->\n", "opens 1"),
    ],
)
def test_a_wrong_marker_is_named(text: str, told: str) -> None:
    with pytest.raises(documents.DocumentError, match=told):
        documents.fill(text, "page.md")


def test_a_table_survives_bars_and_line_ends() -> None:
    assert documents.table(("a",), [("x | y\nz",)]).splitlines()[-1] == "| x \\| y z |"


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_resolves(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(TEXTS[name])):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, part = target.partition("#")
        path = (ROOT / name).parent / place if place else ROOT / name
        assert path.exists(), f"{name} links to {target}"
        if part:
            headings = re.findall(r"(?m)^#+ (.*)$", prose(path.read_text(encoding="utf-8")))
            assert part in {slug(h) for h in headings}, f"{name} links to {target}"


@pytest.mark.parametrize("name", TEXTS)
def test_no_link_swallows_the_next_one(name: str) -> None:
    assert re.findall(r"\]\([^)\n]*\[.{0,30}", prose(TEXTS[name])) == []


def test_readme_leads_to_every_page_of_the_docs() -> None:
    linked = set(re.findall(r"\(docs/([\w-]+\.md)", TEXTS["README.md"]))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} == linked


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_and_target_exists(name: str) -> None:
    known = set(documents.command_names())
    named = set(re.findall(r"\broadcode ([a-z][a-z-]*)", TEXTS[name]))
    assert named <= known, f"{name} names commands that do not exist"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    for span in re.findall(r"`([^`\n]+)`", TEXTS[name]) + re.findall(r"(?m)^(make .*)$", TEXTS[name]):
        for target in re.findall(r"(?:^|; |&& )make ([a-z-]+)", span):
            assert target in targets, f"{name} names make {target}"


@pytest.mark.parametrize("name", TEXTS)
def test_every_setting_and_file_that_is_named_exists(name: str) -> None:
    known = {f"ROADCODE_{n.upper()}" for n in documents.Settings.model_fields} | {"ROADCODE_NODE_WHEEL"}
    assert set(re.findall(r"\bROADCODE_[A-Z_]+[A-Z]", TEXTS[name])) <= known
    if name == "CHANGELOG.md":
        return  # history may speak of what is gone
    places = "|".join((*documents.ROOMS, "tests", "docs", "requirements"))
    for span in re.findall(rf"`((?:{places})/[\w./-]*)`", prose(TEXTS[name])):
        # Without such an end it is a place in the data folder; ROOM stands for any room.
        if re.search(r"\.(py|js|vy|sql|cddl|in|md)$|^(tests|docs)/", span) and "ROOM" not in span:
            assert (ROOT / span).exists(), f"{name} names {span}"


def test_the_glossary_has_every_word_of_ours() -> None:
    glossary = TEXTS["docs/glossary.md"]
    rows = [line.split("|") for line in re.findall(r"(?m)^\| (?!word).*$", glossary)]
    assert all(len(row) == 5 and all(cell.strip() for cell in row[1:4]) for row in rows), "a word has an empty column"
    assert all(re.search(r"[\u4e00-\u9fff]", row[2]) for row in rows), "a word lacks its Chinese"
    said = {word.strip() for row in rows for word in row[1].split(",")}
    assert not set(PLAIN_WORDS) - said
    for room, names in WORDS.items():
        door = __import__(room).__all__
        for word in names:
            assert word in door, f"{word} is no longer on the door of {room}: take it off this list"
            assert f"`{word}`" in glossary, f"the glossary lacks {word}"


def test_the_architecture_names_every_table_and_room() -> None:
    architecture = TEXTS["docs/architecture.md"]
    sql = "\n".join(p.read_text() for room in documents.ROOMS for p in (ROOT / room).glob("sql/*.sql"))
    tables = set(re.findall(r"(?m)^CREATE (?:TABLE|VIEW) (\w+)", sql)) | {"migration"}
    assert len(tables) > 10
    assert not {t for t in tables if f"`{t}`" not in architecture}
    rows = re.findall(r"(?m)^\| (`[\w`, ]+) \| [^|]+ \| [^|]+ \| [^|]+ \|$", architecture)
    listed = {t for row in rows for t in re.findall(r"`(\w+)`", row)}
    assert listed - set(documents.ROOMS) == tables
    assert not [room for room in documents.ROOMS if f"| `{room}` |" not in architecture]


def test_every_metric_is_told() -> None:
    source = (ROOT / "api" / "metrics.py").read_text(encoding="utf-8")
    counted = re.search(r"(?s)_COUNTERS = \{(.*?)\n\}", source)
    assert counted is not None
    names = {f"roadcode_{n}_total" for n in re.findall(r'(?m)^    "(\w+)":', counted[1])}
    names |= set(re.findall(r'GaugeMetricFamily\(\s*"(roadcode_\w+)"', source))
    names |= {f"{n}_total" for n in re.findall(r'CounterMetricFamily\(\s*"(roadcode_\w+)"', source)}
    assert len(names) > 8
    assert not [n for n in sorted(names) if n not in TEXTS["docs/operations.md"]]


FORBIDDEN = {
    "a path of some machine": r"(?<![\w.])/(work|tmp|root|home|Users|mnt)/",
    "a place beside the project that a clone has not": r"\.\./shared\b(?!/data where)",
    "an index or registry host": r"(?i)\b(pypi\.org|files\.pythonhosted|registry\.npmjs|npmmirror|artifactory|nexus)",
    "something unfinished": r"\b(TODO|FIXME|XXX|TBD)\b",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_line_says(name: str, what: str) -> None:
    found = [line for line in TEXTS[name].splitlines() if re.search(FORBIDDEN[what], line)]
    assert not found, f"{name} names {what}: {found[0]}"


def test_no_document_says_that_nothing_is_deleted_and_one_says_what_is() -> None:
    """The keeper lets go; that has to be said where an operator looks."""
    assert "docs/privacy.md" in TEXTS
    assert "privacy.md" in TEXTS["docs/operations.md"]
    assert not re.search(r"(?i)nothing deletes raw chunks", TEXTS["docs/operations.md"] + TEXTS["docs/architecture.md"])


def test_readme_is_chinese_first_and_then_english() -> None:
    readme = TEXTS["README.md"]
    assert readme.index("## 两条命令") < readme.index("## Two commands")
    assert "docs/map.png" in readme
