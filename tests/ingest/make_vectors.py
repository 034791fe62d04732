"""Writes the test vectors of the wire format: `python -m tests.ingest.make_vectors`, into docs/vectors/wire.

Everything comes from whole numbers and exact arithmetic, so that every machine writes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import numpy as np

from ingest import (
    DEFECT_KEYS,
    Bands,
    Chunk,
    Detection,
    Fixes,
    Laser,
    Quiet,
    Reason,
    Trimmed,
    encode,
    encode_json,
)

FOLDER = Path(__file__).parents[2] / "docs" / "vectors" / "wire"
_START_S = 1_772_409_600.0  # 2026-03-02 08:00 in Hangzhou
_LAST_S = 4_102_444_800.0


def _counts(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    """Numbers that look random and are the same everywhere."""
    n = np.arange(seed, seed + rows * columns, dtype=np.int64)
    return ((n * 7919 + n * n * 104_729) % 2001 - 1000).astype(np.int16).reshape(rows, columns)


def _fixes(t_s: np.ndarray, **changes: Any) -> Fixes:
    m = len(t_s)
    known = Fixes(
        t_s=t_s,
        lat_deg=30.279 + np.arange(m) / 65_536,
        lon_deg=120.1655 + np.arange(m) / 131_072,
        accuracy_m=np.full(m, 0.5, dtype=np.float32),
        speed_mps=np.full(m, 8.25, dtype=np.float32),
        course_deg=np.full(m, 26.5, dtype=np.float32),
    )
    return replace(known, **changes)


def _minimal() -> Chunk:
    """What every chunk has and nothing else: half a second of a box at 100 Hz, a trip that is no longer than that."""
    acc = _counts(51, 3)
    acc[:, 2] += 2511  # gravity
    return Chunk(
        trip="20260302-00c0ffee",
        seq=0,
        start_s=_START_S,
        end_s=_START_S + 0.5,
        t0_s=_START_S,
        rate_hz=100.0,
        carrier="bus",
        origin="live",
        datum="cgcs2000",
        acc_scale_mps2=1 / 256,
        acc_counts=acc,
        fixes=_fixes(_START_S + np.array([0.0, 0.5])),
    )


def _phone() -> Chunk:
    """A phone at its slowest, 1 s owned with 1.5 s of context on each side, positions in the datum of Chinese maps."""
    t_s = _START_S + np.arange(-2.0, 4.0)
    unknown = np.array([-1, -1, 3, 3.5, 4, 2], dtype=np.float32)
    course = np.array([-1, -1, 0, 10, 359.5, -1], dtype=np.float32)
    accuracy = np.full(6, 4.5, dtype=np.float32)
    return replace(
        _minimal(), trip="20260302-0123456789abcdef", seq=41, end_s=_START_S + 1, t0_s=_START_S - 1.5, rate_hz=40.0,
        carrier="ebike", origin="replay", datum="gcj02", acc_counts=_counts(161, 3), trimmed=Trimmed(200, 60),
        fixes=_fixes(t_s, accuracy_m=accuracy, speed_mps=unknown, course_deg=course),
    )  # fmt: skip


def _summary() -> Chunk:
    """Three quiet seconds of a box as rows of a second, one fix a second."""
    centre = np.array([1.5, 3, 6, 12], dtype=np.float32)
    quiet = Quiet(1.0, 1 / 1024, centre, np.abs(_counts(3, 4)), np.abs(_counts(3, 1)[:, 0]))
    return replace(
        _minimal(), end_s=_START_S + 3, acc_scale_mps2=0.0, acc_counts=np.zeros((0, 3), dtype=np.int16), quiet=quiet,
        fixes=_fixes(_START_S + np.arange(4.0)),
    )  # fmt: skip


def _detections() -> tuple[Detection, ...]:
    """One of each kind; area and depth unknown in turn."""
    return tuple(
        Detection(
            t_s=_START_S + i / 64, kind=kind, score=(i + 1) / 32, lat_deg=30.279 + i / 1_048_576, lon_deg=120.1655,
            accuracy_m=0.25, area_m2=-1.0 if i % 2 else i / 8, depth_mm=-1.0 if i % 3 else float(i),
        )
        for i, kind in enumerate(DEFECT_KEYS)
    )  # fmt: skip


def _at_bounds(high: bool) -> Chunk:
    """Every number at its lowest, or at its highest, that is still taken."""
    one = np.array([1.0])
    f4 = np.array([1.0], dtype=np.float32)

    def pick(low: float, top: float) -> float:
        return float(top if high else low)

    count = 32767 if high else -32768
    return Chunk(
        trip="99999999-" + "f" * 32 if high else "00000000-00000000",
        seq=2**31 - 1 if high else 0,
        start_s=pick(0, _LAST_S - 60),
        end_s=pick(0.5, _LAST_S),
        t0_s=pick(0, _LAST_S),
        rate_hz=pick(1, 2_000),
        carrier="unknown",
        origin="simulated",
        datum="unknown",
        acc_scale_mps2=pick(1e-6, 1),
        acc_counts=np.full((1, 3), count, dtype=np.int16),
        gyro_scale_radps=pick(1e-7, 1),
        gyro_counts=np.full((1, 3), count, dtype=np.int16),
        fixes=Fixes(
            one * pick(0, _LAST_S), one * pick(-84, 84), one * pick(-180, 180), f4 * np.float32(pick(0, 10_000)),
            f4 * np.float32(pick(-1, 100)), f4 * np.float32(pick(-1, 360)),
        ),
        laser=Laser(
            pick(0, _LAST_S), pick(0.1, 20_000), pick(0.1, 10), pick(1e-7, 0.1), np.full((1, 1), count, dtype=np.int16)
        ),
        bands=Bands(pick(0, _LAST_S), pick(1e-3, 60), f4, np.full((1, 1), pick(-200, 200), dtype=np.float32)),
        detections=(
            Detection(
                pick(0, _LAST_S), DEFECT_KEYS[-1 if high else 0], pick(0, 1), pick(-84, 84), pick(-180, 180),
                pick(0, 10_000), pick(-1, 10_000), pick(-1, 5_000),
            ),
        ),
        trimmed=Trimmed(pick(0, 100_000), pick(0, 86_400)),
    )  # fmt: skip


def accepted() -> dict[str, Chunk]:
    """The chunks of the accepted vectors, by name."""
    minimal = _minimal()
    laser = Laser(_START_S, 1000.0, 2.5, 1 / 4096, _counts(6, 9))
    bands = Bands(_START_S, 0.125, np.array([31.5, 63, 125, 250], dtype=np.float32), _counts(4, 4).astype(np.float32))
    return {
        "minimal": minimal,
        "six-axes": replace(minimal, gyro_scale_radps=1 / 2048, gyro_counts=_counts(51, 3, seed=500)),
        "laser": replace(minimal, laser=laser),
        "bands": replace(minimal, bands=bands),
        "detections": replace(minimal, detections=_detections()),
        "phone-40-hz": _phone(),
        "summary": _summary(),
        "lowest": _at_bounds(high=False),
        "highest": _at_bounds(high=True),
    }


def _tree(chunk: Chunk) -> dict[str, Any]:
    tree = cbor2.loads(encode(chunk))
    assert isinstance(tree, dict)
    return tree


def _other_spelling() -> bytes:
    """`minimal` as another encoder might write it: keys in another order, a map without a stated length, whole numbers
    as integers, the scale as a float of two bytes."""
    tree = _tree(_minimal())
    whole = {"start": int(tree["start"]), "t0": int(tree["t0"]), "rate": int(tree["rate"])}
    items = b"".join(
        cbor2.dumps(name) + cbor2.dumps(whole.get(name, value), canonical=name == "acc_scale")
        for name, value in reversed(tree.items())
    )
    return b"\xbf" + items + b"\xff"


def _small(path: str = "") -> dict[str, Any]:
    """A tree to spoil at ``path``: one sample, one fix, and the optional part that the path leads into."""
    chunk = replace(_minimal(), acc_counts=_counts(1, 3), fixes=_fixes(_START_S + np.array([0.25])))
    if path.startswith("gyro"):
        chunk = replace(chunk, gyro_scale_radps=0.5, gyro_counts=_counts(1, 3))
    if path.startswith("bands"):
        level = np.array([[1.0]], dtype=np.float32)
        chunk = replace(chunk, bands=Bands(_START_S, 0.5, np.array([50.0], dtype=np.float32), level))
    if path.startswith("trimmed"):
        chunk = replace(chunk, trimmed=Trimmed(200, 60))
    if path.startswith("quiet."):
        chunk = replace(_summary(), fixes=chunk.fixes)
    if path.startswith("detections"):
        chunk = replace(chunk, detections=_detections()[8:9])
    return _tree(chunk)


def _f8(*values: float) -> cbor2.CBORTag:
    return cbor2.CBORTag(86, np.array(values, dtype="<f8").tobytes())


def _f4(*values: float) -> cbor2.CBORTag:
    return cbor2.CBORTag(85, np.array(values, dtype="<f4").tobytes())


def _rows(shape: list[int], typed: object, tag: int = 40) -> cbor2.CBORTag:
    return cbor2.CBORTag(tag, [shape, typed])


_REPEATED = {"t": _f8(_START_S, _START_S), "lat": _f8(30, 30), "lon": _f8(120, 120)} | {
    name: _f4(1, 1) for name in ("accuracy", "speed", "course")
}
_I2X3 = cbor2.CBORTag(77, b"\x01\x00\x02\x00\x03\x00")

_PUT: dict[str, tuple[Reason, str, object]] = {
    "unknown-version": (Reason.UNKNOWN_VERSION, "v", 2),
    "unknown-field": (Reason.UNKNOWN_FIELD, "colour", "red"),
    "unknown-carrier": (Reason.UNKNOWN_CARRIER, "carrier", "tram"),
    "unknown-origin": (Reason.UNKNOWN_ORIGIN, "origin", "guessed"),
    "unknown-datum": (Reason.UNKNOWN_DATUM, "datum", "beijing54"),
    "unknown-kind": (Reason.UNKNOWN_DEFECT, "detections.0.kind", "crater"),
    "seq-is-a-float": (Reason.WRONG_TYPE, "seq", 1.0),
    "seq-is-true": (Reason.WRONG_TYPE, "seq", True),
    "seq-negative": (Reason.OUT_OF_RANGE, "seq", -1),
    "trip-in-capitals": (Reason.BAD_TRIP, "trip", "20260302-00C0FFEE"),
    "trip-without-day": (Reason.BAD_TRIP, "trip", "00c0ffee"),
    "trip-ends-with-newline": (Reason.BAD_TRIP, "trip", "20260302-00c0ffee\n"),
    "end-before-start": (Reason.BAD_INTERVAL, "end", _START_S - 5),
    "owns-too-long": (Reason.BAD_INTERVAL, "end", _START_S + 60.5),
    "start-in-milliseconds": (Reason.OUT_OF_RANGE, "start", _START_S * 1000),
    "start-infinite": (Reason.NOT_FINITE, "start", float("inf")),
    "rate-zero": (Reason.OUT_OF_RANGE, "rate", 0.0),
    "acc-int32": (Reason.WRONG_TYPE, "acc", _rows([1, 3], cbor2.CBORTag(78, bytes(12)))),
    "acc-big-endian": (Reason.WRONG_TYPE, "acc", _rows([1, 3], cbor2.CBORTag(73, bytes(6)))),
    "acc-column-major": (Reason.WRONG_TYPE, "acc", _rows([1, 3], _I2X3, tag=1040)),
    "acc-one-axis": (Reason.WRONG_TYPE, "acc", _I2X3),
    "acc-plain-list": (Reason.WRONG_TYPE, "acc", [[0, 0, 2511]]),
    "acc-two-columns": (Reason.WRONG_LENGTH, "acc", _rows([1, 2], cbor2.CBORTag(77, bytes(4)))),
    "acc-empty": (Reason.WRONG_LENGTH, "acc", _rows([0, 3], cbor2.CBORTag(77, b""))),
    "acc-odd-bytes": (Reason.WRONG_LENGTH, "acc", _rows([1, 3], cbor2.CBORTag(77, bytes(7)))),
    "acc-shape-lies": (Reason.WRONG_LENGTH, "acc", _rows([1_000, 3], _I2X3)),
    "acc-shape-negative": (Reason.WRONG_LENGTH, "acc", _rows([-1, -3], _I2X3)),
    "gyro-longer-than-acc": (Reason.WRONG_LENGTH, "gyro", _rows([2, 3], cbor2.CBORTag(77, bytes(12)))),
    "fixes-are-a-list": (Reason.WRONG_TYPE, "fixes", []),
    "fix-times-float32": (Reason.WRONG_TYPE, "fixes.t", _f4(1)),
    "fix-columns-differ": (Reason.WRONG_LENGTH, "fixes.speed", _f4(1, 2)),
    "fixes-do-not-rise": (Reason.BAD_INTERVAL, "fixes", _REPEATED),
    "latitude-nan": (Reason.NOT_FINITE, "fixes.lat", _f8(float("nan"))),
    "latitude-beyond-the-pole": (Reason.OUT_OF_RANGE, "fixes.lat", _f8(91)),
    "longitude-beyond-180": (Reason.OUT_OF_RANGE, "fixes.lon", _f8(200)),
    "accuracy-negative": (Reason.OUT_OF_RANGE, "fixes.accuracy", _f4(-1)),
    "speed-of-an-aeroplane": (Reason.OUT_OF_RANGE, "fixes.speed", _f4(250)),
    "band-missing": (Reason.WRONG_LENGTH, "bands.centre", _f4(50, 100)),
    "level-nan": (Reason.NOT_FINITE, "bands.level", _rows([1, 1], _f4(float("nan")))),
    "trimmed-without-end": (Reason.OUT_OF_RANGE, "trimmed.m", 1e9),
    "trimmed-is-a-number": (Reason.WRONG_TYPE, "trimmed", 200),
    "summary-with-samples": (Reason.UNKNOWN_FIELD, "quiet.acc", _rows([1, 3], _I2X3)),
    "summary-beside-samples": (Reason.UNKNOWN_FIELD, "quiet", {}),
    "peaks-fewer-than-levels": (Reason.WRONG_LENGTH, "quiet.peak", cbor2.CBORTag(77, bytes(4))),
    "peak-below-zero": (Reason.OUT_OF_RANGE, "quiet.peak", cbor2.CBORTag(77, b"\xff\xff" * 3)),
    "step-of-a-sample": (Reason.OUT_OF_RANGE, "quiet.step", 0.01),
    "score-over-one": (Reason.OUT_OF_RANGE, "detections.0.score", 1.5),
    "detections-501": (Reason.WRONG_LENGTH, "detections", [0] * 501),
}
"""Faults that put one value in a place: name -> (reason, place, value)."""

_LEFT_OUT = {
    "missing-version": "v",
    "missing-fixes": "fixes",
    "missing-gyro-scale": "gyro_scale",
    "missing-course": "fixes.course",
    "missing-samples": "acc",
    "missing-peaks": "quiet.peak",
}

_SPOILT: dict[str, tuple[Reason, Callable[[bytes], bytes]]] = {
    "empty": (Reason.MALFORMED, lambda good: good[:0]),
    "truncated": (Reason.MALFORMED, lambda good: good[:-1]),
    "trailing-byte": (Reason.MALFORMED, lambda good: good + b"\x00"),
}
_INSTEAD: dict[str, tuple[Reason, bytes]] = {
    "json-not-cbor": (Reason.MALFORMED, b'{"v": 1}'),
    "length-of-a-petabyte": (Reason.MALFORMED, b"\x5b\x00\x04" + bytes(6)),
    "deep-nesting": (Reason.MALFORMED, b"\x81" * 700),
    "shared-reference": (Reason.MALFORMED, b"\xd8\x1c\x81\xd8\x1d\x00"),
    "bignum": (Reason.MALFORMED, b"\xa1\x61v\xc2\x41\x01"),
    "pattern": (Reason.MALFORMED, b"\xa1\x64trip\xd8\x23\x62a+"),
    "not-a-map": (Reason.WRONG_TYPE, b"\x81\x01"),
}


def _place(tree: Any, path: str) -> tuple[Any, Any]:
    *way, last = path.split(".")
    for step in way:
        tree = tree[int(step) if step.isdigit() else step]
    return tree, last


def refused() -> dict[str, tuple[Reason, bytes]]:
    """The refused vectors: name -> (reason, bytes)."""
    found: dict[str, tuple[Reason, bytes]] = {}
    for name, (reason, path, value) in _PUT.items():
        tree = _small(path)
        holder, key = _place(tree, path)
        holder[key] = value
        found[name] = reason, cbor2.dumps(tree)
    for name, path in _LEFT_OUT.items():
        tree = _small(path)
        holder, key = _place(tree, path)
        del holder[key]
        found[name] = Reason.MISSING_FIELD, cbor2.dumps(tree)
    good = cbor2.dumps(_small())
    for name, (reason, spoil) in _SPOILT.items():
        found[name] = reason, spoil(good)
    found |= _INSTEAD
    return dict(sorted(found.items()))


def files() -> dict[str, bytes]:
    """All generated files, name -> content."""
    made: dict[str, bytes] = {}
    for name, chunk in accepted().items():
        made[f"{name}.cbor"] = encode(chunk)
        made[f"{name}.json"] = encode_json(chunk).encode() + b"\n"
    made["also-minimal.cbor"] = _other_spelling()
    reasons: dict[str, str] = {}
    for name, (reason, data) in refused().items():
        made[f"refused-{name}.cbor"] = data
        reasons[f"refused-{name}.cbor"] = reason.value
    made["refused.json"] = json.dumps(reasons, indent=1).encode() + b"\n"
    return made


def main() -> None:
    """Writes the files and removes those that are no longer made."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = files()
    for old in [*FOLDER.glob("*.cbor"), *FOLDER.glob("*.json")]:
        if old.name not in made:
            old.unlink()
    for name, data in made.items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
