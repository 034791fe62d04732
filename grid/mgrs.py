"""A square's name in the military grid, as people read it to each other: `51RTP 28000 52000`.

Zone and band, two letters for a square of 100 km, then easting and northing of the south-west corner within it in
metres. A square of 1 m is one of the military grid. Those of 4, 16 and 64 m are not: fewer digits would name another
square, of 10 or 100 m, so theirs keep all digits of the corner and say the side: `51RTP 28000 52000 (16 m)`.

A city keeps its one zone past the zone's border, where the military grid would change to the next: there the text says
the city's zone, which maps with an overlapping grid print as well. The letters end at eastings of 100 and 900 km, 66
km past the border at the equator and 110 km at 30 degrees; beyond them a square has no such name (NoMgrs), but an id.
"""

from __future__ import annotations

import re

from .cells import LEVELS, cells_at, corner_m, side_m, zone_of
from .projection import Zone, unproject

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3, from 100 km easting
_ROWS = "ABCDEFGHJKLMNPQRSTUV"  # every 100 km northing, begun anew each 2,000 km; five later in even zones
_CYCLE_M = 2_000_000
_TEXT = re.compile(
    r"\s*(\d{1,2})\s*([C-HJ-NP-X])\s*([A-HJ-NP-Z])([A-HJ-NP-V])\s*(\d{5})\s*(\d{5})\s*(?:\(\s*(\d+)\s*M\s*\))?\s*"
)


class NoMgrs(ValueError):
    """A square has no name in the military grid."""


class BadMgrs(ValueError):
    """A text is no name of a square in the military grid."""


def mgrs_of(cell: int) -> str:
    """The text of a square of any level. Raises NoMgrs above 84 and below 80 degrees, and beyond the letters."""
    x, y = (int(v) for v in corner_m(cell))
    zone = zone_of(cell)
    _, lat = unproject(x, y, zone)
    column = x // 100_000 - 1
    if not 0 <= column < 8 or not -80 <= float(lat) < 84:
        raise NoMgrs(
            f"easting {x} m, latitude {float(lat):.2f}: the military grid names eastings of 100 to 900 km between 80 "
            "degrees south and 84 north; use the square's number"
        )
    row = (y // 100_000 + (5 if zone.number % 2 == 0 else 0)) % 20
    letters = _COLUMNS[zone.number % 3][column] + _ROWS[row]
    side = side_m(cell)
    size = f" ({side} m)" if side > 1 else ""
    return f"{zone.number}{_band(float(lat), zone)}{letters} {x % 100_000:05d} {y % 100_000:05d}{size}"


def _band(lat_deg: float, zone: Zone) -> str:
    """The letter of 8 degrees of latitude (X has 12). The corner of a square at the equator comes back as a hair of the
    other hemisphere: the zone decides."""
    number = min(int((lat_deg + 80) // 8), len(_BANDS) - 1)
    return _BANDS[max(number, 10) if zone.north else min(number, 9)]


def cell_of_mgrs(text: str) -> int:
    """The square of a text as `mgrs_of` gives it, with or without its spaces. Raises BadMgrs."""
    match = _TEXT.fullmatch(text.upper())
    if match is None:
        raise BadMgrs(f"{text!r} is no square: write it as 51RTP 28000 52000, or with its side, (16 m), behind")
    number, band = int(match[1]), match[2]
    side = int(match[7] or 1)
    levels = {1 << 2 * level: level for level in LEVELS}
    if not 1 <= number <= 60 or match[3] not in _COLUMNS[number % 3] or side not in levels:
        raise BadMgrs(f"{text!r}: zone {number} has no square {match[3]}{match[4]}, or a side is not 1, 4, 16 or 64 m")
    zone = Zone(number, _BANDS.index(band) >= 10)
    x = (_COLUMNS[number % 3].index(match[3]) + 1) * 100_000 + int(match[5])
    row = (_ROWS.index(match[4]) - (5 if number % 2 == 0 else 0)) % 20
    y = row * 100_000 + int(match[6])
    # The northing within 2,000 km is known; the band, which is 900 to 1,300 km high, says in which 2,000 km it lies.
    middle = (_BANDS.index(band) * 8 - 80 + (6 if band == "X" else 4)) * 110_850 + (0 if zone.north else 10_000_000)
    y += round((middle - y) / _CYCLE_M) * _CYCLE_M
    if y < 0 or x % side or y % side:
        raise BadMgrs(f"{text!r}: no square of {side} m has its corner there")
    cell = int(cells_at(x, y, zone, levels[side]))
    _, lat = unproject(x, y, zone)
    if abs(float(lat) - (_BANDS.index(band) * 8 - 76)) > (9 if band == "X" else 5):
        raise BadMgrs(f"{text!r}: band {band} has no square {match[3]}{match[4]} in zone {number}")
    return cell
