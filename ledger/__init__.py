"""Can it be proven? Records, a Merkle log, signed checkpoints and anchors on a chain.

The embedded chain proves nothing against its own operator; anchors on a consortium's chain do.
"""

from .anchor import AnchorOptions, AnchorStatus, LogDiverged, step
from .chain import Anchor, AnchorRefused, Chain, ChainAway, Receipt, WrongContract
from .fsck import Fault, fsck
from .log import Log, LogBusy
from .merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from .note import Checkpoint, NoteError, load_secret, parse_checkpoint, verify_note
from .proof import NotProvable, Step, prove, verify_proof
from .records import (
    Plain,
    Record,
    RecordError,
    block_record,
    case_record,
    code_record,
    context_record,
    encode,
    parse,
    register_record,
    seal_record,
)
from .store import (
    AnchorRow,
    LeaseHeld,
    Numbered,
    anchor_count,
    enqueue,
    latest_record,
    newest_anchor,
    newest_checkpoint,
    number_outbox,
    outbox_count,
    record,
    record_count,
    seals,
    subjects,
    waiting,
)
from .tiles import LogDamaged, Tiles

__all__ = [
    "Anchor",
    "AnchorOptions",
    "AnchorRefused",
    "AnchorRow",
    "AnchorStatus",
    "Chain",
    "ChainAway",
    "Checkpoint",
    "Fault",
    "LeaseHeld",
    "Log",
    "LogBusy",
    "LogDamaged",
    "LogDiverged",
    "NotProvable",
    "NoteError",
    "Numbered",
    "Plain",
    "Receipt",
    "Record",
    "RecordError",
    "Step",
    "Tiles",
    "WrongContract",
    "anchor_count",
    "block_record",
    "case_record",
    "code_record",
    "context_record",
    "encode",
    "enqueue",
    "fsck",
    "latest_record",
    "leaf_hash",
    "load_secret",
    "newest_anchor",
    "newest_checkpoint",
    "number_outbox",
    "outbox_count",
    "parse",
    "parse_checkpoint",
    "prove",
    "record",
    "record_count",
    "register_record",
    "root_of",
    "seal_record",
    "seals",
    "step",
    "subjects",
    "verify_consistency",
    "verify_inclusion",
    "verify_note",
    "verify_proof",
    "waiting",
]
