"""What a seal does to evidence: it keeps how many devices there were in each square, and forgets which."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from .evidence import BlockEvidence
from .planes import OR_PLANES


def sealed(evidence: BlockEvidence) -> BlockEvidence:
    """The same evidence with the slots of each square pushed together: n bits are set, the lowest n. The read-out
    counts bits, so no code changes; the bits of two squares no longer say whether it was the same device. Once sealed,
    sealing again changes nothing."""
    slots = np.isin(evidence.key & 63, OR_PLANES)
    count = np.bitwise_count(evidence.value).astype(np.int64)
    return BlockEvidence(evidence.key, np.where(slots, (1 << count) - 1, evidence.value))


def without_slots(evidence: BlockEvidence) -> BlockEvidence:
    """Evidence without the planes of slots: what can still be counted again once a day's salt is gone."""
    rest = ~np.isin(evidence.key & 63, OR_PLANES)
    return BlockEvidence(evidence.key[rest], evidence.value[rest])


def evidence_leaf(block: int, evidence: BlockEvidence) -> bytes:
    """SHA-256 of a block's number and its evidence of a day: a leaf of the root that the day's seal records."""
    whole = hashlib.sha256(block.to_bytes(8, "big", signed=True))
    whole.update(len(evidence.key).to_bytes(4, "big"))
    whole.update(evidence.key.astype("<u2").tobytes())
    whole.update(evidence.value.astype("<i8").tobytes())
    return whole.digest()


def slots_are_sealed(evidence: Iterable[BlockEvidence]) -> bool:
    """Whether nothing in the evidence says which devices there were."""
    return all(np.array_equal(sealed(e).value, e.value) for e in evidence)
