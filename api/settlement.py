"""A day's settlement, at its seal: what phones taught becomes points. All in the keeper's transaction.

Block by block, in memory for some of them: rows of `taught`, what was believed of the block before, what boxes did
there that day; `ledger.points` shares the squares' worth out, `ledger.points_settle` writes entries, statements and the
record. Then the rows go.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from defects import EvidenceOptions, HealthOptions, planes, register_store, taught, taught_store
from grid import blocks_of, cells_of_block, index_in_block, level_of, parents
from grid import store as roads
from ingest import City, condition_store
from ingest import store as ingest_store
from ledger import points, points_settle, points_store

Connection = psycopg.Connection[Any]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_BLOCKS_AT_ONCE = 32
"""Coarse blocks that are in memory together, each with up to 256 blocks of 1 m squares below: tens of megabytes."""
_REPORT_LEVEL = 1  # a report is of a square of 4 m, as a phone is


@dataclass(frozen=True)
class Terms:
    """What a settlement goes by. budget: points of a day."""

    budget: int
    rules: points.Rules
    evidence: EvidenceOptions
    health: HealthOptions


def settle_day(conn: Connection, city: City, day: date, at: datetime, terms: Terms) -> points_settle.Settled | None:
    """Settles a day while its salt is still there and its evidence is whole; to be called in the transaction of its
    seal, before anything of the day is forgotten. None where nobody collects points and there is nothing to give."""
    salt = ingest_store.salts(conn).get(day)
    if salt is None:
        raise LookupError(f"the salt of {day} is gone: it was sealed already, and cannot be settled")
    points_settle.begin(conn, day)
    accounts = points_store.accounts_with_devices(conn)
    claims = points_store.open_claims(conn, day)
    if not accounts and not claims and points_settle.settlement(conn) is None:
        taught_store.forget_day(conn, day)
        return None
    earned: dict[str, points.Earned] = defaultdict(points.Earned)
    reports = _reports(conn, claims, day)
    if terms.budget > 0:
        rules = terms.rules
        joined_by = datetime.fromtimestamp(city.day_bounds_s(day)[0], UTC) - timedelta(days=rules.known_after_days)
        known = points_store.known_accounts(conn, joined_by, day, rules.known_paid_days)
        _credit(conn, day, salt, accounts, known, reports, terms, earned)
    dues, refused = _dues(day, earned, claims, reports, accounts, terms)
    taught_store.forget_day(conn, day)
    return points_settle.settle(
        conn, day, dues, refused, terms.budget, terms.rules.sha256, at, city.origins, secrets.token_bytes
    )


# ---------------------------------------------------------------- reports


@dataclass
class _Reports:
    """Confirmed reports to be paid. at: by block of 4 m squares and index the numbers of the claims; again: claims of a
    place that was paid within the year."""

    at: dict[int, dict[int, list[int]]]
    again: set[int]

    def blocks(self) -> set[int]:
        return set(self.at)


def _reports(conn: Connection, claims: Sequence[points_store.Claim], day: date) -> _Reports:
    mine = [(c.id, c.cell) for c in claims if c.cell is not None]
    found = _Reports({}, set())
    if not mine:
        return found
    since = day - timedelta(days=points_store.EXPIRE_AFTER_DAYS)
    paid = {_square_of(cell) for cell in points_store.paid_cells(conn, since)}
    for number, at in mine:
        cell = _square_of(at)
        if cell in paid:
            found.again.add(number)
        else:
            block, index = int(blocks_of([cell])[0]), int(index_in_block([cell])[0])
            found.at.setdefault(block, {}).setdefault(index, []).append(number)
    return found


def _square_of(cell: int) -> int:
    """The square that a report is paid for."""
    return int(parents([cell], max(_REPORT_LEVEL, int(level_of(cell))))[0])


# ---------------------------------------------------------------- credit


def _credit(
    conn: Connection, day: date, salt: bytes, accounts: Mapping[str, str], known: Set[str], reports: _Reports,
    terms: Terms, earned: dict[str, points.Earned],
) -> None:  # fmt: skip
    """Fills in what each account has earned, and what each report has (under ``claim N``)."""
    holder = {taught.pseudonym_of(device, salt): account for device, account in accounts.items()}
    weights = {name: t.weight_pct for name, t in condition_store.weights_of(conn, day).items()}
    newcomer = weights.get(condition_store.NEWCOMER["phone"], 100)
    quality = {account: weights.get(device, newcomer) for device, account in accounts.items()}
    counted = taught_store.replayed(conn, day)
    blocks = sorted({*taught_store.blocks_of_day(conn, day), *reports.blocks()})
    for level in (0, 1, 2):
        mine = [b for b in blocks if b and int(level_of(b)) == level] if level else [b for b in blocks if not b]
        for some in _portions(mine):
            rows = taught_store.rows_of_blocks(conn, day, some)
            told = {b: _witnesses(rows.get(b, []), holder, quality, known, counted, earned) for b in some}
            if level:
                squares = _squares(conn, day, some, level, terms)
                for block in some:
                    asked = {i: [f"claim {c}" for c in cs] for i, cs in reports.at.get(block, {}).items()}
                    square = squares[block]
                    points.share(
                        points.Square(square.before, square.silence, square.box_passed, square.box_felt,
                        square.harmless, asked),
                        told[block], terms.rules, earned,
                    )  # fmt: skip


def _portions(blocks: Sequence[int]) -> Iterator[Sequence[int]]:
    for i in range(0, len(blocks), _BLOCKS_AT_ONCE):
        yield blocks[i : i + _BLOCKS_AT_ONCE]


def _witnesses(
    rows: Sequence[tuple[bytes, taught.Row]], holder: Mapping[bytes, str], quality: Mapping[str, int],
    known: Set[str], counted: Mapping[bytes, bytes], earned: dict[str, points.Earned],
) -> list[points.Witness]:  # fmt: skip
    """A block's rows by device; what earns nothing whatever it says is noted."""
    by: dict[str, list[taught.Said]] = {}
    for pseudonym, row in rows:
        account = holder.get(pseudonym)
        if account is None:
            continue  # an account that was closed since
        try:
            said = taught.read_row(row)
            why = None if said.refused is None else points.Why(said.refused)
        except ValueError:  # one bad row must not hold up everybody's settlement
            earned[account].note(points.Why.DAMAGED, 1)
            continue
        if why is not None:
            earned[account].note(why, 1)
        elif counted.get(said.content, said.chunk) != said.chunk:
            earned[account].note(points.Why.REPLAYED, 1)
        else:
            by.setdefault(account, []).append(said)
    found = []
    for account, saids in by.items():
        felt = np.max([s.felt for s in saids], axis=0) / taught.UNIT
        passed = np.logical_or.reduce([s.passed for s in saids])
        quiet = np.logical_or.reduce([s.passed & s.quiet_counts for s in saids])
        minutes = frozenset().union(*(s.minutes for s in saids))
        found.append(points.Witness(account, quality[account], minutes, passed, quiet, felt, account in known))
    return found


def _squares(
    conn: Connection, day: date, blocks: Sequence[int], level: int, terms: Terms
) -> dict[int, points.Square]:
    """What is known of coarse blocks besides what their witnesses say."""
    ground = register_store.ground_of(conn, blocks, day, terms.health.ground)
    before = taught.believed(
        taught_store.evidence_before(conn, blocks, day), day, level, terms.health, terms.evidence, ground
    )
    below = roads.blocks_below(blocks)
    unseen = taught_store.unseen_by_boxes(conn, below)
    passed, felt, hidden = ({b: np.zeros(1024) for b in blocks} for _ in range(3))
    small = float(1 << 4 * level)
    for block, e in taught_store.evidence_on(conn, below, day).items():
        rolled, hit = taught.by_boxes(e)
        _lift(block, level, rolled, passed)
        _lift(block, level, hit, felt)
    for block, chance in unseen.items():
        _lift(block, level, 1.0 - chance, hidden)
    finer = _finer(conn, day, blocks) if level > 1 else {}
    found = {}
    for block in blocks:
        known = taught.less_known(before[block], 1.0 - hidden[block] / small)
        if block in finer:  # what phones said that day in squares of 4 m is paid there
            known = np.where(finer[block], -60.0, known)
        here = ground.get(block)
        harmless = np.zeros(1024, bool) if here is None else here.harmless > 0
        found[block] = points.Square(
            known, taught.quiet_worth(level, terms.evidence), passed[block] > 0, felt[block] > 0, harmless
        )
    return found


def _finer(conn: Connection, day: date, blocks: Sequence[int]) -> dict[int, Bools]:
    """Squares of 16 m in which phones spoke of squares of 4 m on the day."""
    found = {b: np.zeros(1024) for b in blocks}
    fine = roads.blocks_below(blocks)  # of 1 m; their squares' parents name the blocks of 4 m
    below = np.unique(blocks_of(parents([int(cells_of_block(b)[0]) for b in fine], 1))).tolist()
    for block, e in taught_store.evidence_on(conn, below, day).items():
        _lift(block, 2, e.plane(planes.PHONE_PASSES) > 0, found)
    return {b: there > 0 for b, there in found.items()}


def _lift(block: int, level: int, said: Bools | Floats, into: dict[int, Floats]) -> None:
    """Adds what is said of a block's squares to the coarser squares that hold them."""
    at = np.flatnonzero(said)
    if not len(at):
        return
    above = parents(cells_of_block(block)[at], level)
    over = blocks_of(above)
    for one in np.unique(over).tolist():
        if one in into:
            here = over == one
            np.add.at(into[one], index_in_block(above[here]), np.asarray(said, np.float64)[at][here])


# ---------------------------------------------------------------- what is due


def _dues(
    day: date, earned: Mapping[str, points.Earned], claims: Sequence[points_store.Claim], reports: _Reports,
    accounts: Mapping[str, str], terms: Terms,
) -> tuple[list[points_settle.Due], dict[tuple[str, str], int]]:  # fmt: skip
    dues: list[points_settle.Due] = []
    refused: dict[tuple[str, str], int] = {}
    for account in sorted(set(accounts.values()) & set(earned)):
        mine = earned[account]
        wanted = points.points_of(mine, terms.rules)
        why: dict[str, Any] = {
            "nanobits": mine.nanobits, "quiet_squares": mine.quiet_squares, "felt_squares": mine.felt_squares,
            "shared_squares": mine.shared_squares,
        }  # fmt: skip
        if wanted:
            dues.append(points_settle.Due(account, "pass", day, wanted, why, f"pass:{account}:{day}"))
        for reason, n in mine.refused.items():
            refused[account, reason] = n
    for claim in claims:
        if claim.what == "appeal":
            wanted, why = claim.points or 0, {"claim": claim.id, "appeal_of": claim.day.isoformat()}
        elif claim.id in reports.again:
            wanted, why = 0, {"claim": claim.id, "refused": "nothing_new"}
        else:
            mine = earned.get(f"claim {claim.id}", points.Earned())
            wanted = mine.nanobits * terms.rules.points_per_bit // points.NANOBITS
            why = {"claim": claim.id, "nanobits": mine.nanobits, "shared_squares": mine.shared_squares}
            if not wanted:
                why["refused"] = "nothing_new"
        dues.append(points_settle.Due(claim.account, claim.what, claim.day, wanted, why, f"claim:{claim.id}", claim.id))
    return dues, refused

