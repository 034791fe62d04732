"""The page of proofs in a real browser, on the running platform: it reckons everything itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from api import wiring

from .visits import PHONE, running_browser, visits_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any, site: Any) -> Iterator[Any]:
    with visits_of(browser, site) as begin:
        yield begin


def steps(page: Any, ok: str) -> list[str]:
    return [str(text) for text in page.locator(f"#path li[data-ok={ok}] strong").all_inner_texts()]


def test_a_red_square_is_proven_in_the_browser_with_a_key_from_outside(visit: Any, site: Any) -> None:
    seen = visit()
    page = seen.open(f"audit.html?cell={site.red_cell}", ready=False)
    page.wait_for_selector("#path li")
    seen.await_text("#verdict", "no trusted key")
    page.fill("#key", wiring.ledger(site.platform.settings).verifier)
    page.dispatch_event("#key", "change")
    seen.await_text("#verdict", "Every step that was asked holds")
    seen.await_text("#verdict", "red")
    assert steps(page, "no") == []
    held = " ".join(steps(page, "yes"))
    for said in ("square's bytes", "1,024 codes", "log's tree", "trusted key", "own record says the same", "chunks of"):
        assert said in held
    assert "SIMULATED" in page.locator("#banner").inner_text() or "REPLAY" in page.locator("#banner").inner_text()
    assert seen.complaints == []


def test_a_file_that_was_changed_is_refused_and_says_where(visit: Any, site: Any, tmp_path: Path) -> None:
    with urlopen(f"{site.url.rstrip('/')}/api/v1/cells/{site.red_cell}/proof", timeout=30) as answer:  # noqa: S310
        document = json.load(answer)
    file = tmp_path / "forged.road-proof.json"
    document["code"]["colour"] = "green"
    file.write_text(json.dumps(document))
    seen = visit(viewport=PHONE)
    page = seen.open("audit.html", ready=False)
    page.set_input_files("#file", str(file))
    seen.await_text("#verdict", "does NOT hold")
    assert any("square's bytes" in name for name in steps(page, "no"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#language")
    seen.await_text("#verdict", "不成立")
    assert seen.complaints == []


def test_a_chunk_is_traced_to_the_squares_that_changed(visit: Any, site: Any) -> None:
    with site.connect() as conn:
        row = conn.execute(
            "SELECT encode(leaf, 'hex'), day FROM chunk_box WHERE id IN (SELECT chunk FROM finding) LIMIT 1"
        ).fetchone()
    assert row is not None
    seen = visit()
    page = seen.open("audit.html", ready=False)
    page.fill("#hash", row[0])
    page.fill("#day", str(row[1]))
    page.click("#trace")
    page.wait_for_selector("#caused h2")
    assert str(row[1]) in page.locator("#caused").inner_text()
    assert steps(page, "no") == []
    assert seen.complaints == []
