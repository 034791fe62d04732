"""Faults are made on purpose and counted: what is refused is what was broken, and nothing good is lost."""

from collections import Counter
from pathlib import Path

import pytest

from ingest import Refused, decode, encode, read_city
from sensors_sim import BAD_KINDS, Counts, Faults, inject, trips

UNTIL_S = 1_790_000_000.0


@pytest.fixture(scope="module")
def payloads() -> list[bytes]:
    city = read_city((Path(__file__).parents[2] / "city.toml").read_text(encoding="utf-8"))
    return [encode(c) for _, _, c in trips(city, 2, 1, 1, 1, UNTIL_S)]


def reason_of(payload: bytes) -> str | None:
    try:
        decode(payload)
    except Refused as refused:
        return str(refused.reason)
    return None


def test_what_the_decoder_refuses_is_what_was_broken(payloads: list[bytes]) -> None:
    counts = Counts()
    sent = list(inject(payloads, 1, Faults(0.2, 6, 21), counts))
    refused = Counter(r for p in sent if (r := reason_of(p)))
    expected = Counter({str(reason): counts.bad[kind] for kind, (_, reason, here) in BAD_KINDS.items() if here})
    assert refused == expected
    assert counts.bad == dict.fromkeys(BAD_KINDS, 3)
    assert counts.good == len(payloads)
    assert len(sent) == counts.good + counts.duplicates + counts.bad.total()


def test_every_good_payload_comes_and_repeats_are_counted(payloads: list[bytes]) -> None:
    counts = Counts()
    seen = Counter(inject(payloads, 4, Faults(0.3, 10, 7), counts))
    assert all(seen[p] in (1, 2) for p in payloads)
    assert sum(seen[p] == 2 for p in payloads) == counts.duplicates
    assert 0.1 < counts.duplicates / len(payloads) < 0.5


def test_disorder_stays_within_its_window(payloads: list[bytes]) -> None:
    sent = list(inject(payloads, 9, Faults(reorder=6), Counts()))
    places = [sent.index(p) for p in payloads]
    assert places != sorted(places)
    assert all(abs(place - i) <= 6 for i, place in enumerate(places))
    assert list(inject(payloads, 9, Faults(), Counts())) == payloads


def test_readable_bad_ones_have_a_trip_of_their_own(payloads: list[bytes]) -> None:
    good = {decode(p).trip for p in payloads}
    bad = [p for p in inject(payloads, 3, Faults(bad=14), Counts()) if p not in set(payloads)]
    assert len(bad) == 14
    readable = [decode(p) for p in bad if reason_of(p) is None]
    assert len(readable) == 4  # a place and a time that only the city can judge
    assert not good & {c.trip for c in readable}


def test_same_seed_same_faults_and_kinds_go_on_from_device_to_device(payloads: list[bytes]) -> None:
    one, two = (list(inject(payloads, 5, Faults(0.1, 4, 5), Counts())) for _ in range(2))
    assert one == two
    counts = Counts()
    list(inject(payloads, 5, Faults(bad=2), counts, first_kind=6))
    assert set(counts.bad) == {"wrong_length", "garbage"}


def test_nothing_to_break(payloads: list[bytes]) -> None:
    assert list(inject([], 1, Faults(bad=3), Counts())) == []
    # More bad ones than the stream has room for come at its end.
    counts = Counts()
    assert len(list(inject(payloads[:2], 1, Faults(bad=9), counts))) == 11
    assert counts.bad.total() == 9


@pytest.mark.parametrize("wrong", [{"duplicates": 1.5}, {"reorder": -1}, {"bad": -1}])
def test_wrong_shares_are_said(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="duplicates is a share"):
        Faults(**wrong)
