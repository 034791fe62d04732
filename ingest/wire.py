"""Bytes <-> chunk, wire format version 1 (docs/wire.cddl): CBOR with the typed arrays of RFC 8746, and a JSON twin with
base64 for browsers. `decode` is total: every byte string gives a chunk or a `Refused` with a name.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import cbor2
import numpy as np
from numpy.typing import NDArray

from .chunk import (
    CARRIERS,
    DATUMS,
    DEFECT_KEYS,
    ORIGINS,
    UNKNOWN,
    Bands,
    Chunk,
    Detection,
    Fixes,
    Laser,
    Quiet,
    Trimmed,
)
from .layout import Layouts
from .refusal import Reason, Refused

VERSION = 1
MAX_BYTES = 256 * 1024
"""The broker refuses more. A 5 s chunk of a box with six axes at 200 Hz and a laser is 20 to 60 kB; 60 s of one at
400 Hz would be 290 kB: longer chunks wait longer for their verdict and lose more when a device dies."""
MAX_SAMPLES = 60_000
MAX_FIXES = 2_000
MAX_DETECTIONS = 500
MAX_ROWS = 20_000
MAX_COLUMNS = 4_096
MAX_STEPS = 1_200
"""Rows of a summary: two minutes at the shortest step. More would be samples by another name."""
MAX_BANDS = 64

_TAG_ROW_MAJOR = 40
_TAG_TYPES: dict[int, np.dtype[Any]] = {77: np.dtype("<i2"), 85: np.dtype("<f4"), 86: np.dtype("<f8")}
_TYPE_TAGS = {dtype: tag for tag, dtype in _TAG_TYPES.items()}
_JSON_TYPES: dict[str, np.dtype[Any]] = {"i2": np.dtype("<i2"), "f4": np.dtype("<f4"), "f8": np.dtype("<f8")}
_JSON_ARRAY = {"shape", "type", "data"}
_TYPE_JSON = {dtype: name for name, dtype in _JSON_TYPES.items()}
_TAGS = frozenset({_TAG_ROW_MAJOR, 1040, *range(64, 88)})  # the arrays of RFC 8746: the decoder runs no code for them
_MAX_DEPTH = 8  # the chunk's own is 5: map, fixes, tag, list, tag
_MAX_ITEMS = 10_000  # 500 detections are 8,500; reading twice as many empty maps takes 40 ms
_MAX_OPENED = 2_000  # 500 detections are 500, arrays and shapes some 20 more
_TRIP = re.compile(r"[0-9]{8}-[0-9a-f]{8,32}")

_REQUIRED = ("v", "trip", "seq", "start", "end", "t0", "rate", "carrier", "origin", "datum", "fixes")
_SAMPLES = ("acc_scale", "acc")
_OPTIONAL = ("gyro_scale", "gyro", "laser", "bands", "detections", "trimmed")
_I2, _F4, _F8 = np.dtype("<i2"), np.dtype("<f4"), np.dtype("<f8")
_LAST_S = 4_102_444_800.0  # 2100-01-01: beyond it a clock is broken, and a date would overflow further on
# name, type, lowest, highest, may it be unknown
_FIX_COLUMNS: tuple[tuple[str, np.dtype[Any], float, float, bool], ...] = (
    ("t", _F8, 0, _LAST_S, False),
    ("lat", _F8, -84, 84, False),
    ("lon", _F8, -180, 180, False),
    ("accuracy", _F4, 0, 10_000, False),
    ("speed", _F4, 0, 100, True),
    ("course", _F4, 0, 360, True),
)
_FIX_NAMES = tuple(name for name, *_ in _FIX_COLUMNS)
_LASER_FIELDS = ("t0", "rate", "width", "scale", "height")
_QUIET_FIELDS = ("step", "scale", "centre", "level", "peak")
_BAND_FIELDS = ("t0", "step", "centre", "level")
_DETECTION_FIELDS = ("t", "kind", "score", "lat", "lon", "accuracy", "area", "depth")


# ---------------------------------------------------------------- chunk -> plain tree -> bytes


def _measured(chunk: Chunk, pack: Callable[[NDArray[Any]], Any]) -> dict[str, Any]:
    """The samples, or the rows of a summary in their place."""
    if chunk.quiet is None:
        return {"acc_scale": float(chunk.acc_scale_mps2), "acc": pack(chunk.acc_counts)}
    quiet = chunk.quiet
    return {
        "quiet": {
            "step": float(quiet.step_s),
            "scale": float(quiet.scale_mps2),
            "centre": pack(quiet.centre_hz),
            "level": pack(quiet.level_counts),
            "peak": pack(quiet.peak_counts),
        }
    }


def _tree(chunk: Chunk, pack: Callable[[NDArray[Any]], Any]) -> dict[str, Any]:
    """The chunk as plain maps, numbers and texts; ``pack`` says how an array is written."""
    fixes = chunk.fixes
    tree: dict[str, Any] = {
        "v": VERSION,
        "trip": chunk.trip,
        "seq": chunk.seq,
        "start": float(chunk.start_s),
        "end": float(chunk.end_s),
        "t0": float(chunk.t0_s),
        "rate": float(chunk.rate_hz),
        "carrier": chunk.carrier,
        "origin": chunk.origin,
        "datum": chunk.datum,
        **_measured(chunk, pack),
        "fixes": {
            "t": pack(fixes.t_s),
            "lat": pack(fixes.lat_deg),
            "lon": pack(fixes.lon_deg),
            "accuracy": pack(fixes.accuracy_m),
            "speed": pack(fixes.speed_mps),
            "course": pack(fixes.course_deg),
        },
    }
    if chunk.gyro_counts is not None:
        tree["gyro_scale"] = float(chunk.gyro_scale_radps)
        tree["gyro"] = pack(chunk.gyro_counts)
    if chunk.laser is not None:
        laser = chunk.laser
        tree["laser"] = {
            "t0": float(laser.t0_s),
            "rate": float(laser.rate_hz),
            "width": float(laser.width_m),
            "scale": float(laser.scale_m),
            "height": pack(laser.height_counts),
        }
    if chunk.bands is not None:
        bands = chunk.bands
        tree["bands"] = {
            "t0": float(bands.t0_s),
            "step": float(bands.step_s),
            "centre": pack(bands.centre_hz),
            "level": pack(bands.level_db),
        }
    if chunk.trimmed is not None:
        tree["trimmed"] = {"m": float(chunk.trimmed.distance_m), "s": float(chunk.trimmed.duration_s)}
    if chunk.detections:
        tree["detections"] = [
            {
                "t": float(d.t_s),
                "kind": d.kind,
                "score": float(d.score),
                "lat": float(d.lat_deg),
                "lon": float(d.lon_deg),
                "accuracy": float(d.accuracy_m),
                "area": float(d.area_m2),
                "depth": float(d.depth_mm),
            }
            for d in chunk.detections
        ]
    return tree


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _pack_cbor(array: NDArray[Any]) -> cbor2.CBORTag:
    array = _little_endian(array)
    typed = cbor2.CBORTag(_TYPE_TAGS[array.dtype], array.tobytes())
    return typed if array.ndim == 1 else cbor2.CBORTag(_TAG_ROW_MAJOR, [list(array.shape), typed])


def _pack_json(array: NDArray[Any]) -> dict[str, Any]:
    array = _little_endian(array)
    packed: dict[str, Any] = {"type": _TYPE_JSON[array.dtype], "data": base64.b64encode(array.tobytes()).decode()}
    return packed if array.ndim == 1 else {"shape": list(array.shape), **packed}


def encode(chunk: Chunk) -> bytes:
    """The chunk as CBOR bytes."""
    return cbor2.dumps(_tree(chunk, _pack_cbor))


def encode_json(chunk: Chunk) -> str:
    """The chunk as its JSON twin: the same names and numbers, arrays as {"shape", "type", "data": base64}."""
    return json.dumps(_tree(chunk, _pack_json), ensure_ascii=False, allow_nan=False, indent=1)


# ---------------------------------------------------------------- bytes -> plain tree -> chunk


def _unpack_cbor(value: object, name: str) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value  # of a payload whose shape was known
    shape: list[int] | None = None
    if isinstance(value, cbor2.CBORTag) and value.tag == _TAG_ROW_MAJOR:
        pair = value.value
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], list)):
            raise Refused(Reason.WRONG_TYPE, f"{name} is not a row-major array of RFC 8746")
        shape, value = pair
    if not (isinstance(value, cbor2.CBORTag) and value.tag in _TAG_TYPES and isinstance(value.value, bytes)):
        raise Refused(Reason.WRONG_TYPE, f"{name} is not a typed array of tag 77, 85 or 86")
    return _shaped(value.value, _TAG_TYPES[value.tag], shape, name)


def _unpack_json(value: object, name: str) -> NDArray[Any]:
    if isinstance(value, dict) and not set(value) <= _JSON_ARRAY:
        raise Refused(Reason.UNKNOWN_FIELD, f"{name} holds more than shape, type and data")
    if not isinstance(value, dict) or not isinstance(value.get("data"), str):
        raise Refused(Reason.WRONG_TYPE, f"{name} is not an array object")
    dtype = _JSON_TYPES.get(str(value.get("type")))
    if dtype is None:
        raise Refused(Reason.WRONG_TYPE, f"{name}.type is not i2, f4 or f8")
    try:
        data = base64.b64decode(value["data"], validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Reason.WRONG_TYPE, f"{name}.data is not base64") from None
    return _shaped(data, dtype, value.get("shape"), name)


def _shaped(data: bytes, dtype: np.dtype[Any], shape: object, name: str) -> NDArray[Any]:
    if len(data) % dtype.itemsize:
        raise Refused(Reason.WRONG_LENGTH, f"{name} has {len(data)} bytes, not a multiple of {dtype.itemsize}")
    array = np.frombuffer(data, dtype=dtype)
    if shape is None:
        return array
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n <= MAX_SAMPLES for n in shape)
    if not (whole and isinstance(shape, list) and len(shape) == 2 and shape[0] * shape[1] == len(array)):
        raise Refused(Reason.WRONG_LENGTH, f"{name} holds {len(array)} numbers, its shape says otherwise")
    return array.reshape(shape)


class _Fields:
    """A map of the wire with its place in the chunk, read field by field; each reader refuses by name."""

    def __init__(self, tree: object, place: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
        if not isinstance(tree, Mapping):
            raise Refused(Reason.WRONG_TYPE, f"{place or 'the chunk'} is not a map")
        for name in required:
            if name not in tree:
                raise Refused(Reason.MISSING_FIELD, f"{place}{name}")
        for name in tree:
            if name not in required and name not in optional:
                raise Refused(Reason.UNKNOWN_FIELD, f"{place}{name!r:.40}")
        self.tree = tree
        self.place = place

    def number(self, name: str, low: float, high: float) -> float:
        value = self.tree[name]
        if type(value) is not float and type(value) is not int:
            raise Refused(Reason.WRONG_TYPE, f"{self.place}{name} is not a number")
        if type(value) is float and not math.isfinite(value):
            raise Refused(Reason.NOT_FINITE, f"{self.place}{name}")
        if not low <= value <= high:
            raise Refused(Reason.OUT_OF_RANGE, f"{self.place}{name} is not within {low:g} to {high:g}")
        return float(value)

    def number_or_unknown(self, name: str, high: float) -> float:
        return UNKNOWN if self.tree[name] == UNKNOWN else self.number(name, 0, high)

    def whole(self, name: str, low: int, high: int) -> int:
        value = self.tree[name]
        if type(value) is not int:
            raise Refused(Reason.WRONG_TYPE, f"{self.place}{name} is not a whole number")
        if not low <= value <= high:
            raise Refused(Reason.OUT_OF_RANGE, f"{self.place}{name} is not within {low} to {high}")
        return value

    def one_of(self, name: str, known: tuple[str, ...], reason: Reason) -> str:
        value = self.tree[name]
        if not isinstance(value, str):
            raise Refused(Reason.WRONG_TYPE, f"{self.place}{name} is not a text")
        if value not in known:
            raise Refused(reason, f"{self.place}{name} is {value!r:.40}")
        return value


_Unpack = Callable[[object, str], NDArray[Any]]


def _array(unpack: _Unpack, fields: _Fields, name: str, dtype: np.dtype[Any], ndim: int, longest: int) -> NDArray[Any]:
    array = unpack(fields.tree[name], name)
    if array.dtype != dtype or array.ndim != ndim:
        raise Refused(Reason.WRONG_TYPE, f"{fields.place}{name} is not an array of {dtype.str} with {ndim} axes")
    if not 1 <= len(array) <= longest or array.size > MAX_ROWS * MAX_COLUMNS:
        raise Refused(Reason.WRONG_LENGTH, f"{fields.place}{name} has {len(array)} rows, not 1 to {longest}")
    return array


def _finite(array: NDArray[Any], place: str) -> None:
    if not bool(np.isfinite(array).all()):
        raise Refused(Reason.NOT_FINITE, place)


def _within(column: list[float], low: float, high: float, place: str) -> None:
    if column and not (low <= min(column) and max(column) <= high):
        raise Refused(Reason.OUT_OF_RANGE, f"{place} is not within {low:g} to {high:g}")


def _fixes(tree: object, unpack: _Unpack) -> Fixes:
    fields = _Fields(tree, "fixes.", _FIX_NAMES)
    arrays = [_array(unpack, fields, name, dtype, 1, MAX_FIXES) for name, dtype, _, _, _ in _FIX_COLUMNS]
    if len({len(array) for array in arrays}) != 1:
        raise Refused(Reason.WRONG_LENGTH, "the columns of fixes differ in length")
    # A handful of fixes: the machine's own floats are compared four times faster than arrays of eight.
    columns = [array.tolist() for array in arrays]
    for column, (name, *_) in zip(columns, _FIX_COLUMNS, strict=True):
        # NaN and infinity survive a sum; only a sum that overflows by itself has to be looked at again.
        if not math.isfinite(sum(column)) and not all(map(math.isfinite, column)):
            raise Refused(Reason.NOT_FINITE, f"fixes.{name}")
    t_s = columns[0]
    if not all(map(operator.lt, t_s, t_s[1:])):
        raise Refused(Reason.BAD_INTERVAL, "fixes.t does not rise")
    for column, (name, _, low, high, or_unknown) in zip(columns, _FIX_COLUMNS, strict=True):
        known = [v for v in column if v != UNKNOWN] if or_unknown and UNKNOWN in column else column
        _within(known, low, high, f"fixes.{name}")
    return Fixes(*arrays)


def _laser(tree: object, unpack: _Unpack) -> Laser:
    fields = _Fields(tree, "laser.", _LASER_FIELDS)
    height = _array(unpack, fields, "height", _I2, 2, MAX_ROWS)
    if not 1 <= height.shape[1] <= MAX_COLUMNS:
        raise Refused(Reason.WRONG_LENGTH, f"laser.height has {height.shape[1]} columns")
    return Laser(
        t0_s=fields.number("t0", 0, _LAST_S),
        rate_hz=fields.number("rate", 0.1, 20_000),
        width_m=fields.number("width", 0.1, 10),
        scale_m=fields.number("scale", 1e-7, 0.1),
        height_counts=height,
    )


def _bands(tree: object, unpack: _Unpack) -> Bands:
    fields = _Fields(tree, "bands.", _BAND_FIELDS)
    centre = _array(unpack, fields, "centre", _F4, 1, MAX_COLUMNS)
    level = _array(unpack, fields, "level", _F4, 2, MAX_ROWS)
    _finite(centre, "bands.centre")
    _finite(level, "bands.level")
    if level.shape[1] != len(centre):
        raise Refused(Reason.WRONG_LENGTH, "bands.level has not one column for each of bands.centre")
    return Bands(
        t0_s=fields.number("t0", 0, _LAST_S),
        step_s=fields.number("step", 1e-3, 60),
        centre_hz=centre,
        level_db=level,
    )


def _quiet(tree: object, unpack: _Unpack) -> Quiet:
    fields = _Fields(tree, "quiet.", _QUIET_FIELDS)
    centre = _array(unpack, fields, "centre", _F4, 1, MAX_BANDS)
    level = _array(unpack, fields, "level", _I2, 2, MAX_STEPS)
    peak = _array(unpack, fields, "peak", _I2, 1, MAX_STEPS)
    _finite(centre, "quiet.centre")
    if level.shape != (len(peak), len(centre)):
        raise Refused(Reason.WRONG_LENGTH, "quiet.level has not a row for each of quiet.peak and a column a band")
    if int(level.min()) < 0 or int(peak.min()) < 0:
        raise Refused(Reason.OUT_OF_RANGE, "quiet.level or quiet.peak is below 0")
    return Quiet(
        step_s=fields.number("step", 0.1, 10),
        scale_mps2=fields.number("scale", 1e-6, 1),
        centre_hz=centre,
        level_counts=level,
        peak_counts=peak,
    )


def _trimmed(tree: object) -> Trimmed:
    fields = _Fields(tree, "trimmed.", ("m", "s"))
    return Trimmed(fields.number("m", 0, 100_000), fields.number("s", 0, 86_400))


def _detections(tree: object) -> tuple[Detection, ...]:
    if not isinstance(tree, list):
        raise Refused(Reason.WRONG_TYPE, "detections is not a list")
    if len(tree) > MAX_DETECTIONS:
        raise Refused(Reason.WRONG_LENGTH, f"detections has {len(tree)} entries, not up to {MAX_DETECTIONS}")
    found = []
    for item in tree:
        fields = _Fields(item, "detections.", _DETECTION_FIELDS)
        found.append(
            Detection(
                t_s=fields.number("t", 0, _LAST_S),
                kind=fields.one_of("kind", DEFECT_KEYS, Reason.UNKNOWN_DEFECT),
                score=fields.number("score", 0, 1),
                lat_deg=fields.number("lat", -84, 84),
                lon_deg=fields.number("lon", -180, 180),
                accuracy_m=fields.number("accuracy", 0, 10_000),
                area_m2=fields.number_or_unknown("area", 10_000),
                depth_mm=fields.number_or_unknown("depth", 5_000),
            )
        )
    return tuple(found)


_NO_SAMPLES = np.zeros((0, 3), dtype=_I2)
_NO_SAMPLES.setflags(write=False)
_LAYOUTS = Layouts()


def _chunk(tree: object, unpack: _Unpack) -> Chunk:
    if isinstance(tree, Mapping) and "v" in tree and (type(tree["v"]) is not int or tree["v"] != VERSION):
        raise Refused(Reason.UNKNOWN_VERSION, f"v is {tree['v']!r:.40}")
    summary = isinstance(tree, Mapping) and "quiet" in tree
    fields = _Fields(tree, "", (*_REQUIRED, "quiet") if summary else (*_REQUIRED, *_SAMPLES), _OPTIONAL)
    trip = fields.tree["trip"]
    if not (isinstance(trip, str) and _TRIP.fullmatch(trip)):
        raise Refused(Reason.BAD_TRIP, f"trip is {trip!r:.60}")
    start_s = fields.number("start", 0, _LAST_S)
    end_s = fields.number("end", 0, _LAST_S)
    if not 0.5 <= end_s - start_s <= 60:
        raise Refused(Reason.BAD_INTERVAL, f"the chunk owns {end_s - start_s:g} s")
    acc = _NO_SAMPLES if summary else _array(unpack, fields, "acc", _I2, 2, MAX_SAMPLES)
    if acc.shape[1] != 3:
        raise Refused(Reason.WRONG_LENGTH, f"acc has {acc.shape[1]} columns, not 3")
    if ("gyro" in fields.tree) != ("gyro_scale" in fields.tree):
        raise Refused(Reason.MISSING_FIELD, "gyro and gyro_scale go together")
    gyro = None
    gyro_scale = 0.0
    if "gyro" in fields.tree:
        gyro = _array(unpack, fields, "gyro", _I2, 2, MAX_SAMPLES)
        gyro_scale = fields.number("gyro_scale", 1e-7, 1)
        if gyro.shape != acc.shape:
            raise Refused(Reason.WRONG_LENGTH, "gyro and acc differ in shape")
    return Chunk(
        trip=trip,
        seq=fields.whole("seq", 0, 2**31 - 1),
        start_s=start_s,
        end_s=end_s,
        t0_s=fields.number("t0", 0, _LAST_S),
        rate_hz=fields.number("rate", 1, 2_000),
        carrier=fields.one_of("carrier", CARRIERS, Reason.UNKNOWN_CARRIER),
        origin=fields.one_of("origin", ORIGINS, Reason.UNKNOWN_ORIGIN),
        datum=fields.one_of("datum", DATUMS, Reason.UNKNOWN_DATUM),
        acc_scale_mps2=0.0 if summary else fields.number("acc_scale", 1e-6, 1),
        acc_counts=acc,
        fixes=_fixes(fields.tree["fixes"], unpack),
        gyro_scale_radps=gyro_scale,
        gyro_counts=gyro,
        laser=_laser(fields.tree["laser"], unpack) if "laser" in fields.tree else None,
        bands=_bands(fields.tree["bands"], unpack) if "bands" in fields.tree else None,
        detections=_detections(fields.tree["detections"]) if "detections" in fields.tree else (),
        trimmed=_trimmed(fields.tree["trimmed"]) if "trimmed" in fields.tree else None,
        quiet=_quiet(fields.tree["quiet"], unpack) if summary else None,
    )


def _scan(data: bytes) -> int:
    """Keys of all maps in ``data``. Raises `Refused` unless it is one CBOR item made only of what version 1 uses.

    A general decoder runs code for tags that we never use: it compiles patterns, raises numbers to powers, follows
    references in circles. A 200-byte payload of those can cost seconds or gigabytes, so they are turned away unread.
    """
    at, items, in_maps = 0, 0, 0
    left, maps = [1], [False]  # how many items each open list, map or tag still wants, -1 until a break; is it a map?
    try:
        while left:
            if left[-1] == 0 or (left[-1] < 0 and data[at] == 0xFF):
                maps.pop()
                at += left.pop() < 0
                continue
            left[-1] -= left[-1] > 0
            items += 1
            in_maps += maps[-1]
            major, more = data[at] >> 5, data[at] & 31
            at += 1
            if items > _MAX_ITEMS or len(left) > _MAX_DEPTH:
                raise Refused(Reason.MALFORMED, "more items, or deeper, than a chunk can have")
            if more == 31 and major in (4, 5):
                left.append(-1)
                maps.append(major == 5)
                continue
            if more > 27:
                raise Refused(Reason.MALFORMED, "a length that no item of a chunk has")
            value = more
            if more >= 24:
                size = 1 << more - 24
                value = int.from_bytes(data[at : at + size], "big")
                at += size
            if major in (2, 3):
                at += value
            elif major in (4, 5):
                left.append(min(value * (major - 3), _MAX_ITEMS + 1))
                maps.append(major == 5)
            elif major == 6:
                if value not in _TAGS:
                    raise Refused(Reason.MALFORMED, f"tag {value} has no place in a chunk")
                left.append(1)
                maps.append(False)
            elif major == 7 and more not in (20, 21, 22, 25, 26, 27):
                raise Refused(Reason.MALFORMED, f"simple value {value} has no place in a chunk")
            if at > len(data):
                raise IndexError
    except IndexError:
        raise Refused(Reason.MALFORMED, "cut off") from None
    if at != len(data):
        raise Refused(Reason.MALFORMED, f"{len(data) - at} bytes after the end")
    return in_maps // 2


def _keys(tree: object) -> int:
    """Keys of all maps in a decoded tree."""
    if isinstance(tree, Mapping):
        return len(tree) + sum(_keys(value) for value in tree.values())
    if isinstance(tree, cbor2.CBORTag):
        return _keys(tree.value)
    return sum(_keys(value) for value in tree) if isinstance(tree, list) else 0


def _load(data: bytes) -> Any:
    keys = _scan(data)
    try:
        tree = cbor2.loads(data)
    # What passes the scan may still be no text (bad UTF-8) or no key (a list): one answer to us.
    except Exception as error:
        raise Refused(Reason.MALFORMED, type(error).__name__) from None
    if _keys(tree) != keys:
        raise Refused(Reason.MALFORMED, "a key stands twice in a map")
    return tree


def decode(data: bytes) -> Chunk:
    """The chunk in ``data``. Raises `Refused` for every other byte string, and nothing else."""
    if len(data) > MAX_BYTES:
        raise Refused(Reason.TOO_LARGE, f"{len(data)} bytes, the limit is {MAX_BYTES}")
    tree = _LAYOUTS.tree(data)
    if tree is not None:
        return _chunk(tree, _unpack_cbor)
    chunk = _chunk(_load(data), _unpack_cbor)
    _LAYOUTS.learn(data)
    return chunk


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless a key stands in it twice: readers differ in which one they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def decode_json(text: str) -> Chunk:
    """The chunk in a JSON twin. Raises `Refused` for every other text, and nothing else."""
    if len(text) > 2 * MAX_BYTES:
        raise Refused(Reason.TOO_LARGE, f"{len(text)} characters, the limit is {2 * MAX_BYTES}")
    if text.count("{") + text.count("[") > _MAX_OPENED:
        # The standard library's reader goes as deep as the stack: a hundred thousand brackets end the process.
        raise Refused(Reason.MALFORMED, "more maps and lists than a chunk can have")
    try:
        tree = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused(Reason.MALFORMED, type(error).__name__) from None
    return _chunk(tree, _unpack_json)


def peek(data: bytes) -> tuple[str, int] | None:
    """Trip and sequence number of a payload that may be refused, so that its device knows which one it was."""
    if len(data) > MAX_BYTES:
        return None
    try:
        tree = _load(data)
        trip, seq = tree["trip"], tree["seq"]
    except (Refused, KeyError, TypeError, IndexError):
        return None
    if isinstance(trip, str) and _TRIP.fullmatch(trip) and type(seq) is int and 0 <= seq < 2**31:
        return trip, seq
    return None
