"""What a phone's chunk taught, as it is kept until its day is settled, and what was believed before. Pure.

Only of phones whose owners collect points. A row is a chunk's word on one block: squares passed and log-odds of what
was felt, under a pseudonym, without a time. Tokens beside it say whether two devices were in the block in one minute
(phones in one car are one witness) and whether two chunks shook alike (a recording that is played again); they are
salted with the day's salt, and nobody can make or compare them once it is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest import Chunk

from .evidence import UNIT as UNIT  # noqa: PLC0414  (who reads a row needs it)
from .evidence import BlockEvidence, by_block, pack_block, unpack_block
from .ground import Ground
from .health import HealthOptions
from .observe import Observation
from .options import EvidenceOptions
from .planes import PASSES, PHONE_LOGODDS, PHONE_PASSES

PSEUDONYM_BYTES: Final = 16
_CONTENT, _CHUNK, _MINUTE = 8, 4, 8  # bytes of each token
_WINDOWS: Final = 10
"""Of a chunk, whose order by how much they shook stands for what it felt. More, and a little noise changes it; fewer,
and two honest chunks of a day are alike (ten have 3.6 million orders)."""
_SILENT, _QUIET_COUNTS, _REFUSED = 0, 1, 2  # first byte of a row
_LAST_LOGODDS: Final = 18
_MOST_SEEN: Final = 8.0  # of log-odds that boxes may take from a belief, as `most_against`
ROLLED_M: Final = 1.5
"""Width of the two strips on which a wheel meets a defect of half a metre: twice a tyre of .25 m and the defect."""


@dataclass(frozen=True, eq=False)
class Row:
    """A chunk's word on a block, as stored. blk is 0 for a chunk that earns nothing."""

    blk: int
    together: bytes
    d: bytes


@dataclass(frozen=True, eq=False)
class Said:
    """A row, read. content: stands for what the chunk felt; chunk: the same in all rows of one chunk; minutes: tokens
    of the block and each minute that the chunk touched. refused: why the chunk earns nothing; None where it may, and
    then passed (bool) and felt (log-odds, 16 bits of fraction), both (1024,), are its word. quiet_counts: whether its
    silence says anything."""

    content: bytes
    chunk: bytes
    minutes: frozenset[bytes]
    refused: str | None
    quiet_counts: bool
    passed: NDArray[np.bool_]
    felt: NDArray[np.int64]


class DamagedRow(ValueError):
    """A row is not what was written."""


def pseudonym_of(device: str, salt: bytes) -> bytes:
    """What stands for a device until the day's seal, 16 bytes."""
    return hmac.digest(salt, b"points:" + device.encode(), "sha256")[:PSEUDONYM_BYTES]


def rows_of(
    chunk: Chunk, seen: Observation, device: str, salt: bytes, refused: str | None, options: EvidenceOptions
) -> list[Row]:
    """The rows of a phone's chunk. ``refused``: why it earns nothing whatever it says."""
    shaken = _token(salt, b"felt", _order(chunk))[:_CONTENT] + _token(
        salt, b"chunk", f"{device} {chunk.trip} {chunk.seq}".encode()
    )[:_CHUNK]
    blocks = {} if refused else by_block(seen.deltas)
    if not blocks:
        return [Row(0, shaken, bytes([_REFUSED]) + (refused or "no_place").encode())]
    first = _QUIET_COUNTS if options.carrier_quiet[chunk.carrier] > 0 else _SILENT
    minutes = range(math.floor(chunk.start_s / 60), math.floor(chunk.end_s / 60) + 1)
    rows = []
    for blk, said in blocks.items():
        plane = said.key & 63
        kept = (plane == PHONE_LOGODDS) | (plane == PHONE_PASSES)
        tokens = b"".join(_token(salt, b"minute", f"{blk} {m}".encode())[:_MINUTE] for m in minutes)
        rows.append(
            Row(blk, shaken + tokens, bytes([first]) + pack_block(BlockEvidence(said.key[kept], said.value[kept])))
        )
    return rows


def read_row(row: Row) -> Said:
    """The inverse of `rows_of`. Raises DamagedRow."""
    fixed = _CONTENT + _CHUNK
    if len(row.together) < fixed or (len(row.together) - fixed) % _MINUTE or not row.d:
        raise DamagedRow("a row of what was taught is cut off")
    content, chunk = row.together[:_CONTENT], row.together[_CONTENT:fixed]
    minutes = frozenset(row.together[i : i + _MINUTE] for i in range(fixed, len(row.together), _MINUTE))
    none = np.zeros(1024, np.int64)
    if row.d[0] == _REFUSED:
        return Said(content, chunk, minutes, row.d[1:].decode("ascii", "replace"), False, none > 0, none)
    try:
        said = unpack_block(row.d[1:])
    except ValueError as error:
        raise DamagedRow(f"a row of what was taught does not unpack ({error})") from None
    passed, felt = said.plane(PHONE_PASSES) > 0, said.plane(PHONE_LOGODDS)
    return Said(content, chunk, minutes, None, row.d[0] == _QUIET_COUNTS, passed | (felt > 0), felt)


def _token(salt: bytes, what: bytes, of: bytes) -> bytes:
    return hashlib.blake2b(of, key=salt[:64], person=what).digest()


def _order(chunk: Chunk) -> bytes:
    """The order in which the stretches of a chunk shook, from the least to the most: another scale or a little noise
    leaves it as it is, and two drives hardly ever have the same."""
    acc = chunk.acc_counts.astype(np.int64)
    if len(acc) < 2 * _WINDOWS:
        return b"short"
    steps = np.abs(np.diff(acc, axis=0)).sum(axis=1)
    edges = np.linspace(0, len(steps), _WINDOWS + 1).astype(np.int64)
    loud = np.add.reduceat(steps, edges[:-1])
    return bytes(np.argsort(loud, kind="stable").astype(np.uint8))


# ---------------------------------------------------------------- before the day


def quiet_worth(level: int, options: EvidenceOptions) -> float:
    """What the silence of one phone says against a defect in a square of a level, in log-odds: -log of the chance that
    a defect is there and nothing was felt. The wheels roll over part of the square only."""
    rolled = min(1.0, ROLLED_M / (1 << 2 * level))
    return -math.log(1 - options.p_phone * rolled)


def by_boxes(said: BlockEvidence) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of a block of 1 m squares and a day: which of them boxes passed, and in which one felt or saw something, bool
    (1024,)."""
    hit = np.zeros(1024, bool)
    key = said.key[((said.key & 63) <= _LAST_LOGODDS) & (said.value > 0)]
    hit[key >> 6] = True
    return said.plane(PASSES) > 0, hit


def less_known(logit: NDArray[np.float64], unseen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of squares of which boxes have looked at a part: ``unseen`` is how likely a defect in each would have
    stayed unseen by them, 1 where they never were."""
    return logit + np.log(np.maximum(unseen, math.exp(-_MOST_SEEN)))


def believed(
    evidence: Mapping[int, Mapping[date, BlockEvidence]], day: date, level: int, options: HealthOptions,
    saying: EvidenceOptions, ground: Mapping[int, Ground],
) -> dict[int, NDArray[np.float64]]:  # fmt: skip
    """`believed.believed`, which wakes the compiler: who only keeps rows must not wait for it."""
    from .believed import believed as asked  # noqa: PLC0415

    return asked(evidence, day, level, options, saying, ground)
