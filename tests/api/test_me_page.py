"""The citizen's page in a real browser, on the real application: sign in, read why, appeal, report with a photo, make a
code; and every control locked while the phone moves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.commands.points import verify_statement_file
from ledger import paper, points_settle, reports

from .purse import PLACE, Phone, Purse, jpeg, one, open_purse
from .visits import PHONE, running_browser, visits_of

pytestmark = pytest.mark.browser

# In the place of the browser's own: it has no speed to give. `at` speaks to whoever watches.
FAKE = """
const watchers = [];
Object.defineProperty(navigator, "geolocation", { value: {
  watchPosition: (told) => { watchers.push(told); return 1; },
  clearWatch: () => {},
} });
window.at = (speed, metres, s, accuracy = 5) => watchers.forEach((told) => told({
  coords: { latitude: 30.279 + metres / 111195, longitude: 120.1655, accuracy, speed },
  timestamp: 1795000000000 + s * 1000,
}));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def purse(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purse]:
    with open_purse(postgres, tmp_path_factory.mktemp("page")) as opened:
        yield opened


@pytest.fixture
def visit(browser: Any, purse: Purse) -> Iterator[Callable[..., Any]]:
    with visits_of(browser, SimpleNamespace(url=str(purse.client.base_url))) as begin:

        def opened(phone: Phone | None = None, *, fake: bool = True, **context: Any) -> Any:
            seen = begin(**({"viewport": PHONE, "has_touch": True} | context))
            if fake:
                seen.context.add_init_script(FAKE)
            page = seen.open("me.html")
            if phone is not None:
                page.fill("[name=device]", phone.name)
                page.fill("[name=password]", phone.name)
                page.click("#sign-in button")
                page.wait_for_selector("#balance, #join")
            return seen

        yield opened


@pytest.fixture(scope="module")
def rich(purse: Purse) -> Phone:
    """A phone of somebody who joined two weeks ago, with a settled day of the last ones."""
    phone = purse.phone()
    joined = datetime.now(UTC) - timedelta(days=14)
    purse.conn.execute("UPDATE account SET joined_at = %s WHERE id = %s", (joined, phone.account))
    before = joined.date() + timedelta(days=4)
    with purse.conn.transaction():
        for n in range(5):
            of = before + timedelta(days=n)
            why = {"nanobits": 12_345_678, "quiet_squares": 240, "felt_squares": 1, "shared_squares": 32}
            due = points_settle.Due(phone.account, "pass", of, 17 + n, why, f"pass:{of}")
            refused = {(phone.account, "nobody_agreed"): 3, (phone.account, "handled"): 2, (phone.account, "alone"): 9}
            points_settle.settle(
                purse.conn, of, [due], refused, 1000, bytes(32), joined, "simulated", lambda k, n=n: bytes([n]) * k
            )
    return phone


def test_signing_in_keeps_nothing_beyond_the_tab_and_a_wrong_password_is_told(visit: Any, rich: Phone) -> None:
    seen = visit()
    page = seen.page
    page.fill("[name=device]", rich.name)
    page.fill("[name=password]", "wrong")
    page.click("#sign-in button")
    seen.await_text("#said", "wrong")
    page.fill("[name=password]", rich.name)
    page.click("#sign-in button")
    page.wait_for_selector("#balance .big")
    assert page.evaluate("JSON.stringify(localStorage)") == "{}"
    assert rich.name in page.evaluate("JSON.stringify(sessionStorage)")
    assert page.evaluate("document.cookie") == ""
    page.reload()
    page.wait_for_selector("#balance .big")
    page.click("#sign-out")
    page.wait_for_selector("#sign-in")
    assert page.evaluate("sessionStorage.length") == 0
    assert [c for c in seen.complaints if "401" not in c] == []


def test_joining_shows_the_whole_text_first(visit: Any, purse: Purse) -> None:
    phone = purse.phone(joined=False)
    seen = visit(phone, locale="zh-CN")
    page = seen.page
    assert "365" in page.locator(".consent").inner_text()
    page.click("#join button")
    assert page.locator("#join").is_visible(), "not without the tick"
    page.check("[name=agree]")
    page.click("#join button")
    page.wait_for_selector("#balance .big")
    assert page.locator("#balance .big").inner_text() == "0"
    page.click("#leave summary")
    page.click("#leave .bad")
    page.wait_for_selector("#join")


def test_a_day_tells_every_reason_and_gives_a_statement_that_holds(visit: Any, rich: Phone, tmp_path: Path) -> None:
    seen = visit(rich)
    page = seen.page
    assert page.locator("#balance .big").inner_text() == "95"
    day = page.locator("details[data-day]:has([data-status=settled])").first
    day.locator("summary").first.click()
    text = day.inner_text()
    assert "+21" in text
    assert "12,346" in text
    assert "Nobody" in text or "nobody else" in text
    assert day.locator("[data-reason=handled]").count() == 1
    with page.expect_download() as download:
        day.get_by_role("button", name="Download statement").click()
    file = tmp_path / "statement.json"
    download.value.save_as(file)
    assert next(s.ok for s in verify_statement_file(file, None)) is True
    assert not re.search(r"\b(km|rank|streak|lucky|win)\b", page.locator("body").inner_text())
    page.click("#language")
    page.wait_for_selector("h1:has-text('我的积分')")
    assert page.evaluate("document.querySelector('main').innerText.match(/undefined|null|NaN/g)") is None
    assert "印证" in day.inner_text() or "没有感受到" in day.inner_text(), "what was open stays open"
    assert seen.complaints == []


def test_an_appeal_a_report_with_a_photo_and_a_code(visit: Any, rich: Phone, purse: Purse, tmp_path: Path) -> None:
    seen = visit(rich)
    page = seen.page
    bad = "<img src=x onerror=document.title='taken'>"
    day = page.locator("details[data-day]:has([data-status=settled])").first
    day.locator("summary").first.click()
    day.locator(".inner summary").click()
    day.locator("textarea").fill(bad)
    day.get_by_role("button", name="Send appeal").click()
    day.locator(".appeal[data-state=waiting]").wait_for()
    file = tmp_path / "photo.jpg"
    file.write_bytes(jpeg())
    page.evaluate("at(0, 0, 0)")
    page.get_by_role("button", name="Use where I am now").click()
    assert page.input_value("[name=lat]") == "30.279000"
    page.fill("[name=note]", bad)
    page.set_input_files("[name=photo]", file)
    page.get_by_role("button", name="Send report").click()
    page.locator("#report .rows li[data-state=waiting]").wait_for()
    (report,) = reports.reports_of(purse.conn, rich.account)
    assert report.photo
    assert report.note == bad
    assert page.locator("main img").count() == 0
    assert page.title() == "My points"
    page.fill("#redeem [name=points]", "30")
    page.click("#redeem form button")
    code = page.locator(".code").inner_text()
    assert paper.read_number(code, paper.CODE)
    assert one(purse.conn, "SELECT points FROM redemption_code WHERE account = %s", rich.account) == 30
    page.locator("#redeem button").click()
    page.wait_for_selector("#redeem form")
    assert seen.complaints == []


def test_controls_lock_above_10_km_h_and_come_back_when_it_has_stopped(visit: Any, rich: Phone) -> None:
    seen = visit(rich)
    page = seen.page
    stop = page.locator("#stop")
    page.evaluate("at(2.7, 0, 0)")
    assert stop.is_hidden()
    page.evaluate("at(2.8, 3, 1)")
    assert stop.is_visible()
    assert "Stop first" in stop.inner_text()
    assert page.evaluate("document.querySelector('#controls').disabled && document.querySelector('main').inert")
    box = page.locator("#language").bounding_box()
    assert page.locator("#language").is_disabled()
    above = "([x, y]) => document.elementFromPoint(x, y).closest('#stop') !== null"
    assert page.evaluate(above, [box["x"] + 5, box["y"] + 5])
    page.evaluate("document.querySelector('#redeem form button').click()")
    assert page.locator(".code").count() == 0
    page.evaluate("at(null, 4, 2)")
    assert stop.is_visible(), "nobody knows whether it has stopped"
    page.evaluate("at(0, 3, 3)")
    assert stop.is_hidden()
    assert page.locator("#controls").is_enabled()


def test_a_phone_that_gives_no_speed_locks_when_its_position_moves(visit: Any, rich: Phone) -> None:
    seen = visit(rich)
    page = seen.page
    for s in range(8):
        page.evaluate(f"at(null, {s % 2 * 6}, {s})")
        assert page.locator("#stop").is_hidden(), "it wanders within its error"
    for s in range(8, 30):
        page.evaluate(f"at(null, {8 * (s - 8)}, {s})")
    assert page.locator("#stop").is_visible(), "8 m a second"
    for s in range(30, 42):
        page.evaluate(f"at(null, {8 * 21 + s % 2}, {s})")
    assert page.locator("#stop").is_hidden()


def test_the_browser_s_own_position_locks_too(visit: Any, rich: Phone) -> None:
    here = {"latitude": PLACE["lat"], "longitude": PLACE["lon"], "accuracy": 3}
    seen = visit(rich, fake=False, geolocation=here, permissions=["geolocation"])
    page = seen.page
    page.wait_for_selector("#speed")
    assert page.locator("#stop").is_hidden()
    for n in range(1, 40):
        seen.context.set_geolocation({**here, "latitude": PLACE["lat"] + n * 0.002})
        page.wait_for_timeout(50)
        if page.locator("#stop").is_visible():
            break
    assert page.locator("#stop").is_visible()


def test_a_narrow_and_a_wide_window_hold_all_of_it(visit: Any, rich: Phone) -> None:
    for viewport in (PHONE, {"width": 1600, "height": 1000}):
        seen = visit(rich, viewport=viewport)
        page = seen.page
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        small = page.evaluate(
            "[...document.querySelectorAll('button, input, select, summary')].filter((e) => e.checkVisibility() && "
            "e.getBoundingClientRect().height < 40).map((e) => e.outerHTML)"
        )
        assert small == [], "a thumb needs 40 pixels"
        assert seen.complaints == []


def test_both_languages_of_the_page_say_the_same_things() -> None:
    words = (Path(__file__).parents[2] / "api/web/me/words.js").read_text(encoding="utf-8")
    chinese, english = words.split("\n  zh: {")[1].split("\n  en: {")
    names = [re.findall(r"^    (\w+):", part.split("\n  },")[0], re.M) for part in (chinese, english)]
    assert len(names[0]) > 60
    assert names[0] == names[1]
    for path in (Path(__file__).parents[2] / "api/web/me").iterdir():
        said = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|https?://", said)
