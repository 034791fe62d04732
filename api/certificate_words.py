"""What a certificate says, in words of two languages: for the command, the answer and the sheet to print."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from defects import ALL_TYPES, OF_THE_STANDARD, TYPES, Colour, Flag, State
from grid import name_of
from ledger import Certificate

COLOUR_WORDS = {
    Colour.GREY: ("灰", "未知", "GREY", "not known"), Colour.GREEN: ("绿", "健康", "GREEN", "healthy"),
    Colour.YELLOW: ("黄", "一般缺陷", "YELLOW", "defect"), Colour.RED: ("红", "严重缺陷", "RED", "severe defect"),
}  # fmt: skip
"""By colour: its sign and meaning in Chinese, its name and meaning in English."""
STATE_WORDS = {State.SUSPECTED: ("疑似", "suspected"), State.CONFIRMED: ("已确认", "confirmed")}
ORIGIN_WORDS = {"live": ("实时", "LIVE"), "replay": ("回放", "REPLAY"), "simulated": ("模拟", "SIMULATED")}
CHINA = timezone(timedelta(hours=8))
"""Where no city file is at hand, moments are told in the one time of GB/T 2260's country."""


def place_of(said: Certificate) -> str:
    """The place as people compare it: a square's name, or road and number of a section."""
    if said.cell is not None:
        return f"{name_of(said.cell)} №{said.cell}"
    return f"{said.name or '无名道路'} №{said.section}"


def moment(t_s: int) -> str:
    """A moment as in 2026-11-26 04:00."""
    return datetime.fromtimestamp(t_s, UTC).astimezone(CHINA).strftime("%Y-%m-%d %H:%M")


def describe(said: Certificate) -> dict[str, Any]:
    """Everything that it says, by name, for JSON and tables."""
    colour = Colour(said.colour)
    lon, lat = said.position
    kind = None if said.kind is None else ALL_TYPES[said.kind]
    seen = [t.key for t in TYPES[:OF_THE_STANDARD] if said.seen >> (t.number - 1) & 1]
    about: dict[str, Any] = (
        {
            "cell": said.cell, "side_m": said.extent_m, "state": State(said.state).name.lower(),
            "kind": None if kind is None else {"key": kind.key, "zh": kind.zh, "en": kind.en},
            "severity": round(said.severity / 64, 2) or None, "seen": seen, "of": OF_THE_STANDARD,
            "flags": [(flag.name or "").lower() for flag in Flag if said.flags & flag],
        }
        if said.cell is not None
        else {"section": said.section, "length_m": said.extent_m, "name": said.name, "known_pct": said.known_pct}
    )  # fmt: skip
    return {
        "about": said.about, "place": place_of(said), "lon": lon, "lat": lat, "colour": colour.name.lower(), **about,
        "district": said.issuer, "origin": list(said.origins),
        "day": (date(1970, 1, 1) + timedelta(said.day)).isoformat(),
        "issued": said.issued_s, "expires": said.expires_s,
        "log": None if said.log_size is None else {"size": said.log_size, "index": said.log_index},
    }  # fmt: skip


def words_of(said: Certificate) -> tuple[str, str]:
    """The code in one line, Chinese and English."""
    sign, meaning, name, sense = COLOUR_WORDS[Colour(said.colour)]
    zh, en = [f"{sign}：{meaning}"], [f"{name}: {sense}"]
    if said.state:
        word = STATE_WORDS[State(said.state)]
        zh.append(word[0])
        en.append(word[1])
    if said.kind is not None:
        zh.append(ALL_TYPES[said.kind].zh)
        en.append(ALL_TYPES[said.kind].en)
    if said.flags & Flag.EXPIRED:
        zh.append("曾为黄或红，已过期")
        en.append("was yellow or red, expired")
    if said.flags & Flag.WORKS:
        zh.append("施工中")
        en.append("works")
    if said.colour == Colour.GREEN and said.cell is not None:
        count = (said.seen & ((1 << OF_THE_STANDARD) - 1)).bit_count()
        zh.append(f"{OF_THE_STANDARD} 类中查了 {count} 类")
        en.append(f"looked for {count} of {OF_THE_STANDARD} types")
    if said.known_pct is not None:
        zh.append(f"已知面积 {said.known_pct}%")
        en.append(f"{said.known_pct}% of it known")
    return " · ".join(zh), " · ".join(en)


def origin_words(said: Certificate) -> tuple[str, str]:
    """Where the data came from, always said."""
    words = [ORIGIN_WORDS[o] for o in said.origins]
    return "＋".join(w[0] for w in words), " + ".join(w[1] for w in words)
