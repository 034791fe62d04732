"""What can be said of the page's files without a browser: nothing from elsewhere, no markup from data, and the same
facts as the server's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import api.tiles
from api.picture import COLOUR_BLIND, PLAIN, Palette
from defects import ALL_TYPES

WEB = Path(api.tiles.__file__).parent / "web"
FILES = sorted(p for p in WEB.iterdir() if p.suffix in {".js", ".html", ".css", ".svg"})


def text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_nothing_is_fetched_from_elsewhere_and_nothing_is_markup(path: Path) -> None:
    said = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z0-9.-]+\.(com|org|net|io|cn)\b", said)
    assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b", said)
    # The content security policy forbids both.
    assert not re.search(r"\son[a-z]+=\"|<style|<script(?![^>]*\ssrc=)", said) or path.suffix != ".html"


def test_both_languages_say_the_same_things() -> None:
    words = text("words.js")
    chinese, english = words.split("\n  zh: {")[1].split("\n  en: {")
    names = [re.findall(r"^    (\w+):", part.split("\n  },")[0], re.M) for part in (chinese, english)]
    assert len(names[0]) > 80
    assert names[0] == names[1]


def test_every_type_of_the_taxonomy_has_its_two_names() -> None:
    kinds = text("words.js").split("const KINDS = {")[1].split("};")[0]
    told = re.findall(r'^  (\w+): \["([^"]+)", "([^"]+)"\]', kinds, re.M)
    assert told == [(t.key, t.zh, t.en) for t in ALL_TYPES]


@pytest.mark.parametrize(("name", "palette"), [("plain", PLAIN), ("blind", COLOUR_BLIND)])
def test_page_and_picture_have_the_same_colours(name: str, palette: Palette) -> None:
    line = re.search(rf"^  {name}: \{{(.*)\}},$", text("tiles.js"), re.M)
    assert line is not None
    told = dict(re.findall(r'(\w+): "#([0-9a-f]{6})"', line[1]))
    assert {k: tuple(bytes.fromhex(v)) for k, v in told.items()} == vars(palette)


def test_the_page_asks_for_the_zooms_that_are_served() -> None:
    said = text("tiles.js")
    assert f"MIN_ZOOM = {api.tiles.MIN_ZOOM};" in said
    assert f"MAX_ZOOM = {api.tiles.MAX_ZOOM};" in said


def test_every_file_the_page_names_is_there() -> None:
    for path in FILES:
        for name in re.findall(r'(?:from |href=|src=)"\./([\w.-]+)"', path.read_text(encoding="utf-8")):
            assert (WEB / name).is_file(), f"{path.name} names {name}"
