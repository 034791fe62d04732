"""Generated tables of docs/roads.md: what is known of road files, and what becomes of them."""

from __future__ import annotations

import inspect

from grid import FIELDS, LANE_M, LEFT_OUT, OF_CENSUS, OF_OSM, OF_WORDS, REFUSED, ROAD_CLASSES, USUAL_WIDTH_M, Zone

from .code_text import doc, named_constants, table


def road_columns() -> str:
    """Columns that are known, by what they say."""
    return table(("what", "option", "columns, the first that is there and says anything"), [
        (says.replace("_", " "), f"`--{says.replace('_', '-')}-field`", ", ".join(f"`{n}`" for n in names))
        for says, names in FIELDS.items()
    ])  # fmt: skip


def road_classes() -> str:
    """What a source says, as one of our classes."""
    zh = {"expressway": "快速路", "trunk": "主干路", "secondary": "次干路", "branch": "支路", "not_a_road": "不是道路"}
    rows = [
        (
            f"`{c}`", zh[c], ", ".join(f"`{v}`" for v in OF_OSM[c]),
            ", ".join(f"`{v}`" for v in OF_CENSUS[c]), ", ".join(OF_WORDS[c]),
        )
        for c in OF_OSM
    ]  # fmt: skip
    return table(("class", "中文", "`highway` of OpenStreetMap", "census code begins with", "words in the text"), rows)


def road_widths() -> str:
    """Widths where a source says none."""
    rows = [(f"`{c}`", f"{LANE_M[c]:g}", *(f"{w:g}" for w in USUAL_WIDTH_M[c])) for c in ROAD_CLASSES]
    return table(("class", "a lane, m", "both directions, m", "one way, m"), rows)


def road_refusals() -> str:
    """Why a line becomes no road."""
    rows = [(f"`{reason}`", "refused", text) for reason, text in REFUSED.items()]
    rows += [(f"`{reason}`", "left out", text) for reason, text in LEFT_OUT.items()]
    return table(("reason", "", "what it means"), rows)


def road_constants() -> str:
    """Constants of sections and of recognising a datum."""
    return named_constants(
        ("grid/projection.py", "REACH_DEG"), ("grid/sections.py", "KEPT_M"), ("grid/classes.py", "USUAL_WIDTH_M"),
        ("grid/recognise_datum.py", "_LEAST_PLACES"), ("grid/recognise_datum.py", "_ENOUGH"),
        ("grid/recognise_datum.py", "_AHEAD"), ("grid/network.py", "_BACK_COS"), ("grid/graphml.py", "MOST_BYTES"),
    )  # fmt: skip


def zone_areas() -> str:
    """True areas of a square, as the module of the projection states them."""
    return "\n".join(line for line in doc(inspect.getmodule(Zone)).splitlines() if line.startswith("|"))
