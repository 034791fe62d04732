"""The page of proofs in a real browser, on the running platform: it reckons everything itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cbor2
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


def test_a_colour_written_into_a_proof_of_something_else_is_not_shown_and_nothing_signed_is_nothing_proven(
    visit: Any, site: Any, tmp_path: Path
) -> None:
    with urlopen(f"{site.url.rstrip('/')}/api/v1/cells/{site.red_cell}/proof", timeout=30) as answer:  # noqa: S310
        road = json.load(answer)
    forged = {
        "v": 1, "what": "chunk proof", "leaf": "ab" * 32, "day": "2026-01-01", "places": [], "seal": None,
        "cell": site.red_cell, "name": "here", "code": {"colour": "green", "state": "none", "kind": None},
    }  # fmt: skip
    seen = visit()
    page = seen.open("audit.html", ready=False)
    page.fill("#key", wiring.ledger(site.platform.settings).verifier)
    for n, (change, said) in enumerate((({}, "nothing is proven"), ({"seal": road["block"]}, "does NOT hold"))):
        file = tmp_path / f"forged-{n}.json"  # the same name again would be no change to the page
        file.write_text(json.dumps(forged | change))
        page.set_input_files("#file", str(file))
        seen.await_text("#verdict", said)
        assert "green" not in page.locator("#verdict").inner_text()
    assert seen.complaints == []


def test_the_browser_reads_the_integers_of_records(visit: Any, site: Any) -> None:
    seen = visit()
    page = seen.open("audit.html", ready=False)
    values = [0, 23, 24, 65_536, 1 << 32, (1 << 53) - 1, 1 << 53, (1 << 63) - 1, -1, -25, -(1 << 53) - 1, -(1 << 63)]
    read = """async (all) => { const { decode } = await import("./cbor.js");
        const bytes = (text) => Uint8Array.from(text.match(/../g), (two) => parseInt(two, 16));
        return all.map((text) => String(decode(bytes(text), { wide: true }))); }"""
    assert page.evaluate(read, [cbor2.dumps(value).hex() for value in values]) == [str(value) for value in values]
    strict = """async (text) => { const { decode } = await import("./cbor.js");
        try { return String(decode(Uint8Array.from(text.match(/../g), (two) => parseInt(two, 16)))); } catch (e) {
        return e.name + e.message; } }"""
    assert "above 2^53" in page.evaluate(strict, cbor2.dumps(1 << 53).hex())  # of certificates


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
