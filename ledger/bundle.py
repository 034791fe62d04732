"""An auditor's documents: from a square's code to chunks, checkpoint, witnesses and anchor; and from a chunk back.

Both are JSON that carries all it needs but the trust: whose log key, which witnesses, which chain. Checking asks no
database, no platform, and the network only where a chain is given.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from . import merkle
from .chunks import MOST_PATH, Place, chunks_root, node_of, root_from
from .proof import Step
from .records import RecordError, parse

VERSION: Final = 1
ROAD: Final = "road proof"
CHUNK: Final = "chunk proof"
MOST: Final = 64 << 20
"""Bytes of a document. A square of a bus lane with 31 days of 20,000 passes is 45 MB; a larger one is not ours."""

_NEAR_DEG: Final = 1e-6

Check = Callable[[Mapping[str, Any]], list[Step]]
"""Checks one record's proof against what the auditor trusts (`proof.verify_proof` with the rest filled in)."""


def place_to_plain(place: Place) -> dict[str, Any]:
    """A place, ready for JSON."""
    return {
        "block": place.block, "index": place.index, "count": place.count, "nth": place.nth, "blocks": place.blocks,
        "path": [b64encode(h).decode() for h in place.path],
        "day_path": [b64encode(h).decode() for h in place.day_path],
    }  # fmt: skip


def place_from_plain(plain: Mapping[str, Any]) -> Place:
    """The inverse. Raises ValueError, KeyError or TypeError."""
    numbers = [plain[name] for name in ("block", "index", "count", "nth", "blocks")]
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise ValueError("a place has whole numbers")
    paths = [[b64decode(h, validate=True) for h in plain[name]] for name in ("path", "day_path")]
    if any(len(path) > MOST_PATH for path in paths):
        raise ValueError("a path is too long")
    block, index, count, nth, blocks = numbers
    return Place(block, index, count, tuple(paths[0]), nth, blocks, tuple(paths[1]))


def read_document(data: bytes) -> dict[str, Any]:
    """The document in a file. Raises ValueError, whose text says what is wrong."""
    if len(data) > MOST:
        raise ValueError(f"the file has {len(data)} bytes: no document of this platform is over {MOST}")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the file is not JSON ({type(error).__name__})") from None
    if not isinstance(found, dict) or found.get("what") not in (ROAD, CHUNK) or found.get("v") != VERSION:
        raise ValueError(f"the file is not a {ROAD} or {CHUNK} of version {VERSION}")
    return found


def verify_document(document: Mapping[str, Any], check: Check) -> list[Step]:
    """Every step of a document, whichever of the two it is. Total: what cannot be read is a step that does not hold."""
    try:
        return (_road if document.get("what") == ROAD else _chunk)(document, check)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        return [Step("document", False, f"it cannot be read: {type(error).__name__}: {str(error)[:200]}")]


def _proven(proof: Mapping[str, Any], check: Check, kind: str, name: str) -> tuple[dict[str, Any] | None, list[Step]]:
    """A record out of its proof (None where it is not a record of this kind), and the steps of its proof."""
    try:
        body = parse(b64decode(proof["body"], validate=True))
    except (RecordError, ValueError, KeyError, TypeError) as error:
        return None, [Step(f"{name}: record", False, str(error)[:200])]
    if body["kind"] != kind:
        return None, [Step(f"{name}: record", False, f"is a {body['kind']} record, not a {kind} record")]
    return body, [replace(step, name=f"{name}: {step.name}") for step in check(proof)]


def _road(document: Mapping[str, Any], check: Check) -> list[Step]:
    import numpy as np  # noqa: PLC0415

    from defects import CODE  # noqa: PLC0415 - numpy's side of the house wakes only when a bundle is read
    from defects import recode as reading  # noqa: PLC0415
    from grid import blocks_of, index_in_block, name_of, polygon_deg  # noqa: PLC0415

    cell, said = document["cell"], document["code"]
    if type(cell) is not int:
        return [Step("code", False, "a square is named by one whole number")]
    codes = np.frombuffer(b64decode(document["codes"], validate=True), CODE)
    if len(codes) != 1024:
        return [Step("code", False, f"a block has 1,024 codes, not {len(codes)}")]
    block = int(blocks_of(cell))
    code = codes[int(index_in_block(cell))]
    shown = {**reading.describe(code), **reading.details(code)}
    agrees = shown == said
    steps = [Step("code", agrees, f"the bytes of square {cell} {'say' if agrees else 'do NOT say'} {_words(said)}")]
    # Nobody signs name and outline: they are reckoned from the number, or a true red square could be shown elsewhere.
    here = document["name"] == name_of(cell) and _near(document["polygon"], polygon_deg(cell))
    steps.append(Step("place", here, f"name and outline {'are' if here else 'are NOT'} those of square {cell}"))
    body, proof_steps = _proven(document["block"], check, "block", "block")
    if body is None:
        return [*steps, *proof_steps]
    ours = body["block"] == block and body["codes_sha256"] == sha256(codes.tobytes()).digest()
    verb = "are" if ours else "are NOT"
    # A true proof of last month says nothing of today: its day is told, since `made_at` is nobody's word.
    text = f"the block's 1,024 codes {verb} those that its record of {body['day']} states"
    steps.append(Step("codes", ours, text))
    steps += proof_steps
    steps += _own(document, check, cell, said)
    steps += _context(document, check, body)
    steps += _days(document, check, body, block)
    return steps


def _near(ring: Any, wanted: list[tuple[float, float]]) -> bool:
    """Whether corners lie within a decimetre of each other: two machines project a little differently."""
    if len(ring) != len(wanted):
        return False
    return all(
        len(one) == 2 and all(abs(float(a) - b) < _NEAR_DEG for a, b in zip(one, other, strict=True))
        for one, other in zip(ring, wanted, strict=True)
    )


def _words(said: Mapping[str, Any]) -> str:
    return " ".join(str(said[name]) for name in ("state", "colour", "kind") if said.get(name) not in (None, "none"))


def _own(document: Mapping[str, Any], check: Check, cell: int, said: Mapping[str, Any]) -> list[Step]:
    """Yellow and red have a record of their own."""
    if said["colour"] not in ("yellow", "red"):
        return []
    if document.get("own") is None:
        return [Step("own record", None, "a yellow or red square has a record of its own; it is not in this document")]
    body, steps = _proven(document["own"], check, "code", "own record")
    if body is None:
        return steps
    agrees = body["cell"] == cell and all(body["after"][name] == said[name] for name in ("colour", "state", "kind"))
    return [Step("own record", agrees, "says the same" if agrees else "says something ELSE"), *steps]


def _context(document: Mapping[str, Any], check: Check, block: Mapping[str, Any]) -> list[Step]:
    """The day's context, with which the code was computed, is the one that the block's record names."""
    if document.get("context") is None:
        known = block["context"] == bytes(32)
        text = "nothing had come on that day" if known else "is not in this document"
        return [Step("context", True if known else None, text)]
    body, steps = _proven(document["context"], check, "context", "context")
    if body is None:
        return steps
    same = sha256(b64decode(document["context"]["body"])).digest() == block["context"]
    verb = "as" if same else "NOT as"
    return [Step("context", same, f"of {body['day']}, {verb} the block's record names it"), *steps]


def _days(document: Mapping[str, Any], check: Check, block: Mapping[str, Any], number: int) -> list[Step]:
    """The chunks of each day: against the block's record where it counted just these, else against the day's seal."""
    steps: list[Step] = []
    for day in document["days"]:
        leaves = [bytes.fromhex(leaf) for leaf in day["chunks"]]
        name = f"chunks of {day['day']}"
        if any(len(leaf) != 32 for leaf in leaves) or leaves != sorted(leaves):
            steps.append(Step(name, False, "are not hashes in rising order"))
            continue
        root = chunks_root(leaves)
        in_record = day["day"] == block["day"] and len(leaves) == block["chunks_count"]
        if in_record:
            steps.append(_same(name, root == block["chunks_root"], len(leaves), "the block's record"))
        if day.get("seal") is None:
            if not in_record:
                text = f"{len(leaves)} chunks, more than the record counted; the day is not sealed"
                steps.append(Step(name, None, text))
            continue
        sealed, proof_steps = _proven(day["seal"], check, "seal", f"seal of {day['day']}")
        steps += proof_steps
        if sealed is None:
            continue
        # All hashes are here: the block's part of the tree is made anew, and only the day's path is followed.
        place = place_from_plain({**day["place"], "block": number, "index": 0, "count": len(leaves), "path": []})
        node = merkle.inclusion_root(place.nth, place.blocks, node_of(number, len(leaves), root), place.day_path)
        holds = sealed["day"] == day["day"] and node == sealed["chunks_root"]
        steps.append(_same(name, holds, len(leaves), "the day's seal"))
    return steps


def _same(name: str, holds: bool, count: int, what: str) -> Step:
    return Step(name, holds, f"{count} salted hashes, {'just those of' if holds else 'NOT those of'} {what}")


def _chunk(document: Mapping[str, Any], check: Check) -> list[Step]:
    leaf = bytes.fromhex(document["leaf"])
    steps: list[Step] = []
    if document.get("raw_sha256") is not None and document.get("salt") is not None:
        made = sha256(bytes.fromhex(document["salt"]) + bytes.fromhex(document["raw_sha256"])).digest()
        verb = "is" if made == leaf else "is NOT"
        steps.append(Step("hash", made == leaf, f"the salted hash {verb} made of this chunk and salt"))
    if document.get("seal") is None:
        return [*steps, Step("seal", None, f"{document['day']} is not sealed yet: ask again 49 hours after its end")]
    sealed, proof_steps = _proven(document["seal"], check, "seal", "seal")
    steps += proof_steps
    if sealed is None:
        return steps
    if not document["places"]:
        # A seal proves itself alone: without a way to it, the hash in the document is anybody's.
        steps.append(Step("chunk", False, "no way from the hash to the seal is given"))
    for plain in document["places"]:
        place = place_from_plain(plain["place"])
        holds = root_from(leaf, place) == sealed["chunks_root"] and sealed["day"] == document["day"]
        verb = "is" if holds else "is NOT"
        text = f"{verb} one of {place.count} chunks that passed block {place.block} on {document['day']}"
        steps.append(Step("chunk", holds, text))
    return steps
