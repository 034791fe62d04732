"""Tests run at any hour: the chunks that they send are taken also in the minute after a service day's border."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ingest import City, admit, decode

from ..faults.stage import drive_of
from ..flow.test_bad_input import good
from ..ingest.test_sender import payloads
from ..roads import just_driven
from ..security.fort import Fort

SENT: dict[str, Callable[[Any], list[bytes]]] = {
    "just_driven": lambda street: just_driven(street.city, 20, tail="00000002"),
    "security": lambda street: Fort(street, street.city, Path()).chunks(23),
    "flow": lambda street: good(street, 12, "0000600d"),
    "ingest": lambda street: payloads(street, 6, 1),
    "faults": lambda street: drive_of(street.city, 40, 7),
}


@pytest.mark.parametrize("name", SENT)
def test_no_chunk_is_of_a_wrong_trip_when_the_service_day_has_just_begun(
    city: City, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _, four_s = city.day_bounds_s(city.service_day(1_795_500_000.0))
    days = set()
    for now_s in (four_s + 3.0 + 20.0 * n for n in range(12)):  # drives before it, across it, after it
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda at_s=now_s: at_s)
            sent = [decode(payload) for payload in SENT[name](SimpleNamespace(city=city))]
        for chunk in sent:
            admit(chunk, "box", city, now_s)
        days.add(len({chunk.trip for chunk in sent}))
    assert days == {1, 2}, "some of the drives go across the border"
