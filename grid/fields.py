"""Columns of a road file: which of them says what, and what their values mean. Files of many makers, one reading."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

Columns = Mapping[str, Sequence[Any]]

KNOWN: dict[str, tuple[str, ...]] = {
    "key": (
        "osm_id", "osmid", "@id", "full_id", "way_id", "link_id", "linkid", "road_id", "roadid", "segment_id",
        "street_id", "lineid", "globalid", "objectid", "id", "gid", "fid", "道路编号", "编号",
    ),
    "name": ("name:en", "name_en", "road_name", "roadname", "street", "st_name", "fullname", "full_name", "name"),
    "name_zh": ("name:zh", "name_zh", "name_chn", "name_ch", "道路名称", "路名", "名称"),
    "class": (
        "highway", "fclass", "func_class", "funcclass", "functional_class", "road_class", "roadclass", "class",
        "cfcc", "道路等级", "等级", "road_type", "roadtype",
    ),
    "width": ("width", "road_width", "roadwidth", "width_m", "路宽", "道路宽度", "车行道宽"),
    "lanes": ("lanes", "lane_num", "lanenum", "num_lanes", "lane_count", "车道数"),
    "district": ("district", "adname", "county", "borough", "l_mcdname", "行政区", "所属区", "区县"),
    "owner": ("owner", "operator", "maintainer", "cart_own", "养护单位", "管养单位", "权属单位"),
    "oneway": ("oneway", "one_way", "dir", "direction", "单行"),
}  # fmt: skip
"""By what they say, names of columns of OpenStreetMap and its extracts, of OSMnx, of Xi'an (TrackIt), of Syracuse, and
of Chinese surveys. The first that a file has is taken; of keys the first whose values are all different."""

_NOTHING = {"", "none", "null", "<null>", "nan", "nat", "<na>", "无名道路", "无名路", "unnamed"}
_BEFORE = {"yes", "true", "1", "y", "ft", "f", "forward", "是"}
_AGAINST = {"-1", "reverse", "tf", "backward"}


_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff]")
"""What a database takes in no text: NUL, halves of characters; and what nobody could have meant."""


class NoSuchField(ValueError):
    """A column that was named is not in the file."""


def find_fields(columns: Columns, given: Mapping[str, str]) -> dict[str, str]:
    """By what they say (`KNOWN`) the columns of a file: those given by name, others by `KNOWN`; what a file does not
    have is left out. Raises NoSuchField."""
    by_lower = {name.lower(): name for name in columns}
    found = {}
    for says, names in KNOWN.items():
        if says in given:
            column = by_lower.get(given[says].lower())
            if column is None:
                raise NoSuchField(f"the file has no column {given[says]!r}; it has {', '.join(columns)}")
            found[says] = column
            continue
        there = [by_lower[name] for name in names if name in by_lower]
        if says == "key":
            there = [c for c in there if _all_differ(columns[c])] or there
        there = [c for c in there if any(text_of(v) for v in columns[c])]
        if there:
            found[says] = there[0]
    return found


def _all_differ(values: Sequence[Any]) -> bool:
    texts = [text_of(v) for v in values]
    return len(set(texts)) == len(texts) and "" not in texts


def text_of(value: Any) -> str:
    """A value as text: "" where it says nothing, whole numbers without a point, lists (also as OSMnx writes them into
    GraphML) joined by " / ", lists within them left out."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str) and isinstance(value, Sequence):
        return " / ".join(t for t in (text_of(v) for v in value if not isinstance(v, list | tuple)) if t)
    text = " ".join(_UNPRINTABLE.sub(" ", str(value)).split())
    if re.fullmatch(r"\[.*\]", text):
        parts = [a or b or c for a, b, c in re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s,\[\]'\"]+)", text)]
        return " / ".join(p for p in parts if p)
    return "" if text.lower() in _NOTHING else text


def number_of(value: Any) -> float:
    """The first number in a value, 0 where there is none; feet become metres where the text says feet."""
    text = text_of(value)
    match = re.search(r"\d+(?:[.]\d+)?", text)
    if match is None or text.startswith("-"):
        return 0.0
    number = float(match[0])
    if math.isinf(number):
        return 0.0
    return number * 0.3048 if re.match(r"\s*('|′|ft\b|feet\b)", text[match.end() :]) else number


def has_chinese(text: str) -> bool:
    """Whether a text has a Chinese character."""
    return any("一" <= c <= "鿿" for c in text)


def directions(values: Sequence[Any]) -> list[int]:
    """Of each value of a one-way column: 1 traffic goes with the drawing, -1 against it, 0 both ways.

    Three columns use the same letters and digits for different things, so the whole column is looked at: with a B in
    it, F and T are forward and backward (extracts of OpenStreetMap), else true and false; with a 2 or 3 in it, 1 is
    both ways (navigation maps), else it is one way."""
    texts = [text_of(v).lower() for v in values]
    there = set(texts)
    if "b" in there:
        meaning = {"f": 1, "t": -1}
    elif there & {"2", "3"} and there <= {"", "0", "1", "2", "3"}:
        meaning = {"2": 1, "3": -1}
    else:
        meaning = dict.fromkeys(_BEFORE - {"f"}, 1) | dict.fromkeys(_AGAINST, -1) | {"t": 1}
    return [meaning.get(t, 0) for t in texts]
