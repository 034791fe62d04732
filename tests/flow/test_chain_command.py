"""`roadcode chain` on a running platform: what it says of the chain, and what it refuses to take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api import wiring
from api.cli import app
from ledger import ColdError

from ..street import Street


def roadcode(street: Street, *words: str, given: str | None = None) -> Any:
    environment = wiring.environment(street.platform.settings) | {"COLUMNS": "200"}
    return CliRunner().invoke(app, ["chain", *words], input=given, env=environment)


def test_what_it_says_of_the_chain(street: Street) -> None:
    done = roadcode(street, "status", "--json")
    assert done.exit_code == 0, done.output
    said = {row["what"]: row["is"] for row in json.loads(done.stdout)}
    assert "py-evm" in said["chain"]
    assert said["its code"] == "RoadLedger, as in this version"
    assert said["anchorer"].endswith("may anchor")
    with street.connect() as conn:
        (mined,) = conn.execute("SELECT count(*) FROM anchor WHERE status = 'mined' AND final").fetchone() or (0,)
    assert mined >= 1
    assert f"{mined} mined" in said["anchors here"]
    assert roadcode(street, "grants").exit_code == 0


def test_nothing_to_sign_is_an_empty_list(street: Street, tmp_path: Path) -> None:
    document = roadcode(street, "export-grants", "--admin", "0x" + "11" * 20)
    assert json.loads(document.stdout) == []
    with pytest.raises(ColdError, match="no key"):
        raise roadcode(street, "sign-grants", str(tmp_path / "none"), given="[]").exception
    assert not (tmp_path / "none").exists()
    assert "0 taken" in roadcode(street, "import-signed", given="[]").output


@pytest.mark.parametrize("given", ["", "{", "7", "[7]", "[" * 100_000, " " * (1 << 20) + "[]"])
def test_what_is_no_list_of_grants_is_refused_by_name(street: Street, given: str) -> None:
    done = roadcode(street, "import-signed", given=given)
    assert isinstance(done.exception, ColdError)
    assert "JSON list" in str(done.exception)
