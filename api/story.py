"""Everything the platform can say of one square: code, passes, history, case, proof. For HTTP and for `verify`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from defects import ALL_TYPES, NO_KIND, OF_THE_STANDARD, TYPES, EvidenceOptions, observe, pass_story
from defects import recode as reading
from defects import store as defects_store
from grid import blocks_of, index_in_block, is_cell, name_of, polygon_deg, side_m
from ingest import City, Refused, decode
from ingest import store as ingest_store
from ledger import Chain, ChainAway, NotProvable, Step, Tiles, latest_record, parse, prove, verify_proof, waiting

Connection = psycopg.Connection[Any]
MOST_PASSES = 60
"""Passes told of a square, the newest: each is observed again from its chunk, about a millisecond."""
PUBLIC_CONTRIBUTORS = 3
"""A phone's pass is told only where so many different phones passed: fewer, and a square could name a home."""


class NoSuchCell(LookupError):
    """The number is not the address of a square, or nothing within its block was ever measured."""


@dataclass(frozen=True)
class Ledger:
    """What is needed to prove: the log's tiles, its public key, and the chain where there is one."""

    tiles: Tiles
    verifier: str
    chain: Chain | None


def code_of(conn: Connection, cell: int) -> tuple[int, Any]:
    """Revision of the block and the code of a square. Raises NoSuchCell."""
    if not is_cell(cell):
        raise NoSuchCell(f"{cell} is not the address of a square: copy one from the map")
    block = int(blocks_of(cell))
    found = defects_store.codes_of(conn, [block]).get(block)
    if found is None:
        raise NoSuchCell(f"nothing near {name_of(cell)} was measured: its code is grey, and there is no record of it")
    return found[0], found[1][int(index_in_block(cell))]


@contextmanager
def one_moment(conn: Connection) -> Iterator[None]:
    """A transaction that sees the database as it is now, to its end: a code and its record belong together, and a
    fold that commits between two questions would make them look apart."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def tell(conn: Connection, cell: int, city: City, options: EvidenceOptions, ledger: Ledger) -> dict[str, Any]:
    """The story of a square, ready for JSON. Raises NoSuchCell."""
    with one_moment(conn):
        return _tell(conn, cell, city, options, ledger)


def _tell(conn: Connection, cell: int, city: City, options: EvidenceOptions, ledger: Ledger) -> dict[str, Any]:
    _, code = code_of(conn, cell)
    seen = [t for t in TYPES[:OF_THE_STANDARD] if int(code["seen"]) >> (t.number - 1) & 1]
    kind = int(code["kind"])
    steps, record = _verify(conn, cell, ledger)
    return {
        "cell": cell,
        "name": name_of(cell),
        "side_m": side_m(cell),
        "polygon": polygon_deg(cell),
        **reading.describe(code),
        "kind": None if kind == NO_KIND else _type(kind),
        "seen": [t.key for t in seen],
        "not_seen": [t.key for t in TYPES[:OF_THE_STANDARD] if t not in seen],
        "of": OF_THE_STANDARD,
        "passes": int(code["passes"]),
        "evidence": _passes(conn, cell, city, options),
        "history": defects_store.changes_of(conn, cell),
        "case": defects_store.case_of(conn, cell),
        "origin": list(city.origins),
        "proof": {"status": status_of(steps), "steps": [_step(s) for s in steps], "record": record},
    }


def _type(number: int) -> dict[str, Any]:
    t = ALL_TYPES[number]
    return {"number": t.number, "key": t.key, "zh": t.zh, "en": t.en}


def _step(step: Step) -> dict[str, Any]:
    return {"name": step.name, "ok": step.ok, "detail": step.detail}


def status_of(steps: list[Step]) -> str:
    """broken where a step fails; pending where one is still to come; anchored where all hold."""
    if any(s.ok is False for s in steps):
        return "broken"
    return "anchored" if steps and all(s.ok for s in steps) else "pending"


def _passes(conn: Connection, cell: int, city: City, options: EvidenceOptions) -> list[dict[str, Any]]:
    """What each kept chunk said of the square. Phones: by day only, and only from enough different ones."""
    rows = ingest_store.chunks_by_id(conn, defects_store.chunks_past(conn, int(blocks_of(cell)), MOST_PASSES))
    told: list[tuple[str, dict[str, Any]]] = []
    for _, day, device, kind, raw in rows:
        try:
            chunk = decode(raw)
        except Refused:
            continue  # it was accepted once: fsck says what happened to it
        story = pass_story(observe(chunk, kind, 1, city, options), cell)
        if story is None:
            continue
        told.append(
            (
                device if kind == "phone" else "",
                {
                    "at": None if kind == "phone" else city_time(city, chunk.start_s),
                    "day": day.isoformat(),
                    "sensor": kind,
                    "what": story.what,
                    "kind": story.kind,
                    "weight": round(story.weight, 3),
                    "speed_kmh": None if story.speed_mps is None else round(story.speed_mps * 3.6),
                    "sigma_m": None if story.sigma_m is None else round(story.sigma_m, 2),
                    "g": None if story.score is None or story.what != "jolt" else _g(story, options),
                },
            )
        )
    phones = {device for device, _ in told if device}
    public = len(phones) >= PUBLIC_CONTRIBUTORS
    return [passed for device, passed in reversed(told) if public or not device]


def _g(story: Any, options: EvidenceOptions) -> float:
    """Peak of the jolt in g, back from its score."""
    jolt = options.jolt
    speed = max(story.speed_mps or 0.0, jolt.slowest_mps)
    return round(float(story.score * jolt.good_road_g * (speed / jolt.reference_mps) ** 0.5), 2)


def city_time(city: City, t_s: float) -> str:
    """Local time to the second."""
    return datetime.fromtimestamp(t_s, UTC).astimezone(city.zone).isoformat(timespec="seconds")


def verify(conn: Connection, cell: int, ledger: Ledger) -> tuple[list[Step], dict[str, Any] | None]:
    """Code -> record -> log -> anchor, a step at a time; and the block's record as a small map.

    A step whose ok is None is still to come. Raises NoSuchCell.
    """
    with one_moment(conn):
        return _verify(conn, cell, ledger)


def _verify(conn: Connection, cell: int, ledger: Ledger) -> tuple[list[Step], dict[str, Any] | None]:
    revision, code = code_of(conn, cell)
    block = int(blocks_of(cell))
    _, codes = defects_store.codes_of(conn, [block])[block]
    said = reading.describe(code)
    steps: list[Step] = []
    record = latest_record(conn, "block", block)
    if record is None:
        return [_missing(conn, "record", "block", block)], None
    body = parse(record.body)
    if body["revision"] < revision:
        return [_missing(conn, "record", "block", block)], None
    same = body["codes_sha256"] == hashlib.sha256(codes.tobytes()).digest() and body["revision"] == revision
    steps.append(
        Step("code", same, f"the block's 1,024 codes {'are' if same else 'are NOT'} those of record {record.idx}")
    )
    if said["colour"] in ("yellow", "red"):
        own = latest_record(conn, "code", cell)
        if own is None:
            steps.append(_missing(conn, "own record", "code", cell))
        else:
            agrees = parse(own.body)["after"] == said
            verb = "says" if agrees else "does NOT say"
            steps.append(Step("own record", agrees, f"record {own.idx} {verb} {_words(said)}"))
            steps += _proof(conn, own.idx, ledger, "own record: ")
    steps += _proof(conn, record.idx, ledger, "")
    shown = {
        "index": record.idx, "kind": "block", "revision": revision, "day": body["day"], "chunks": body["chunks_count"],
        "codes_sha256": body["codes_sha256"].hex(), "chunks_root": body["chunks_root"].hex(),
        "context": body["context"].hex(),
    }  # fmt: skip
    return steps, shown


def _missing(conn: Connection, name: str, kind: str, subject: int) -> Step:
    """A record that is not in the log: on its way there, or not made at all."""
    if waiting(conn, kind, subject):
        return Step(name, None, "waits to be taken into the log")
    return Step(name, False, "there is NO record of what is shown")


def _words(said: dict[str, Any]) -> str:
    return " ".join(str(v) for v in (said["state"], said["colour"], said["kind"]) if v and v != "none")


def _proof(conn: Connection, idx: int, ledger: Ledger, prefix: str) -> list[Step]:
    try:
        proof = prove(conn, ledger.tiles, idx, ledger.chain)
    except NotProvable as error:
        return [Step(f"{prefix}log", None, str(error))]
    steps = _tolerant(lambda: verify_proof(proof, ledger.verifier, ledger.chain))
    return [Step(prefix + s.name, s.ok, s.detail) for s in steps]


def _tolerant(ask: Callable[[], list[Step]]) -> list[Step]:
    """A chain that does not answer leaves a step open; it does not make a proof false."""
    try:
        return ask()
    except ChainAway as error:
        return [Step("anchor", None, str(error))]
