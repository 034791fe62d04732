"""Tiles of codes as pictures: one tile in colour, and the map of a box with legend, scale bar, banner and cases as one
image, for reports and for the demo. Pure: tiles come from a function that the caller gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .tiles import LEVEL_SHIFT, MAX_ZOOM, MIN_ZOOM, SUSPECTED_BIT, TILE_PX

Rgb = tuple[int, int, int]
Box = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Palette:
    """Colours of the four codes."""

    grey: Rgb
    green: Rgb
    yellow: Rgb
    red: Rgb

    def by_value(self) -> tuple[Rgb, Rgb, Rgb, Rgb]:
        """In the order of the tile's bits 0-2, from 1."""
        return self.grey, self.green, self.yellow, self.red


PLAIN: Final = Palette((141, 151, 163), (47, 168, 102), (240, 180, 0), (220, 47, 63))
COLOUR_BLIND: Final = Palette((153, 153, 153), (0, 114, 178), (240, 228, 66), (213, 94, 0))
"""Okabe and Ito's colours: told apart with any of the common deficiencies, where red and green are not."""

_GROUND: Final = (243, 244, 241)
_PAPER: Final = (255, 255, 255)
_INK: Final = (23, 33, 43)
_QUIET: Final = (85, 98, 111)
_LINE: Final = (221, 226, 230)
_WARN: Final = (255, 214, 92)
_CASE: Final = (220, 47, 63)

# How opaque a square of 1, 4, 16 m is: a phone's large square must not look as precise as a square metre.
_OPACITY = (1.0, 0.5, 0.3)
_GREY_OPACITY = (0.3, 0.22, 0.16)
_STRIPE = 0.35
_STRIPE_PX = 4

_EQUATOR_M = 40_075_016.686
_SIDE_PX = 324
_HEAD_PX = 58
_BANNER_PX = 30
_INSET_M = 26.0
_DRAWN = 2
"""The map is drawn twice as large and reduced, so that turned squares have smooth edges."""


def colourise(tile: bytes, palette: Palette, *, hatch: bool = False) -> Image.Image:
    """One painted tile as an RGBA image, clear where there is nothing. ``hatch`` stripes suspected squares, which wants
    a zoom of 19 or more; otherwise they are a little paler. Raises ValueError where the tile is not 65,536 bytes."""
    if len(tile) != TILE_PX * TILE_PX:
        raise ValueError(f"a tile is {TILE_PX * TILE_PX} bytes, not {len(tile)}: give what `paint` returned")
    codes = np.frombuffer(tile, dtype=np.uint8).reshape(TILE_PX, TILE_PX)
    plain, stripe = _colours(palette, hatch)
    image = plain[codes]
    if hatch:
        rows, columns = np.ogrid[:TILE_PX, :TILE_PX]
        image = np.where(((rows + columns) // _STRIPE_PX % 2 == 1)[..., None], stripe[codes], image)
    return Image.fromarray(image, "RGBA")


def _colours(palette: Palette, hatch: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGBA by code, (256, 4): of the fill and of every other stripe."""
    plain = np.zeros((256, 4), dtype=np.uint8)
    stripe = np.zeros((256, 4), dtype=np.uint8)
    for value, colour in enumerate(palette.by_value(), start=1):
        for level, (opacity, grey) in enumerate(zip(_OPACITY, _GREY_OPACITY, strict=True)):
            shown = grey if value == 1 else opacity
            for suspected in (0, SUSPECTED_BIT):
                code = value | suspected | level << LEVEL_SHIFT
                pale = 0.8 if suspected and not hatch else 1.0
                plain[code] = (*colour, round(255 * shown * pale))
                stripe[code] = (*colour, round(255 * shown * (_STRIPE if suspected else 1.0)))
    return plain, stripe


@dataclass(frozen=True)
class _View:
    """A map's place on the page: the pixel of the world (zoom 0 is 256 wide) in the middle, and pixels a world unit."""

    x: float
    y: float
    scale: float
    width: int
    height: int

    @property
    def metres_per_px(self) -> float:
        """On the ground in the middle of the view."""
        latitude = math.atan(math.sinh(math.pi * (1 - 2 * self.y)))
        return _EQUATOR_M * math.cos(latitude) / self.scale

    def place(self, lon: float, lat: float) -> tuple[float, float]:
        x, y = _world(lon, lat)
        return (x - self.x) * self.scale + self.width / 2, (y - self.y) * self.scale + self.height / 2


def _world(lon: float, lat: float) -> tuple[float, float]:
    """Web Mercator as fractions of the world's side."""
    return (lon + 180) / 360, (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2


def _fit(box: Box, width: int, height: int, share: float = 0.9) -> _View:
    west, north = _world(box[0], box[3])
    east, south = _world(box[2], box[1])
    scale = share * min(width / max(east - west, 1e-9), height / max(south - north, 1e-9))
    scale = min(max(scale, TILE_PX * 2.0**MIN_ZOOM), TILE_PX * 2.0 ** (MAX_ZOOM + 1))
    return _View((west + east) / 2, (north + south) / 2, scale, width, height)


def _squares(tile_at: Callable[[int, int, int], bytes], view: _View, palette: Palette) -> Image.Image:
    """The codes in view, RGB. Where a tile's pixel may hold the only red one, tiles are enlarged, never thinned out."""
    zoom = math.floor(math.log2(view.scale / TILE_PX))
    if zoom >= 19:  # a square is four pixels wide: halved it is as red as before, with finer edges
        zoom += 1
    zoom = min(max(zoom, MIN_ZOOM), MAX_ZOOM)
    side = 1 << zoom
    half_x, half_y = view.width / 2 / view.scale, view.height / 2 / view.scale
    left, right = (view.x - half_x) * side, (view.x + half_x) * side
    top, bottom = (view.y - half_y) * side, (view.y + half_y) * side
    columns, rows = range(math.floor(left), math.ceil(right)), range(math.floor(top), math.ceil(bottom))
    sheet = Image.new("RGBA", (len(columns) * TILE_PX, len(rows) * TILE_PX))
    for x in columns:
        for y in rows:
            if 0 <= x < side and 0 <= y < side:
                tile = colourise(tile_at(zoom, x, y), palette, hatch=zoom >= 19)
                sheet.paste(tile, ((x - columns[0]) * TILE_PX, (y - rows[0]) * TILE_PX))
    crop = tuple(
        (v - o) * TILE_PX for v, o in ((left, columns[0]), (top, rows[0]), (right, columns[0]), (bottom, rows[0]))
    )
    large = (view.width * _DRAWN, view.height * _DRAWN)
    drawn = sheet.resize(large, Image.Resampling.NEAREST, box=(crop[0], crop[1], crop[2], crop[3]))
    ground = Image.new("RGBA", large, (*_GROUND, 255))
    ground.alpha_composite(drawn)
    return ground.convert("RGB").reduce(_DRAWN)


def _font(size: float) -> Font:
    return ImageFont.load_default(size)


def _scale_bar(draw: ImageDraw.ImageDraw, view: _View, left: float, bottom: float) -> None:
    """A round number of metres, at most a fifth of the map wide."""
    most = view.metres_per_px * view.width / 5
    power = 10 ** math.floor(math.log10(most))
    length = max(step * power for step in (1, 2, 5) if step * power <= most)
    width = length / view.metres_per_px
    label = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    draw.rectangle((left - 8, bottom - 30, left + max(width, 40) + 8, bottom + 8), fill=_PAPER, outline=_LINE)
    draw.line(
        [(left, bottom - 6), (left, bottom), (left + width, bottom), (left + width, bottom - 6)], fill=_INK, width=2
    )
    draw.text((left, bottom - 26), label, fill=_INK, font=_font(13))


def _ring(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    draw.ellipse((x - radius - 2, y - radius - 2, x + radius + 2, y + radius + 2), outline=_PAPER, width=7)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_CASE, width=3)


def _map(
    tile_at: Callable[[int, int, int], bytes],
    view: _View,
    palette: Palette,
    cases: Sequence[tuple[float, float]],
    radius: float,
) -> Image.Image:
    image = _squares(tile_at, view, palette)
    draw = ImageDraw.Draw(image)
    for lon, lat in cases:
        x, y = view.place(lon, lat)
        if 0 <= x < view.width and 0 <= y < view.height:
            _ring(draw, x, y, radius)
    _scale_bar(draw, view, 20, view.height - 20)
    return image


_LEGEND = (
    (3, "Red", "severe defect"),
    (2, "Yellow", "mild defect"),
    (1, "Green", "looked for, none found"),
    (0, "Grey", "not known, never \"healthy\""),
)  # fmt: skip


def _legend(draw: ImageDraw.ImageDraw, left: int, top: int, palette: Palette, area_m2: Mapping[str, float]) -> int:
    """Draws downwards from ``top`` and says where it ended."""
    colours = palette.by_value()
    right = left + _SIDE_PX - 40
    for value, name, words in _LEGEND:
        draw.rounded_rectangle((left, top + 3, left + 17, top + 20), 4, fill=colours[value])
        draw.text((left + 28, top), name, fill=_INK, font=_font(16))
        area = area_m2.get(name.lower())
        if area is not None:
            # Pillow's own font has no raised two.
            draw.text((right - 7, top), f"{area:,.0f} m", fill=_INK, font=_font(16), anchor="ra")
            draw.text((right, top - 1), "2", fill=_INK, font=_font(10), anchor="ra")
        draw.text((left + 28, top + 20), words, fill=_QUIET, font=_font(12))
        top += 46
    top += 4
    red = colours[3]
    pale = tuple(round(v * 0.35 + 255 * 0.65) for v in red)
    half = tuple(round(v * 0.5 + 255 * 0.5) for v in red)
    marks = (
        "solid: confirmed by independent witnesses",
        "hatched: suspected",
        "pale: a phone's 4 or 16 m square",
        "a case",
    )
    for number, words in enumerate(marks):
        box = (left + 1, top + 1, left + 16, top + 16)
        if number == 1:
            draw.rectangle(box, fill=pale)
            for offset in range(-14, 16, 6):
                stripe = [(x, y) for x in range(16) for y in range(16) if 0 <= x - y - offset < 3]
                draw.point([(left + 1 + x, top + 1 + 15 - y) for x, y in stripe], fill=red)
        elif number == 3:
            draw.ellipse(box, outline=_CASE, width=3)
        else:
            draw.rectangle(box, fill=half if number == 2 else red, outline=red)
        draw.text((left + 28, top), words, fill=_QUIET, font=_font(12))
        top += 24
    return top


def picture(
    tile_at: Callable[[int, int, int], bytes],
    box_deg: Box,
    *,
    title: str,
    banner: str = "",
    cases: Sequence[tuple[float, float]] = (),
    area_m2: Mapping[str, float] | None = None,
    palette: Palette = PLAIN,
    size: tuple[int, int] = (1200, 800),
) -> Image.Image:
    """The map of a box as one RGB image, to be saved as PNG.

    tile_at: zoom, column, row to a painted tile (about 60 are asked for at 1200 x 800). box_deg: west, south, east,
    north. title and banner: Latin script, which is all that Pillow's own font has. cases: longitude and latitude; the
    first is shown enlarged at the side. area_m2: of each colour by name, written into the legend.
    Raises ValueError where the box is empty or turned over.
    """
    west, south, east, north = box_deg
    if not (west < east and south < north):
        raise ValueError("the box of a picture is west, south, east, north, west of east and south of north")
    width, height = size
    page = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((24, 15), title, fill=_INK, font=_font(25))
    top = _HEAD_PX
    if banner:
        draw.rectangle((0, top, width, top + _BANNER_PX), fill=_WARN)
        words = f"{banner}: not the state of any real road today"
        draw.text((width / 2, top + _BANNER_PX / 2), words, fill=(58, 42, 0), font=_font(15), anchor="mm")
        top += _BANNER_PX
    view = _fit(box_deg, width - _SIDE_PX, height - top)
    page.paste(_map(tile_at, view, palette, cases, radius=11), (0, top))
    left = width - _SIDE_PX
    draw.line([(left, top), (left, height)], fill=_LINE)
    end = _legend(draw, left + 20, top + 20, palette, area_m2 or {})
    room = height - end - 50
    if cases and room > 100:
        lon, lat = cases[0]
        draw.text((left + 20, end + 10), "The first case, close up", fill=_INK, font=_font(14))
        wide = _SIDE_PX - 40
        x, y = _world(lon, lat)
        ground_m = _EQUATOR_M * math.cos(math.radians(lat))
        near = _View(x, y, wide / _INSET_M * ground_m, wide, room - 4)
        page.paste(_map(tile_at, near, palette, cases, radius=24), (left + 20, end + 34))
        draw.rectangle((left + 20, end + 34, left + 20 + wide, end + 30 + room), outline=_LINE)
    return page
