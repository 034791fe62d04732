"""The value sets that districts share: what the numbers in a road code mean, in both languages, as bytes whose hash
stands in the trust list. Made from the taxonomy, so that they cannot say something else than the codes."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from defects import ALL_TYPES, OF_THE_STANDARD, Colour, State

VERSION = 1
_COLOURS = {
    Colour.GREY: ("灰：未知", "Grey: not known"),
    Colour.GREEN: ("绿：健康", "Green: healthy"),
    Colour.YELLOW: ("黄：一般缺陷", "Yellow: a mild defect"),
    Colour.RED: ("红：严重缺陷", "Red: a severe defect"),
}
_STATES = {
    State.NONE: ("无", "none"),
    State.SUSPECTED: ("疑似", "suspected"),
    State.CONFIRMED: ("已确认", "confirmed"),
}


def value_sets() -> dict[str, bytes]:
    """Each set by its name, as UTF-8 JSON in one spelling: sorted keys, no spaces."""
    kinds = [
        {"number": t.number, "key": t.key, "zh": t.zh, "en": t.en, "standard": 1 <= t.number <= OF_THE_STANDARD}
        for t in ALL_TYPES
    ]
    return {
        "colours": _bytes("colours", [_value(c, *_COLOURS[c]) for c in Colour]),
        "defect-kinds": _bytes("defect-kinds", kinds),
        "states": _bytes("states", [_value(s, *_STATES[s]) for s in State]),
    }


def digests(sets: dict[str, bytes]) -> dict[str, bytes]:
    """SHA-256 of each set, as the trust list carries it."""
    return {name: sha256(data).digest() for name, data in sets.items()}


def _value(value: Colour | State, zh: str, en: str) -> dict[str, Any]:
    return {"number": int(value), "key": value.name.lower(), "zh": zh, "en": en}


def _bytes(name: str, values: list[dict[str, Any]]) -> bytes:
    said = {"set": name, "version": VERSION, "values": values}
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
