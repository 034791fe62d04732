"""The map page in a real browser, on the running platform. Asks of the fixture ``site``: ``url``, and ``red_cell`` and
``red_lonlat`` of a square metre that is red."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from api.picture import COLOUR_BLIND, PLAIN

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


def test_the_page_boots_with_its_banner_and_without_complaint(visit: Any) -> None:
    seen = visit()
    page = seen.open()
    banner = page.locator("#banner")
    assert banner.is_visible()
    assert re.search("SIMULATED|REPLAY", banner.inner_text())
    page.wait_for_selector("#live[data-state=live]")
    page.wait_for_selector("#summary .total")
    assert "not known" in page.locator("#legend").inner_text()
    for colour in ("red", "yellow", "green", "grey"):
        assert page.locator(f"#show-{colour}").is_checked()
    assert page.locator("main").count() == page.locator("h1").count() == 1
    assert page.evaluate("[...document.querySelectorAll('script, style')].every((s) => s.src || !s.textContent.trim())")
    assert seen.complaints == []


def test_a_click_on_the_red_square_tells_its_story_and_its_proof(visit: Any) -> None:
    seen = visit()
    page = seen.open(seen.on_red())
    page.mouse.click(*seen.middle())
    page.wait_for_selector("#story .verdict[data-colour=red]")
    story = page.locator("#story").inner_text()
    assert str(seen.site.red_cell) in story
    assert "Red" in story
    assert page.locator("#story .steps li").count() >= 3
    assert page.locator("#story .steps li[data-ok=false]").count() == 0
    assert "not evidence against that operator" in story
    assert page.locator("#story tbody tr").count() >= 1
    assert page.locator("#story a.audit").get_attribute("href") == f"audit.html?cell={seen.site.red_cell}"
    assert page.evaluate("location.hash").endswith(f"/{seen.site.red_cell}")
    assert page.evaluate("document.activeElement.id") == "story-title"
    page.keyboard.press("Escape")
    assert page.locator("#story").is_hidden()
    assert page.locator("#overview").is_visible()
    assert seen.complaints == []


def test_colours_reach_the_canvas_and_palette_and_filter_repaint_without_asking(visit: Any) -> None:
    seen = visit()
    page = seen.open(seen.on_red())
    seen.await_middle(PLAIN.red)
    page.wait_for_load_state("load")
    asked: list[str] = []
    page.on("request", lambda r: "/tiles/" in r.url and asked.append(r.url))
    page.click("#palette")
    seen.await_middle(COLOUR_BLIND.red)
    page.click("#palette")
    seen.await_middle(PLAIN.red)
    page.uncheck("#show-red")
    seen.await_middle(PLAIN.red, there=False)
    page.check("#show-red")
    seen.await_middle(PLAIN.red)
    # Live changes may fetch the same tiles anew: nothing but repaints would ask for each tile four times.
    assert len(asked) <= 2 * len(set(asked))


def test_chinese_and_english(visit: Any) -> None:
    page = visit(locale="zh-CN").open(ready=False)
    page.wait_for_selector("#city:not(:empty)")
    assert page.locator("h1").inner_text() == "路面健康码"
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert "未知" in page.locator("#legend").inner_text()
    page.click("#language")
    assert page.locator("h1").inner_text() == "Road health code"
    assert page.evaluate("document.documentElement.lang") == "en"
    untranslated = page.evaluate("document.querySelector('#panel').innerText.match(/[\\u4e00-\\u9fff]+|undefined/g)")
    assert untranslated is None
    page.reload()
    page.wait_for_selector("#city:not(:empty)")
    assert page.locator("h1").inner_text() == "Road health code"


def test_a_phone_shows_a_sheet_and_scrolls_no_wider(visit: Any) -> None:
    seen = visit(viewport=PHONE, has_touch=True)
    page = seen.open(f"{seen.on_red()}/{seen.site.red_cell}")
    page.wait_for_selector("#story .verdict")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.querySelector('#panel-body').scrollWidth") <= PHONE["width"]
    assert page.locator("#banner").is_visible()
    sheet = page.locator("#panel").bounding_box()
    assert sheet is not None
    assert sheet["width"] == PHONE["width"]
    page.locator("#story .close").click()
    page.wait_for_selector("#panel[data-size=peek]")


def test_the_keyboard_reaches_everything_in_order_and_searches(visit: Any) -> None:
    seen = visit()
    page = seen.open(seen.on_red())
    name = "(e => e.id || (e.matches('canvas') && 'canvas') || e.className)(document.activeElement)"
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(name))
    wanted = ["skip", "query", "palette", "language", "canvas", "show-red", "show-yellow", "show-green", "show-grey"]
    assert [r for r in reached if r in wanted] == wanted
    page.focus("#map canvas")
    page.keyboard.press("Enter")
    page.wait_for_selector("#story .verdict[data-colour=red]")
    page.keyboard.press("Escape")
    page.fill("#query", "nowhere at all")
    page.press("#query", "Enter")
    assert "Nothing found" in page.locator("#search-answer").inner_text()
    page.fill("#query", str(seen.site.red_cell))
    page.press("#query", "Enter")
    page.wait_for_selector("#story .verdict[data-colour=red]")
    page.fill("#query", "-120.5, 40.25")
    page.press("#query", "Enter")
    page.wait_for_selector("#story-title:has-text('Nothing measured here')")


def test_what_the_server_says_is_text_and_never_markup(visit: Any) -> None:
    seen = visit()
    trap = "<img src=x onerror=document.title='taken'>"

    def poisoned(route: Any) -> None:
        answer = route.fetch()
        cell = answer.json()
        cell["name"] = trap
        cell["history"] = [{"at": None, "before": {"colour": trap}, "after": {"colour": trap}, "why": trap}]
        cell["proof"]["steps"] = [{"name": trap, "ok": True, "detail": trap}]
        route.fulfill(response=answer, body=json.dumps(cell))

    def past(route: Any) -> None:
        change = {"at": None, "day": trap, "before": {"colour": trap}, "after": {"colour": trap}, "why": trap}
        register = {"harmless": {"kind": trap, "source": trap, "since": trap}, "works": [{"number": trap}]}
        repairs = [{"day": trap, "kind": trap}]
        body = {"changes": [{**change, "passes": []}], "register": {**register, "repairs": repairs}}
        route.fulfill(json=body)

    seen.page.route("**/api/v1/cells/*", poisoned)
    seen.page.route("**/api/v1/cells/*/history", past)
    page = seen.open(f"{seen.on_red()}/{seen.site.red_cell}")
    page.wait_for_selector("#story .steps li")
    assert page.locator("#story img").count() == 0
    assert trap in page.locator("#story .flags").inner_text()
    assert trap in page.locator("#story-title").inner_text()
    assert page.title() != "taken"


def test_a_lost_connection_is_said_and_mended(visit: Any) -> None:
    seen = visit()
    seen.page.route("**/events", lambda route: route.abort())
    page = seen.open(ready=False)
    page.wait_for_selector("#stale:not([hidden])")
    assert "out of date" in page.locator("#stale").inner_text()
    page.unroute("**/events")
    page.wait_for_selector("#live[data-state=live]")
    assert page.locator("#stale").is_hidden()
