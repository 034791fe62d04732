"""The shape of a device's payloads, learnt once and then only compared: which bytes of a CBOR chunk are its structure,
and at which places the numbers, the texts and the arrays lie.

A device sends chunk after chunk of one shape. Reading each of them item by item costs four times what it takes to see
that the structure is, byte for byte, that of a payload that was read with care before, and to pick up what differs.
Nothing is decided here: what is found goes through the same checks, and whatever fits no known shape is read in full.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_LAYOUTS = 512
"""Shapes remembered, the latest used: a fleet has a handful for each kind of box, since a chunk has now a fix more, now
one less. Fewer would be forgotten and learnt again in turn; more would let a hostile device fill memory (2 kB each)."""
_VARYING = frozenset({"start", "end", "t0", "trip", "seq"})
_ARRAYS: dict[int, np.dtype[Any]] = {77: np.dtype("<i2"), 85: np.dtype("<f4"), 86: np.dtype("<f8")}
_UNSIGNED = {24: "B", 25: "H", 26: "I", 27: "Q"}


class _NoLayout(Exception):
    """The payload has something that is not worth a layout: detections, laser lines, numbers of varying length."""


@dataclass(frozen=True)
class _Column:
    path: tuple[str, ...]
    dtype: np.dtype[Any]
    count: int
    at: int
    shape: tuple[int, int] | None


@dataclass(frozen=True)
class Layout:
    """One shape. literals: (first, end, bytes) of the structure; the rest is where the values lie."""

    length: int
    literals: tuple[tuple[int, int, bytes], ...]
    fixed: dict[str, Any]
    numbers: struct.Struct
    names: tuple[tuple[str, ...], ...]
    trip: tuple[int, int]
    columns: tuple[_Column, ...]

    def tree(self, data: bytes) -> dict[str, Any] | None:
        """The maps and values of ``data``, arrays as arrays; None where it is of another shape."""
        for first, end, literal in self.literals:
            if data[first:end] != literal:
                return None
        out: dict[str, Any] = {k: dict(v) if type(v) is dict else v for k, v in self.fixed.items()}
        try:
            out["trip"] = data[self.trip[0] : self.trip[1]].decode("ascii")
        except UnicodeDecodeError:
            return None
        for path, value in zip(self.names, self.numbers.unpack_from(data), strict=True):
            if len(path) == 1:
                out[path[0]] = value
            else:
                out[path[0]][path[1]] = value
        for c in self.columns:
            array = np.frombuffer(data, c.dtype, c.count, c.at)
            if c.shape is not None:
                array = array.reshape(c.shape)
            if len(c.path) == 1:
                out[c.path[0]] = array
            else:
                out[c.path[0]][c.path[1]] = array
        return out


class _Walk:
    """Reads the structure of a payload that is known to be a good chunk."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.values: list[tuple[int, int]] = []
        self.fixed: dict[str, Any] = {}
        self.numbers: list[tuple[int, str, tuple[str, ...]]] = []
        self.columns: list[_Column] = []
        self.trip = (0, 0)

    def head(self, at: int) -> tuple[int, int, int]:
        """Major type, argument and where the item goes on."""
        first = self.data[at]
        more = first & 31
        if more < 24:
            return first >> 5, more, at + 1
        if more > 27:
            raise _NoLayout
        size = 1 << more - 24
        return first >> 5, int.from_bytes(self.data[at + 1 : at + 1 + size], "big"), at + 1 + size

    def text(self, at: int) -> tuple[str, int]:
        major, size, at = self.head(at)
        if major != 3:
            raise _NoLayout
        return self.data[at : at + size].decode("ascii"), at + size

    def map(self, at: int, path: tuple[str, ...]) -> int:
        major, size, at = self.head(at)
        if major != 5 or len(path) > 1:
            raise _NoLayout
        if path:
            self.fixed[path[0]] = {}
        for _ in range(size):
            key, at = self.text(at)
            at = self.value(at, (*path, key))
        return at

    def value(self, at: int, path: tuple[str, ...]) -> int:
        major, value, after = self.head(at)
        if major == 5:
            return self.map(at, path)
        if major == 6:
            return self.array(at, path)
        if major == 7 and self.data[at] in (0xFA, 0xFB):
            self.slot(at + 1, after, "f" if self.data[at] == 0xFA else "d", path)
            return after
        if path == ("trip",) and major == 3:
            self.trip = (after, after + value)
            self.values.append(self.trip)
            return after + value
        if path == ("seq",) and major == 0 and self.data[at] & 31 in _UNSIGNED:
            self.slot(at + 1, after, _UNSIGNED[self.data[at] & 31], path)
            return after
        if path[0] in _VARYING - {"seq"}:
            raise _NoLayout  # a moment as a whole number: its length changes with its value
        if major == 0:
            self.put(path, value)
            return after
        if major == 3:
            text, after = self.text(at)
            self.put(path, text)
            return after
        raise _NoLayout

    def put(self, path: tuple[str, ...], value: Any) -> None:
        where = self.fixed if len(path) == 1 else self.fixed[path[0]]
        where[path[-1]] = value

    def slot(self, first: int, end: int, code: str, path: tuple[str, ...]) -> None:
        self.numbers.append((first, code, path))
        self.values.append((first, end))

    def array(self, at: int, path: tuple[str, ...]) -> int:
        _, tag, at = self.head(at)
        shape: tuple[int, int] | None = None
        if tag == 40:
            pair = self.head(at)
            sides = self.head(pair[2])
            rows = self.head(sides[2])
            columns = self.head(rows[2])
            if (pair[:2], sides[:2], rows[0], columns[0]) != ((4, 2), (4, 2), 0, 0):
                raise _NoLayout
            shape = (rows[1], columns[1])
            _, tag, at = self.head(columns[2])
        major, size, at = self.head(at)
        if major != 2 or tag not in _ARRAYS:
            raise _NoLayout
        dtype = _ARRAYS[tag]
        self.columns.append(_Column(path, dtype, size // dtype.itemsize, at, shape))
        self.values.append((at, at + size))
        return at + size

    def layout(self) -> Layout:
        end = self.map(0, ())
        literals, at = [], 0
        for first, stop in sorted(self.values):
            literals.append((at, first, self.data[at:first]))
            at = stop
        literals.append((at, end, self.data[at:end]))
        code, at = ">", 0
        ordered = sorted(self.numbers)
        for first, kind, _ in ordered:
            code += f"{first - at}x{kind}"
            at = first + struct.calcsize(kind)
        names = tuple(path for *_, path in ordered)
        return Layout(
            len(self.data), tuple(part for part in literals if part[2]), self.fixed, struct.Struct(code), names,
            self.trip, tuple(self.columns),
        )  # fmt: skip


def layout_of(data: bytes) -> Layout | None:
    """The shape of a payload that was read as a good chunk; None where it is not worth remembering."""
    try:
        return _Walk(data).layout()
    except _NoLayout:
        return None


class Layouts:
    """The shapes seen lately, by length of payload. One a process is enough; nothing depends on what it holds."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, bytes], Layout] = OrderedDict()

    @staticmethod
    def _key(data: bytes) -> tuple[int, bytes]:
        # The first bytes name the fields in their order; of one length and one order there is seldom a second shape.
        return len(data), data[:12]

    def tree(self, data: bytes) -> dict[str, Any] | None:
        """What `Layout.tree` of the fitting shape gives; None where there is none."""
        known = self._known.get(self._key(data))
        return known.tree(data) if known is not None else None

    def learn(self, data: bytes) -> None:
        """Remembers the shape of a good chunk."""
        found = layout_of(data)
        if found is None:
            return
        self._known[self._key(data)] = found
        self._known.move_to_end(self._key(data))
        if len(self._known) > MOST_LAYOUTS:
            self._known.popitem(last=False)
