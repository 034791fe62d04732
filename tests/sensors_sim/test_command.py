"""The command line: files for others, and errors that say what to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ingest import Chunk, decode
from sensors_sim.__main__ import main

ROOT = Path(__file__).parents[2]


def test_writes_files_that_another_program_can_read(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sensors_sim", "--city", "city.toml", "--files", str(tmp_path / "out"),
         "--truth", str(tmp_path / "truth.json"), "--boxes", "1", "--phones", "1", "--passes", "1",
         "--until", "1.79e9"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    files = sorted((tmp_path / "out").rglob("*.cbor"))
    assert json.loads(done.stdout) == {"written": len(files)}
    assert {f.parent.name for f in files} == {"00-box", "01-phone"}
    for file in files:
        chunk = decode(file.read_bytes())
        assert file.stem == f"{chunk.trip}-{chunk.seq:06d}"
    assert json.loads((tmp_path / "truth.json").read_text())["schema"] == "rhc-truth/1"


def files_of(folder: Path, *more: str) -> list[Chunk]:
    """What a fleet of one box and one phone writes."""
    given = ["--city", str(ROOT / "city.toml"), "--files", str(folder), "--boxes", "1", "--phones", "1"]
    assert main([*given, "--passes", "1", "--until", "1.79e9", *more]) == 0
    return [decode(p.read_bytes()) for p in sorted(folder.rglob("*.cbor"))]


def test_summaries_are_of_boxes_and_whole_drives_of_phones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, short, whole = (
        files_of(tmp_path / name, *options)
        for name, options in (("plain", ()), ("short", ("--summaries",)), ("whole", ("--whole",)))
    )
    assert "written" in capsys.readouterr().out

    def seconds(chunks: list[Chunk], carrier: str) -> float:
        return sum(c.end_s - c.start_s for c in chunks if c.carrier == carrier)

    assert {c.carrier for c in short if c.quiet is not None} == {"bus"}
    assert seconds(short, "bus") == pytest.approx(seconds(plain, "bus"))
    assert seconds(whole, "car") > seconds(plain, "car") + 60
    assert all((c.trimmed is None) == (c.carrier == "bus") for c in plain)
    assert all(c.trimmed is None for c in whole)


def test_too_few_credentials_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--city", str(ROOT / "city.toml"), "--credentials", str(tmp_path)]) == 2
    assert "enrol more devices" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--files", "x", "--forever"], "takes no --faults or --forever"),
        (["--credentials", "x", "--whole"], "no phone sends the ends"),
        (["--files", "x", "--boxes", "0", "--phones", "0"], "at least one box or phone"),
        (["--credentials", "x", "--passes", "-1"], "0 or more"),
        (["--files", "x", "--city", "nowhere.toml"], "nowhere.toml"),
        ([], "--credentials"),
    ],
)
def test_wrong_options_are_said(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--city", str(ROOT / "city.toml"), *arguments])
    assert says in capsys.readouterr().err


def test_a_live_city_takes_no_simulated_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "city.toml").read_text(encoding="utf-8")
    line = next(row for row in text.splitlines() if row.startswith("origins"))
    (tmp_path / "live.toml").write_text(text.replace(line, 'origins = ["live"]'), encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main(["--city", str(tmp_path / "live.toml"), "--files", str(tmp_path / "out")])
    assert "must not mix" in capsys.readouterr().err
