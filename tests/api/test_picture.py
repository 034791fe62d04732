"""The picture of the map shows what the tiles say."""

from __future__ import annotations

import numpy as np
import pytest

from api.picture import COLOUR_BLIND, PLAIN, Palette, colourise, picture
from api.tiles import TILE_PX

BOX = (120.1645, 30.2785, 120.1665, 30.2795)


def tile_of(value: int) -> bytes:
    return bytes([value]) * (TILE_PX * TILE_PX)


def share_of(image: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((image == colour).all(axis=2).mean())


@pytest.mark.parametrize("palette", [PLAIN, COLOUR_BLIND])
def test_a_tile_takes_the_colours_of_the_palette(palette: Palette) -> None:
    for value, colour in enumerate(palette.by_value(), start=1):
        assert colourise(tile_of(value), palette).getpixel((9, 9))[:3] == colour
    assert colourise(tile_of(0), palette).getpixel((9, 9)) == (0, 0, 0, 0)


def test_a_confirmed_square_is_solid_a_suspected_one_hatched_a_phones_pale() -> None:
    def opacities(value: int) -> set[int]:
        return set(np.unique(np.asarray(colourise(tile_of(value), PLAIN, hatch=True))[..., 3]).tolist())

    assert opacities(4) == {255}
    assert len(opacities(4 | 8)) == 2
    assert max(opacities(4 | 2 << 4)) < max(opacities(4 | 1 << 4)) < 255


def test_a_tile_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="65536 bytes"):
        colourise(b"\x00" * 100, PLAIN)


def test_the_picture_shows_the_tiles_the_banner_and_the_case() -> None:
    asked: list[int] = []

    def tile_at(z: int, x: int, y: int) -> bytes:
        asked.append(z)
        return tile_of(2)

    plain = picture(tile_at, BOX, title="A city")
    marked = picture(
        tile_at, BOX, title="A city", banner="SIMULATED + REPLAY", cases=[(120.1655, 30.279)], area_m2={"red": 12}
    )
    assert plain.size == marked.size == (1200, 800)
    assert len(asked) < 400
    assert len(set(asked)) <= 2
    before, after = np.asarray(plain), np.asarray(marked)
    assert share_of(before, PLAIN.green) > 0.6
    assert share_of(before[58:80], (255, 214, 92)) == 0
    assert share_of(after[58:80], (255, 214, 92)) > 0.7
    assert share_of(after[100:, :800], PLAIN.red) > share_of(before[100:, :800], PLAIN.red) == 0


def test_a_box_turned_over_is_refused() -> None:
    with pytest.raises(ValueError, match="west of east"):
        picture(lambda *_: tile_of(0), (120.2, 30.2, 120.1, 30.3), title="x")
