"""Everything the platform can say of one square: code, passes, history, case, proof. For HTTP and for `verify`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from defects import (
    ALL_TYPES,
    NO_KIND,
    OF_THE_STANDARD,
    TYPES,
    EvidenceOptions,
    HealthOptions,
    PassStory,
    observe,
    pass_story,
    public_days,
    turn,
)
from defects import recode as reading
from defects import store as defects_store
from grid import blocks_of, index_in_block, is_cell, name_of, polygon_deg, side_m
from ingest import City, Refused, decode
from ingest import raw as ingest_raw
from ingest import store as ingest_store
from ledger import Chain, NotProvable, Policy, Step, Tiles, latest_record, parse, prove, verify_proof, waiting

from .backing import trust_of
from .days import Days, read_day

Connection = psycopg.Connection[Any]
MOST_PASSES = 60
"""Passes told of a square, the newest: each is observed again from its chunk, about a millisecond."""


class NoSuchCell(LookupError):
    """The number is not the address of a square, or nothing within its block was ever measured."""


@dataclass(frozen=True)
class Ledger:
    """What is needed to prove: the log's tiles, its public key, the chain where there is one, and whose cosignatures
    count where witnesses are named."""

    tiles: Tiles
    verifier: str
    chain: Chain | None
    policy: Policy | None = None


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
    fold that commits between two questions would make them look apart. Raw chunks stay until it ends: a partition that
    is emptied is empty for everybody at once, also for who looks at an earlier moment."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        conn.execute("LOCK TABLE chunk_box, chunk_phone IN ACCESS SHARE MODE")
        yield


def tell(
    connect: Callable[[], AbstractContextManager[Connection]],
    cell: int,
    city: City,
    options: EvidenceOptions,
    health: HealthOptions,
    ledger: Ledger,
) -> dict[str, Any]:
    """The story of a square, ready for JSON. Raises NoSuchCell.

    The chain is asked last, when the connection is given back: a chain that hangs must not use up the database.
    """
    with connect() as conn, one_moment(conn):
        told = _tell(conn, cell, city, options, health)
        claims, record = _claims(conn, cell, ledger)
    steps = _checked(claims, ledger)
    proof = {"status": status_of(steps), "steps": [_step(s) for s in steps], "trust": trust_of(steps, ledger)}
    return told | {"proof": proof | {"record": record}}


def _tell(
    conn: Connection, cell: int, city: City, options: EvidenceOptions, health: HealthOptions
) -> dict[str, Any]:
    _, code = code_of(conn, cell)
    seen = [t for t in TYPES[:OF_THE_STANDARD] if int(code["seen"]) >> (t.number - 1) & 1]
    kind = int(code["kind"])
    return {
        "cell": cell,
        "name": name_of(cell),
        "side_m": side_m(cell),
        "polygon": polygon_deg(cell),
        **reading.describe(code),
        **reading.details(code),
        "kind": None if kind == NO_KIND else _type(kind),
        "seen": [t.key for t in seen],
        "not_seen": [t.key for t in TYPES[:OF_THE_STANDARD] if t not in seen],
        "of": OF_THE_STANDARD,
        "passes": int(code["passes"]),
        "evidence": days_told(conn, cell, health) if turn.is_coarse(cell) else _passes(conn, cell, city, options),
        "kept_from": _kept_from(conn),
        "history": defects_store.changes_of(conn, cell),
        "case": defects_store.case_of(conn, cell),
        "origin": list(city.origins),
    }


def _type(number: int) -> dict[str, Any]:
    t = ALL_TYPES[number]
    return {"number": t.number, "key": t.key, "zh": t.zh, "en": t.en}


def _step(step: Step) -> dict[str, Any]:
    return {"name": step.name, "ok": step.ok, "detail": step.detail}


def status_of(steps: list[Step]) -> str:
    """broken where a step fails; pending where one is still to come; anchored where all hold that were asked for."""
    if any(s.ok is False for s in steps):
        return "broken"
    return "anchored" if steps and all(s.ok for s in steps if s.wanted) else "pending"


def _passes(conn: Connection, cell: int, city: City, options: EvidenceOptions) -> list[dict[str, Any]]:
    """What each kept chunk of a box said of a square of 1 m, newest first."""
    chunks = defects_store.chunks_past(conn, int(blocks_of(cell)), MOST_PASSES)
    return passes_of_chunks(conn, cell, chunks, city, options)


def passes_of_chunks(
    conn: Connection, cell: int, chunks: list[int], city: City, options: EvidenceOptions
) -> list[dict[str, Any]]:
    """What each of some kept chunks said of a square of 1 m, newest first: of boxes only."""
    rows = ingest_store.chunks_by_id(conn, chunks)
    told: list[dict[str, Any]] = []
    days = Days()
    for _, day, device, kind, raw in rows:
        if kind == "phone":
            continue  # never of one citizen's drive, whatever it speaks of
        try:
            chunk = decode(raw)
        except Refused:
            continue  # it was accepted once: fsck says what happened to it
        weight = days.get(day, lambda d: read_day(conn, d)).weight(device, kind)
        story = pass_story(observe(chunk, kind, 1, city, options, weight), cell)
        if story is None:
            continue
        told.append(
            {
                "at": city_time(city, chunk.start_s),
                "day": day.isoformat(),
                "sensor": kind,
                "what": story.what,
                "kind": story.kind,
                "weight": round(story.weight, 3),
                "speed_kmh": None if story.speed_mps is None else round(story.speed_mps * 3.6),
                "sigma_m": None if story.sigma_m is None else round(story.sigma_m, 2),
                "g": _g(story, chunk.carrier, options) if story.what == "jolt" else None,
                **_recognised(story),
            }
        )
    return told[::-1]


def _recognised(story: PassStory) -> dict[str, Any]:
    """What the recogniser says of a jolt: that it is a defect at all; and, if it is one, which and how deep or high."""
    name = story.name
    return {
        "p": None if story.p is None else round(story.p, 3),
        "named": None if name is None else name.key,
        "subtype": None if name is None else name.subtype or None,
        "named_p": None if name is None else round(name.p, 2),
        "size_mm": None if story.size_mm is None else round(story.size_mm),
    }


def days_told(conn: Connection, cell: int, health: HealthOptions) -> list[dict[str, Any]]:
    """What a coarse square's closed days said, newest first: days on which enough different devices felt something,
    without their number, single passes or hours."""
    block = int(blocks_of(cell))
    read_on = turn.read_on(conn, block)
    if read_on is None:
        return []
    evidence = defects_store.evidence_of(conn, [block]).get(block, {})
    return [
        {
            "at": None,
            "day": told.day.isoformat(),
            "sensor": told.sensor,
            "what": "jolt",
            "kind": told.kind,
            "weight": told.weight,
            "speed_kmh": None,
            "sigma_m": None,
            "g": None,
            "passes": told.passes,
            "devices_at_least": told.devices_at_least,
        }
        for told in public_days(int(index_in_block(cell)), evidence, read_on, health)
    ]


def _kept_from(conn: Connection) -> dict[str, str | None]:
    """The first day of which single passes can still be told, by sensor: what was before is in the colour, not here."""
    days = ingest_raw.day_states(conn)
    boxes = [state.day for state in days if state.boxes_gone_at is None]
    phones = [state.day for state in days if state.phones_gone_at is None and state.sealed_at is None]
    return {"box": str(min(boxes)) if boxes else None, "phone": str(min(phones)) if phones else None}


def _g(story: PassStory, carrier: str, options: EvidenceOptions) -> float | None:
    """Peak of the jolt in g, back from its score."""
    if story.score is None:
        return None
    jolt = options.jolt
    speed = max(story.speed_mps or 0.0, jolt.slowest_mps)
    good_road_g = jolt.good_road_g * jolt.carrier_scale[carrier]
    return round(float(story.score * good_road_g * (speed / jolt.reference_mps) ** 0.5), 2)


def city_time(city: City, t_s: float) -> str:
    """Local time to the second."""
    return datetime.fromtimestamp(t_s, UTC).astimezone(city.zone).isoformat(timespec="seconds")


def verify(conn: Connection, cell: int, ledger: Ledger) -> tuple[list[Step], dict[str, Any] | None]:
    """Code -> record -> log -> anchor, a step at a time; and the block's record as a small map.

    A step whose ok is None is still to come. Raises NoSuchCell.
    """
    with one_moment(conn):
        claims, record = _claims(conn, cell, ledger)
    return _checked(claims, ledger), record


@dataclass(frozen=True)
class _Claim:
    """A step that is decided already, or a proof that is still to be checked."""

    step: Step | None
    prefix: str = ""
    proof: dict[str, Any] | None = None


def _checked(claims: list[_Claim], ledger: Ledger) -> list[Step]:
    """Every step, the proofs checked against the log's key and the chain."""
    steps: list[Step] = []
    for claim in claims:
        if claim.step is not None:
            steps.append(claim.step)
        elif claim.proof is not None:
            found = verify_proof(claim.proof, ledger.verifier, ledger.chain, ledger.policy)
            steps += [replace(s, name=claim.prefix + s.name) for s in found]
    return steps


def _claims(conn: Connection, cell: int, ledger: Ledger) -> tuple[list[_Claim], dict[str, Any] | None]:
    revision, code = code_of(conn, cell)
    block = int(blocks_of(cell))
    _, codes = defects_store.codes_of(conn, [block])[block]
    said = reading.describe(code)
    claims: list[_Claim] = []
    record = latest_record(conn, "block", block)
    if record is None:
        return [_Claim(_missing(conn, "record", "block", block))], None
    body = parse(record.body)
    if body["revision"] < revision:
        return [_Claim(_missing(conn, "record", "block", block))], None
    same = body["codes_sha256"] == hashlib.sha256(codes.tobytes()).digest() and body["revision"] == revision
    verb = "are" if same else "are NOT"
    claims.append(_Claim(Step("code", same, f"the block's 1,024 codes {verb} those of record {record.idx}")))
    if said["colour"] in ("yellow", "red"):
        own = latest_record(conn, "code", cell)
        if own is None:
            claims.append(_Claim(_missing(conn, "own record", "code", cell)))
        else:
            agrees = parse(own.body)["after"] == said
            verb = "says" if agrees else "does NOT say"
            claims.append(_Claim(Step("own record", agrees, f"record {own.idx} {verb} {_words(said)}")))
            claims.append(_proof(conn, own.idx, ledger, "own record: "))
    claims.append(_proof(conn, record.idx, ledger, ""))
    shown = {
        "index": record.idx, "kind": "block", "revision": revision, "day": body["day"], "chunks": body["chunks_count"],
        "codes_sha256": body["codes_sha256"].hex(), "chunks_root": body["chunks_root"].hex(),
        "context": body["context"].hex(),
    }  # fmt: skip
    return claims, shown


def _missing(conn: Connection, name: str, kind: str, subject: int) -> Step:
    """A record that is not in the log: on its way there, or not made at all."""
    if waiting(conn, kind, subject):
        return Step(name, None, "waits to be taken into the log")
    return Step(name, False, "there is NO record of what is shown")


def _words(said: dict[str, Any]) -> str:
    return " ".join(str(v) for v in (said["state"], said["colour"], said["kind"]) if v and v != "none")


def _proof(conn: Connection, idx: int, ledger: Ledger, prefix: str) -> _Claim:
    try:
        return _Claim(None, prefix, prove(conn, ledger.tiles, idx, policy=ledger.policy))
    except NotProvable as error:
        return _Claim(Step(f"{prefix}log", None, str(error)))
