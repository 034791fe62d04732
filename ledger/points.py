"""What a day's passes earn: how much they changed what is believed of each square, shared among those who agree. Pure.

The worth of a square is how far the day moved the belief in it: the Kullback-Leibler divergence of the belief after
from the belief before, in bits. Its expectation, before anybody looks, is the entropy that looking removes; so on
average it pays what was learnt, and it pays the surprise to those who met it. The plain difference of entropies would
not: a road that is thought good and turns out broken is less certain after than before, and who discovered the hole
would owe points.

Freshness needs no factor of its own. A square that nobody passed for weeks has drifted back to not being known, and its
belief before is that; one that is passed daily has nothing left to teach.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .records import encode

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

NANOBITS: Final = 1_000_000_000
"""Credit is counted in billionths of a bit: a quiet square is worth some 60,000 of them, and a hundred who share it get
a whole number each."""


class Why(StrEnum):
    """Why something did not earn, or less than it could. The value stands in accounts and answers."""

    # of a chunk
    HANDLED = "handled"
    NOT_MOVING = "not_moving"
    SPOOFED = "spoofed"
    NOT_LIVE = "not_live"
    NOT_BELIEVED = "not_believed"
    NO_PLACE = "no_place"
    REPLAYED = "replayed"
    DAMAGED = "damaged"
    # of a square
    NOBODY_AGREED = "nobody_agreed"
    NOT_VOUCHED = "not_vouched"
    OTHERS_DISAGREED = "others_disagreed"
    ALONE = "alone"
    CARRIER = "carrier"
    NOTHING_NEW = "nothing_new"
    KNOWN_OBJECT = "known_object"
    CELL_FULL = "cell_full"
    TRAVELLED_TOGETHER = "travelled_together"
    # of a day
    DAY_FULL = "day_full"
    LESS_THAN_A_POINT = "less_than_a_point"
    BUDGET = "budget"


MEANING: Final[dict[Why, tuple[str, str]]] = {
    Why.HANDLED: ("chunks", "the phone was held or turned about while it measured: leave it in its holder"),
    Why.NOT_MOVING: ("chunks", "the vehicle stood or crept"),
    Why.SPOOFED: ("chunks", "places that leap, or a drive on which nothing shook: it is not believed"),
    Why.NOT_LIVE: ("chunks", "recorded or simulated, in a city that measures live"),
    Why.NOT_BELIEVED: ("chunks", "the device has a fault that takes all its weight"),
    Why.NO_PLACE: ("chunks", "its position was too coarse to say anything of a square"),
    Why.REPLAYED: ("chunks", "the same shaking came twice on one day: it counts once"),
    Why.DAMAGED: ("chunks", "what was kept of it could not be read: our fault"),
    Why.NOBODY_AGREED: ("squares", "something was felt, and nobody else who passed that day felt or saw it"),
    Why.NOT_VOUCHED: ("squares", "several felt it, but no box, no person and no two who take part for long"),
    Why.OTHERS_DISAGREED: ("squares", "others who passed that day say otherwise"),
    Why.ALONE: ("squares", "fewer than two known phones and no box passed that day: a part was paid"),
    Why.CARRIER: ("squares", "silence on two wheels or an unknown carrier says nothing"),
    Why.NOTHING_NEW: ("squares", "it was known as well before"),
    Why.KNOWN_OBJECT: ("squares", "what lies there is in the register already"),
    Why.CELL_FULL: ("squares", "one square gives no more than this on a day"),
    Why.TRAVELLED_TOGETHER: ("squares", "several devices in one vehicle are one witness: they share one part"),
    Why.DAY_FULL: ("points", "a device earns no more than this on a day"),
    Why.LESS_THAN_A_POINT: ("days", "what was taught is worth less than one point"),
    Why.BUDGET: ("points", "the day's budget was shared among all, each the same part of what was earned"),
}  # fmt: skip
"""What the number of each reason counts, and what it says."""


@dataclass(frozen=True)
class Rules:
    """The rules in force; their hash stands in each settlement's record.

    points_per_bit: an ordinary kilometre of agreed, fresh road is 250 squares of some 60 millionths of a bit, 150
    points; at 100 many days are less than one, and lost by rounding down. most_bits_cell: of a square on a day. A
    found hole is up to ten bits, as much as 500 km of good road: uncapped, points would be a lottery of who meets it,
    and inventing holes would pay; at .01 nobody gains by what matters most. most_bits_day: of a device: 65 km of fresh
    road; without it a day of riding up and down is a wage, at .1 a commuter's way home is for nothing. alone_pct: what
    quiet squares are paid that nobody else passed that day: at 100 places that were never driven to are worth as much
    as those that others saw too, at 0 nobody is paid on the streets that lack measuring most. together: share of its
    minutes in a block that two devices must have in common to be one witness; lower, and two cars in a queue are one,
    at 1 a phone that starts a minute late is a second witness. least_nanobits: less is nothing new. report_logodds:
    what a report weighs that a person has checked. known_after_days, known_paid_days: an account is known that joined
    so long before the day, and was paid for passes on so many earlier days. Phones cost nothing to invent on one
    morning: fewer, and a farm vouches for itself within days; more, and a city without boxes has nobody who can vouch
    for half a year. known_witnesses: so many of them vouch for what was felt, and for silence; at 1 one patient phone
    and a borrowed drive are a finder and who confirms him. most_nanobits_alone: what silence that nobody vouches for
    is worth at the most, before alone_pct: a fresh quiet square is 60,000; without it, doubt that was invented
    yesterday is cleared for money today.
    """

    version: int = 2
    points_per_bit: int = 10_000
    most_bits_cell_pct: int = 10
    most_bits_day_pct: int = 100
    alone_pct: int = 25
    together_pct: int = 50
    least_nanobits: int = 1000
    report_logodds: int = 8
    expire_after_days: int = 365
    known_after_days: int = 28
    known_paid_days: int = 7
    known_witnesses: int = 2
    most_nanobits_alone: int = 100_000

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the rules as deterministic CBOR."""
        return hashlib.sha256(encode(asdict(self))).digest()


@dataclass(frozen=True, eq=False)
class Witness:
    """What one device says of one block on one day. account: whose it is; quality_pct: how far the device is believed;
    minutes: tokens of when it was there; passed, quiet, bool (1024,): squares it passed, and of those whose silence
    says something; felt, float64 (1024,): log-odds of what it felt, 0 where nothing. known: whether the account can
    vouch for others (`Rules`)."""

    account: str
    quality_pct: int
    minutes: frozenset[bytes]
    passed: Bools
    quiet: Bools
    felt: Floats
    known: bool = False


@dataclass(frozen=True, eq=False)
class Square:
    """What is known of the 1,024 squares of a block besides its witnesses. before: float64, log-odds on the morning
    of the day that something is wrong; silence: what one quiet pass says against it, in log-odds; box_passed, box_felt:
    bool, what boxes did there on the day; harmless: bool, known objects; reports: accounts by index of those who
    reported something there that a person has confirmed."""

    before: Floats
    silence: float
    box_passed: Bools
    box_felt: Bools
    harmless: Bools
    reports: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass
class Earned:
    """What an account has earned so far: nanobits; squares paid for silence and for what was felt; reasons."""

    nanobits: int = 0
    quiet_squares: int = 0
    felt_squares: int = 0
    shared_squares: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def note(self, why: Why, n: int) -> None:
        """Counts a reason."""
        if n > 0:
            self.refused[why.value] += n


def divergence_bits(before: Floats, after: Floats) -> Floats:
    """Kullback-Leibler divergence of the belief after from the belief before, both log-odds, in bits."""
    p = 1 / (1 + np.exp(-after))
    said = p * (after - before) + np.logaddexp(0, before) - np.logaddexp(0, after)
    return np.asarray(np.maximum(said, 0.0) / np.log(2))


def witnesses_of(minutes: Sequence[frozenset[bytes]], together_pct: int) -> list[int]:
    """Which devices are one witness: a number for each, the same for those that were together in most of the minutes in
    which the one of them with fewer was there, and for whoever is tied to them by others."""
    return _tied(len(minutes), _together(minutes, together_pct))


def _together(minutes: Sequence[frozenset[bytes]], together_pct: int) -> list[tuple[int, int]]:
    """Pairs of devices that were together."""
    owner: dict[bytes, list[int]] = defaultdict(list)
    for i, tokens in enumerate(minutes):
        for token in tokens:
            owner[token].append(i)
    common: dict[tuple[int, int], int] = defaultdict(int)
    for many in owner.values():
        for a, i in enumerate(many):
            for j in many[a + 1 :]:
                common[i, j] += 1
    return [(i, j) for (i, j), n in common.items() if 100 * n >= together_pct * min(len(minutes[i]), len(minutes[j]))]


def _tied(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    root = list(range(n))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in pairs:
        a, b = sorted((find(i), find(j)))
        root[b] = a
    return [find(i) for i in range(n)]


@dataclass(frozen=True, eq=False)
class _Voices:
    """Who says a thing of each square. by: devices of each witness, (witnesses, 1024); known, new: witnesses, (1024,);
    parts: in how many parts its pie goes: new phones have one together, however many they are."""

    by: Counts
    known: Counts
    new: Counts

    @property
    def parts(self) -> Counts:
        return self.known + (self.new > 0)

    def of(self, pie: Counts, parts: Counts, own: int, known: bool) -> Counts:
        """What a device of the witness ``own`` gets of each square's pie."""
        each = pie // np.maximum(parts, 1)
        if not known:
            each = each // np.maximum(self.new, 1)
        return np.asarray(each // np.maximum(self.by[own], 1), np.int64)


def _voices(group: Counts, known: Bools, said: Bools) -> _Voices:
    by: Counts = np.asarray(group @ said.astype(np.int64), np.int64)
    does = by > 0
    return _Voices(by, does[known].sum(axis=0, dtype=np.int64), does[~known].sum(axis=0, dtype=np.int64))


def _echoes(said: Bools, beside: Iterable[tuple[int, int]]) -> Bools:
    """What new phones say that a known one beside them says too; beside: pairs of a new and a known one."""
    out = np.zeros_like(said)
    for i, k in beside:
        out[i] |= said[i] & said[k]
    return out


def share(square: Square, witnesses: Sequence[Witness], rules: Rules, earned: Mapping[str, Earned]) -> None:
    """Adds to ``earned`` what a block's squares give to the devices and reports of a day.

    What was felt counts where it is vouched for: by a box, by a person who confirmed a report, or by enough witnesses
    that are known (`Rules`), of whom more felt it than passed quietly. Silence is paid whole where a box or enough
    known witnesses passed quietly, else in part.

    Each square has one pie, as large as what one device would have earned alone among others who agree. Those who agree
    share it: every known witness and every report has one part, all new phones together have one, and within a witness
    (devices that travelled together) every device has as much. A new phone beside a known one that says the same adds
    nothing and has no part; it ties nobody else together either, or phones sent by the minute would make one witness of
    all. A device that is half believed gets half of its part, and nobody gets the rest.
    """
    n = len(witnesses)
    felt = np.array([w.felt for w in witnesses]).reshape(n, 1024)
    passed = np.array([w.passed for w in witnesses], bool).reshape(n, 1024)
    counts = np.array([w.quiet for w in witnesses], bool).reshape(n, 1024)
    hit = (felt > 0) & ~square.harmless
    in_register = (felt > 0) & square.harmless
    quiet = passed & counts & ~(felt > 0)
    pairs = _together([w.minutes for w in witnesses], rules.together_pct)
    one = _tied(n, [(i, j) for i, j in pairs if witnesses[i].known == witnesses[j].known])
    beside = [(i, j) if witnesses[j].known else (j, i) for i, j in pairs if witnesses[i].known != witnesses[j].known]
    echo = _echoes(hit, beside) | _echoes(quiet, beside)
    rank = {g: k for k, g in enumerate(sorted(set(one)))}
    group = np.array([[r == g for r in one] for g in rank], np.int64).reshape(len(rank), n)
    known = np.asarray(group @ np.array([w.known for w in witnesses], np.int64) > 0, bool)
    told = np.zeros(1024, np.int64)
    for index, accounts in square.reports.items():
        told[index] = len(accounts)
    hits, quiets = _voices(group, known, hit & ~echo), _voices(group, known, quiet & ~echo)
    felt_by, parts = hits.known + hits.new + told, hits.parts + told
    calm_box = square.box_passed & ~square.box_felt
    firm = square.box_felt | (told > 0)  # a phone feels too little for its silence to stand against these
    against = ((quiets.by[known] > 0) & (hits.by[known] == 0)).sum(axis=0) + calm_box
    agreed = (felt_by > 0) & (firm | (hits.known >= rules.known_witnesses) & (hits.known > against))
    disagreed = ~agreed & (against > 0) & (against >= hits.known)
    pie, full = _pie(square.before, square.before + _mean(group, known, hit & ~echo, felt, hits, told, rules), rules)
    pie[~agreed], full[~agreed] = 0, False
    calm, calm_full = _pie(square.before, square.before - square.silence, rules)
    alone = ~calm_box & (quiets.known < rules.known_witnesses)
    calm = np.where(alone, np.minimum(calm, rules.most_nanobits_alone) * rules.alone_pct // 100, calm)
    _pay_reports(square.reports, pie // np.maximum(parts, 1), felt_by, full, earned)
    for i, w in enumerate(witnesses):
        mine, own = earned[w.account], rank[one[i]]
        paid_hit, paid_quiet, unpaid = hit[i] & agreed, quiet[i] & ~agreed, hit[i] & ~agreed
        of_hit = hits.of(pie, parts, own, bool(known[own]))
        of_quiet = quiets.of(calm, quiets.parts, own, bool(known[own]))
        paid_hit, paid_quiet, echoed = paid_hit & ~echo[i], paid_quiet & ~echo[i], (paid_hit | paid_quiet) & echo[i]
        gets = np.where(paid_hit, of_hit, np.where(paid_quiet, of_quiet, 0)) * w.quality_pct // 100
        mine.nanobits += int(gets.sum())
        mine.felt_squares += int((paid_hit & (gets > 0)).sum())
        mine.quiet_squares += int((paid_quiet & (gets > 0)).sum())
        mine.shared_squares += int((paid_hit & (felt_by > 1) | paid_quiet & (quiets.known + quiets.new > 1)).sum())
        mine.note(Why.NOBODY_AGREED, int((unpaid & ~disagreed & (felt_by < 2)).sum()))
        mine.note(Why.NOT_VOUCHED, int((unpaid & ~disagreed & (felt_by >= 2)).sum()))
        mine.note(Why.OTHERS_DISAGREED, int((unpaid & disagreed | quiet[i] & agreed).sum()))
        mine.note(Why.ALONE, int((paid_quiet & alone & (calm > 0)).sum()))
        mine.note(Why.CARRIER, int((passed[i] & ~counts[i] & ~(felt[i] > 0)).sum()))
        mine.note(Why.KNOWN_OBJECT, int(in_register[i].sum()))
        mine.note(Why.NOTHING_NEW, int((paid_hit & (pie == 0) | paid_quiet & (calm == 0)).sum()))
        mine.note(Why.CELL_FULL, int((paid_hit & full | paid_quiet & calm_full).sum()))
        mine.note(
            Why.TRAVELLED_TOGETHER,
            int((paid_hit & (hits.by[own] > 1) | paid_quiet & (quiets.by[own] > 1) | echoed).sum()),
        )


def _pay_reports(
    reports: Mapping[int, Sequence[str]], part: Counts, felt_by: Counts, full: Bools, earned: Mapping[str, Earned]
) -> None:
    for index, accounts in reports.items():
        for account in accounts:
            mine = earned[account]
            mine.nanobits += int(part[index])
            mine.felt_squares += bool(part[index] > 0)
            mine.shared_squares += bool(felt_by[index] > 1)
            mine.note(Why.NOTHING_NEW, int(part[index] == 0))
            mine.note(Why.CELL_FULL, int(full[index]))


def _mean(group: Counts, known: Bools, hit: Bools, felt: Floats, hits: _Voices, told: Counts, rules: Rules) -> Floats:
    """What those who felt something say on the mean, log-odds: of each square those who can vouch, where there are any,
    else everybody; so that new phones change nobody's pie."""
    each = (group @ np.where(hit, felt, 0.0)) / np.maximum(hits.by, 1)
    sure = hits.known + told
    said = each[known].sum(axis=0) + told * float(rules.report_logodds)
    every = each.sum(axis=0) / np.maximum(hits.known + hits.new, 1)
    return np.asarray(np.where(sure > 0, said / np.maximum(sure, 1), every), np.float64)


def _pie(before: Floats, after: Floats, rules: Rules) -> tuple[Counts, Bools]:
    """What a square is worth, in nanobits, and whether the bound cut it."""
    worth = np.floor(divergence_bits(before, after) * NANOBITS).astype(np.int64)
    worth[worth < rules.least_nanobits] = 0
    most = rules.most_bits_cell_pct * NANOBITS // 100
    return np.minimum(worth, most), worth > most


def points_of(earned: Earned, rules: Rules) -> int:
    """The points of a day before the budget; what is cut is noted among the reasons."""
    most = rules.most_bits_day_pct * NANOBITS // 100
    whole = earned.nanobits * rules.points_per_bit // NANOBITS
    points = min(earned.nanobits, most) * rules.points_per_bit // NANOBITS
    earned.note(Why.DAY_FULL, whole - points)
    earned.note(Why.LESS_THAN_A_POINT, int(points == 0 and earned.nanobits > 0))
    return points
