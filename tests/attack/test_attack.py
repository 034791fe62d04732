"""The attack, small: on what is told nobody finds homes; the same attackers on what is not protected do."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest

from api import wiring
from api.coder import coarse_day, step
from api.worker import Worker
from defects import HealthOptions, turn
from defects import recode as reading
from defects import store as defects_store
from grid import Zone, cells_of_block, project
from ingest import Arrived, City, encode
from ingest import store as ingest_store
from ledger import parse

from .attackers import ATTACKERS
from .publication import RAW, evidence, squares_told
from .trial import DAY_S, FIRST_S, Size, World, attack, world

SIZE = Size(citizens=12, days=8, blocks=14, seed=2)
K = HealthOptions().public_contributors
TRIM_M = 200.0
WORST_ERROR_M = 30.0
"""Of a fix, five sigma of the worst phone."""


@pytest.fixture(scope="module")
def town(city: City) -> World:
    return world(SIZE, city, wiring.EVIDENCE)


def test_nobody_finds_homes_in_what_is_told_and_they_do_in_what_is_not_protected(town: World, city: City) -> None:
    raw, unprotected, told = attack(town, city, [(RAW, 0.0), (1, 0.0), (K, TRIM_M)])
    assert raw.best >= 0.5, "attackers that find nothing anywhere prove nothing"
    assert unprotected.best >= 0.5
    for name in ATTACKERS:
        assert told.found[name] <= 1.5 / K, name
    assert told.best < raw.best / 2
    assert told.told > 0, "where nothing is told there is nothing to attack"


def test_the_attackers_are_given_all_that_the_platform_tells_and_more(
    town: World, city: City, database: str
) -> None:
    """Real chunks through worker and coder, day after day: what is public of coarse squares is among what they read."""
    day_one = city.service_day(FIRST_S)
    chunks = [h for h in town.heard if h.day == day_one and h.sent.let_go(TRIM_M)]
    # Copies of the same day's drives by more phones, so that something becomes public in a town of few.
    with psycopg.connect(database, autocommit=True) as conn:
        devices = sorted({h.sent.device for h in chunks})
        for n in range(4):
            for device in devices:
                ingest_store.enrol(conn, f"{device}-{n}", "box" if device.startswith("bus") else "phone", "x")
        now_s = FIRST_S + 60_000
        worker = Worker(lambda: conn, city, wiring.EVIDENCE, wiring.day_context(city), clock=lambda: now_s)
        sent = [Arrived(f"{h.sent.device}-{n}", encode(h.sent.chunk)) for h in chunks[:120] for n in range(4)]
        worker(sent)
        at_s = now_s
        for days in range(wiring.HEALTH.public_after_days + 1):
            at_s = now_s + days * DAY_S
            step(conn, city, wiring.HEALTH, at_s)
            while turn.blocks_waiting(conn, coarse_day(city, at_s)):
                step(conn, city, wiring.HEALTH, at_s)
        blocks = {b for b, _ in defects_store.evidence_keys(conn) if b >> 51}
        stored = defects_store.evidence_of(conn, blocks)
        by = {day_one: {b: days[day_one] for b, days in stored.items()}}
        read = squares_told(by, K)[day_one].keys()
        coloured = {
            int(cell)
            for block, (_, codes) in defects_store.codes_of(conn, blocks).items()
            for cell in cells_of_block(block)[codes["colour"] > 0].tolist()
        }
        changed = {r[0] for r in conn.execute("SELECT cell FROM code_change WHERE cell >> 51 > 0")}
        in_cases = {r[0] for r in conn.execute("SELECT cell FROM case_cell WHERE cell >> 51 > 0")}
        bodies = [parse(bytes(r[0])) for r in conn.execute("SELECT body FROM outbox WHERE kind = 'code'")]
        recorded = {b["cell"] for b in bodies if b["cell"] >> 51}
        expected = reading.recode(blocks, stored, coarse_day(city, at_s), wiring.HEALTH)
        public = defects_store.codes_of(conn, blocks)
    assert coloured
    for what in (coloured, changed, in_cases, recorded):
        assert what <= set(read)
    for block, codes in expected.items():
        if block in public:
            assert public[block][1].tobytes() == codes.tobytes()
        else:
            assert not codes["colour"].any()


def test_no_fix_that_is_sent_lies_within_what_is_trimmed(town: World, city: City) -> None:
    """The attacked data are those of phones that keep the rule, by where the fixes are, not by what a drive says."""
    zone = Zone(city.utm_zone, city.utm_north)
    middle = np.array([float(v) for v in project(*city.centre_deg, zone)])
    where = {c.name: town.town.xy_m[[c.home, c.work]] + middle for c in town.citizens}
    sent = [h.sent for h in town.heard if h.sent.kind == "phone" and h.sent.let_go(TRIM_M)]
    assert sent
    for one in sent:
        x, y = project(one.chunk.fixes.lon_deg, one.chunk.fixes.lat_deg, zone)
        for end in where[one.device]:
            assert np.hypot(x - end[0], y - end[1]).min() > TRIM_M - WORST_ERROR_M
    passes = [
        sum(int(reading.passes_of(e).sum()) for day in evidence(town.heard, trim_m).values() for e in day.values())
        for trim_m in (TRIM_M, 0.0)
    ]
    assert 0 < passes[0] < passes[1]
