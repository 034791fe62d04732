"""Sections, strips and registers on the map page, in a real browser, over a made-up city (`FakeCity`): its answers have
the shapes of the platform's, so that all colours, flags and failures stand on one screen."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import api.app
from api.picture import COLOUR_BLIND, PLAIN

from .fake_city import CENTRE, EXPIRED, HARMLESS, WORKS, FakeCity, served
from .visits import PHONE, running_browser, visits_of

WEB = Path(api.app.__file__).parent / "web"
PLAIN_GROUND = (243, 244, 241)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def city() -> Iterator[FakeCity]:
    with served(FakeCity()) as city:
        yield city


@pytest.fixture
def visit(browser: Any, city: FakeCity) -> Iterator[Any]:
    city.asked.clear()
    with visits_of(browser, city) as begin:
        # Small, as every pixel is drawn without a graphics card; beside the panel, not under it.
        yield lambda **context: begin(**{"viewport": {"width": 900, "height": 560}, **context})


def middle_of(city: FakeCity, number: int) -> tuple[float, float]:
    (a, b), (c, d) = city.sections[number]["geometry"]["coordinates"]
    return (a + c) / 2, (b + d) / 2


def pixels(seen: Any, reach: int) -> Any:
    """RGB around the middle of the map, int (2 reach, 2 reach, 3)."""
    x, y = seen.middle()
    clip = {"x": x - reach, "y": y - reach, "width": 2 * reach, "height": 2 * reach}
    return np.asarray(Image.open(io.BytesIO(seen.page.screenshot(clip=clip))).convert("RGB")).astype(int)


def share(image: Any, colour: tuple[int, int, int], within: int = 14) -> float:
    """How much of an image has a colour."""
    return float((np.abs(image - colour).max(axis=-1) <= within).mean())


def test_a_certificate_is_made_when_somebody_asks(visit: Any, city: FakeCity) -> None:
    seen = visit()
    number = city.section_of("red")
    text = "RHC1:%A /B"
    words = {"zh": "红：严重缺陷", "en": "RED: severe defect", "banner": "SIMULATED"}
    made = {"text": text, "expires": 1_795_732_000, **words}
    seen.page.route(f"**/api/v1/sections/{number}/certificate", lambda route: route.fulfill(json=made))
    page = seen.open(f"#17/{CENTRE[1]}/{CENTRE[0]}/s{number}")
    page.wait_for_selector("#story .certificate button")
    assert not [path for path in city.asked if path.endswith("/certificate")]
    page.click("#story .certificate button")
    page.wait_for_selector("#story .certificate img.qr")
    said = page.locator("#story .certificate").inner_text()
    assert "RED: severe defect · SIMULATED" in said
    assert "Valid until" in said
    links = page.eval_on_selector_all("#story .certificate a", "all => all.map((a) => a.getAttribute('href'))")
    assert links == [f"api/v1/sections/{number}/certificate.html", "scan.html#RHC1%3A%25A%20%2FB"]


def test_both_languages_say_the_same_of_roads() -> None:
    words = (WEB / "roadwords.js").read_text(encoding="utf-8")
    chinese, english = words.split("\n  zh: {")[1].split("\n  en: {")
    names = [re.findall(r"^    (\w+):", part.split("\n  },")[0], re.M) for part in (chinese, english)]
    assert len(names[0]) > 60
    assert names[0] == names[1]
    assert not re.search(r"[\u4e00-\u9fff]", english)
    files = [p.read_text(encoding="utf-8") for p in WEB.glob("*.js")]
    used = set(re.findall(r'\bt\("(\w+)"', "".join(text for text in files if 'from "./words.js"' in text)))
    told = ("words.js", "roadwords.js", "scanwords.js")
    all_words = "".join((WEB / name).read_text(encoding="utf-8") for name in told)
    known = set(re.findall(r"^    (\w+):", all_words, re.M))
    assert used <= known


@pytest.mark.browser
def test_sections_come_first_then_strips_then_squares(visit: Any, city: FakeCity) -> None:
    seen = visit()
    page = seen.open()
    page.wait_for_selector("#roads [data-section]")
    assert "road sections of about 100 m" in page.locator("#scale").inner_text()
    assert re.search(r"80 sections in view, 36% of their area grey", page.locator("#scale").inner_text())
    # Worst first, so that whoever reads the list hears of red before anything else.
    listed = page.locator("#roads button .road").evaluate_all("(all) => all.map((e) => e.dataset.colour)")
    assert listed == sorted(listed, key=["red", "yellow", "grey", "green"].index)
    assert "8.0 km" in page.locator("#city-roads").inner_text()
    assert "81 (70 to 88)" in page.locator("#city-roads").inner_text()
    assert not [a for a in city.asked if a.startswith("/tiles/") or a.endswith("/strips")]
    lon, lat = middle_of(city, city.section_of("red"))
    page.evaluate(f"location.hash = '#16.8/{lat}/{lon}'")
    seen.await_text("#scale", "a lane by 10 m")
    seen.await_middle(PLAIN.red, reach=40)
    assert [a for a in city.asked if a.endswith("/strips")]
    assert not [a for a in city.asked if a.startswith("/tiles/")]
    page.evaluate(f"location.hash = '#19/{city.red_lonlat[1]}/{city.red_lonlat[0]}'")
    seen.await_text("#scale", "squares of 1 m")
    seen.await_middle(PLAIN.red)
    assert [a for a in city.asked if a.startswith("/tiles/")]
    assert seen.complaints == []


@pytest.mark.browser
def test_what_is_not_known_is_dashed_and_narrower_than_any_colour(visit: Any, city: FakeCity) -> None:
    seen = visit()
    found: dict[str, Any] = {}
    for colour in ("grey", "green", "yellow", "red"):
        # All of one class and direction, so that widths differ by colour alone.
        number = next(n for n, f in city.sections.items() if f["properties"]["colour"] == colour and n % 2)
        lon, lat = middle_of(city, number)
        place = f"#15.9/{lat}/{lon}"
        page = seen.open(place) if not found else seen.page
        page.evaluate(f"location.hash = '{place}'")
        seen.await_middle(getattr(PLAIN, colour), reach=20)
        found[colour] = pixels(seen, 24)
    drawn = {c: float(np.mean(np.abs(image - PLAIN_GROUND).max(axis=-1) > 40)) for c, image in found.items()}
    assert drawn["grey"] < 0.7 * min(drawn[c] for c in ("green", "yellow", "red"))
    assert share(found["grey"], PLAIN.green) == 0
    # The road's own row has gaps: it is no closed line.
    rows = [np.abs(row - PLAIN.grey).max(axis=-1) <= 20 for row in found["grey"]]
    best = max(rows, key=lambda row: int(row.sum()))
    assert 0.2 < best.mean() < 0.9
    # Marks besides the colour: white dashes on red, dark dots on yellow.
    assert share(found["red"], (255, 255, 255), 2) > share(found["green"], (255, 255, 255), 2)
    assert share(found["yellow"], (23, 33, 43)) > 0
    seen.page.click("#palette")
    seen.await_middle(COLOUR_BLIND.red, reach=20)
    seen.page.uncheck("#show-red")
    seen.await_middle(COLOUR_BLIND.red, there=False, reach=20)


@pytest.mark.browser
def test_strips_carry_their_marks_from_the_first_moment(visit: Any, city: FakeCity) -> None:
    strip = next(f for f in city.strips[city.section_of("yellow")] if f["properties"]["colour"] == "yellow")
    lon, lat = np.mean(strip["geometry"]["coordinates"][0][:4], axis=0).tolist()
    seen = visit()
    seen.open(f"#17.6/{lat}/{lon}")
    seen.await_middle(PLAIN.yellow, reach=8)
    assert share(pixels(seen, 8), (23, 33, 43), 50) > 0.02


@pytest.mark.browser
def test_a_click_on_a_section_tells_how_it_is_and_how_well_that_is_known(visit: Any, city: FakeCity) -> None:
    seen = visit()
    number = city.section_of("red")
    lon, lat = middle_of(city, number)
    page = seen.open(f"#15.5/{lat}/{lon}")
    seen.await_middle(PLAIN.red, reach=20)
    page.mouse.click(*seen.middle())
    page.wait_for_selector("#story .verdict[data-colour=red]")
    told = page.locator("#story").inner_text()
    for words in (
        "Garden Road", "花园路", "trunk road", f"section {number}", "4 m²", "596 m²", "25% not known", "24 Nov 2026",
        "10 h", "cameras have seen less than 80%", "62", "(44 to 68)", "3.1", "(2.6 to 3.8)", "3.93", "not given",
        "better than 28 days ago", "lane 1", "Red · pothole",
    ):  # fmt: skip
        assert words in told, words
    assert page.evaluate("location.hash").endswith(f"/s{number}")
    assert page.evaluate("document.activeElement.id") == "story-title"
    charts = page.locator("#story svg.chart")
    assert charts.count() == 3
    assert all(charts.nth(i).get_attribute("aria-label") for i in range(3))
    # Every number that is drawn stands in a table too.
    page.locator("#story summary", has_text="As a table").click()
    assert page.locator("#story tbody tr").count() == 22
    report = page.locator("#story a", has_text="Daily report")
    assert report.get_attribute("href") == "report/daily?day=2026-11-24"
    assert page.evaluate("fetch('report/daily').then((r) => r.status)") == 200
    page.keyboard.press("Escape")
    assert page.locator("#overview").is_visible()
    assert seen.complaints == []


@pytest.mark.browser
def test_the_keyboard_goes_from_section_to_strip_to_square_and_back(visit: Any, city: FakeCity) -> None:
    seen = visit()
    number = city.section_of("red")
    lon, lat = middle_of(city, number)
    page = seen.open(f"#16.8/{lat}/{lon}")
    seen.await_middle(PLAIN.red, reach=40)
    page.focus("#map canvas")
    page.keyboard.press("Enter")
    page.wait_for_selector("#story .strip")
    strip = page.locator("#story .strip[data-colour=red]").first
    says = strip.get_attribute("aria-label")
    assert re.fullmatch(r"lane 1, 20–30 m: Red; red 2 m², yellow 0 m², \d+% not known", says)
    strip.focus()
    page.keyboard.press("Enter")
    assert strip.get_attribute("aria-pressed") == "true"
    assert page.locator("#story .strip[aria-pressed=true]").count() == 1
    assert "lane 1, 20–30 m" in page.locator("#story [role=status]").inner_text()
    page.locator("#story .cases button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#story .tag[data-state=confirmed]")
    story = page.locator("#story").inner_text()
    assert "place ± 0.6 m · severity 2.2 (1 is yellow, 2 is red) · about 45 mm high or deep" in story
    page.locator("#story summary", has_text="Passes that moved it (10)").press("Enter")
    assert page.locator("#story .history tbody tr").count() == 8
    page.locator("#story .up").press("Enter")
    page.wait_for_selector("#story .strip")
    assert page.evaluate("location.hash").endswith(f"/s{number}")


MARKS = """async () => {
  const { paintTile, PALETTES } = await import("./tiles.js");
  const look = { palette: PALETTES.plain, shown: new Set(["grey", "green", "yellow", "red"]), dark: false };
  const inked = (code, z) => {
    // Grid lines and outlines lie in the same places of every code.
    const tile = (c) => paintTile(new Uint8Array(65536).fill(c), z, 1000, 1000, look, { number: 51, north: true });
    const paint = (c) => new Uint32Array(tile(c).data.buffer);
    const plain = paint(1);
    return paint(code).reduce((sum, pixel, i) => sum + (pixel !== plain[i]), 0) / plain.length;
  };
  return Object.fromEntries([14, 19, 21].map((z) => [z, [1, 1 | 64, 1 | 128, 1 | 192].map((code) => inked(code, z))]));
}"""
"""The share of a tile's pixels that carry a mark: of a grey square, of works, of what expired, of both."""


@pytest.mark.browser
def test_works_harmless_objects_and_what_expired_are_told_and_drawn(visit: Any, city: FakeCity) -> None:
    seen = visit()
    words = {
        WORKS: ("A works permit holds here", "Works permit W-17: 20 Nov 2026 to 5 Dec 2026"),
        EXPIRED: ("Last Red, and not confirmed by passes since", "No single pass that may be told."),
        HARMLESS: ("Something known lies here: a speed bump", "Imported, since 1 May 2026"),
    }
    ink: dict[int, float] = {}
    for flag, texts in words.items():
        cell = city.flagged(flag)
        lon, lat = city.lonlat(cell)
        place = f"#20/{lat}/{lon}"
        page = seen.open(place) if not ink else seen.page
        page.evaluate(f"location.hash = '{place}/{cell}'")
        seen.await_text("#story", texts[0])
        told = page.locator("#story").inner_text()
        assert all(t in told for t in texts)
        # By mouse: with the keyboard a cross stands in the middle of the map.
        page.locator("#story .close").click()
        for _ in range(50):
            ink[flag] = float((pixels(seen, 12).max(axis=-1) < 130).mean())
            if ink[flag] > 0 or flag == HARMLESS:
                break
            page.wait_for_timeout(100)
    assert ink[WORKS] > 0.04
    assert ink[EXPIRED] > 0.002
    assert seen.complaints == []
    marks = page.evaluate(MARKS)
    for zoom in ("14", "19", "21"):
        plain, works, expired, both = marks[zoom]
        assert plain == 0
        assert 0.15 < works < 0.6  # seen, and what lies under it too
        assert 0 < expired < 0.1
        assert both == works  # works say more than that something ran out


@pytest.mark.browser
def test_a_change_is_asked_for_again_and_the_reader_keeps_their_place(visit: Any, city: FakeCity) -> None:
    seen = visit()
    number = city.section_of("red")
    lon, lat = middle_of(city, number)
    page = seen.open(f"#16.5/{lat}/{lon}/s{number}")
    page.wait_for_selector("#story .strip")
    page.wait_for_selector("#live[data-state=live]")
    page.locator("#story summary", has_text="As a table").click()
    page.locator("#story .strip").nth(3).focus()
    kept = city.sections[number]["properties"]
    city.sections[number]["properties"] = {**kept, "red_m2": 77}
    try:
        city.change([lon - 1e-4, lat - 1e-4, lon + 1e-4, lat + 1e-4])
        seen.await_text("#story .areas", "77 m²")
        seen.await_text("#roads", "77 m²")
    finally:
        city.sections[number]["properties"] = kept
    assert page.locator("#story details[open] tbody tr").count() == 22
    assert page.evaluate("[...document.querySelectorAll('#story .strip')].indexOf(document.activeElement)") == 3


@pytest.mark.browser
def test_failures_and_cut_answers_are_said(visit: Any, city: FakeCity) -> None:
    seen = visit()
    page = seen.page
    trap = "<img src=x onerror=document.title='taken'>"
    some = [{**f, "properties": {**f["properties"], "name": trap}} for f in list(city.sections.values())[:3]]
    body = json.dumps({"type": "FeatureCollection", "features": some, "truncated": True})
    page.route("**/api/v1/sections?*", lambda route: route.fulfill(body=body, content_type="application/json"))
    seen.open()
    page.wait_for_selector("#roads [data-section]")
    assert "a road that is not drawn is not a healthy one" in page.locator("#scale").inner_text()
    assert trap in page.locator("#roads").inner_text()
    assert page.locator("#roads img").count() == 0
    page.unroute("**/api/v1/sections?*")
    page.route("**/api/v1/sections?*", lambda route: route.fulfill(status=503, body='{"error": "database_away"}'))
    page.evaluate("location.hash = '#15/30.3/120.2'")
    seen.await_text("#scale", "could not be read")
    page.unroute("**/api/v1/sections?*")
    seen.await_text("#scale", "could not be read", there=False)


@pytest.mark.browser
def test_without_a_network_squares_are_shown_and_the_page_says_how_to_import_one(browser: Any) -> None:
    with served(FakeCity(roads=False)) as city, visits_of(browser, city) as begin:
        seen = begin()
        page = seen.open(f"#16/{city.red_lonlat[1]}/{city.red_lonlat[0]}")
        seen.await_middle(PLAIN.red, reach=8)
        assert "roadcode import-roads FILE" in page.locator("#scale").inner_text()
        assert page.locator("#roads").is_hidden()
        assert page.locator("#city-roads").is_hidden()
        assert seen.complaints == []


@pytest.mark.browser
def test_a_phone_in_chinese_scrolls_no_wider_and_finds_a_road_by_its_name(visit: Any, city: FakeCity) -> None:
    seen = visit(viewport=PHONE, has_touch=True, locale="zh-CN")
    page = seen.open(f"#15/{CENTRE[1]}/{CENTRE[0]}")
    page.wait_for_selector("#roads [data-section]", state="attached")
    page.fill("#query", "湖滨")
    page.press("#query", "Enter")
    page.wait_for_selector("#story .strip")
    assert page.locator("#story-title").inner_text() == "湖滨街"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.querySelector('#panel-body').scrollWidth") <= PHONE["width"]
    told = page.locator("#panel").inner_text()
    assert "undefined" not in told
    assert {"路面", "指数", "走势", "历史"} <= set(re.findall(r"[\u4e00-\u9fff]{2}", told)) | set(told.split())
    assert seen.complaints == []
