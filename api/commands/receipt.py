"""`roadcode receipt`: what the log promised of a record, and whether it kept it."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import OUT, Json, settings, show

EXAMPLES = """\b
roadcode repair add --case 17 --receipt repair.json
roadcode receipt check repair.json
roadcode receipt check repair.json --proof proof.json --keys keys.json
roadcode receipt get 5c0f...e1 --out receipt.json"""

app = typer.Typer(help="Receipts: the log's promise that a record will be in it within some seconds.",
                  no_args_is_help=True)  # fmt: skip

_Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]


class ReceiptFileError(ValueError):
    """A file of receipts, a proof or keys cannot be read; the text says which and what it should be."""


@app.command("get", epilog=EXAMPLES)
def get(
    leaf: Annotated[str, typer.Argument(help="SHA-256 of a zero byte and the record's bytes, hex", metavar="LEAF")],
    out: Annotated[Path | None, typer.Option("--out", help="write it here instead")] = None,
    home: _Home = None,
) -> None:
    """The receipt of a record that is already said, counted from when it was said. Prints JSON."""
    from ledger import receipt_for  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415
    from ..promised import shown  # noqa: PLC0415

    try:
        digest = bytes.fromhex(leaf)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise typer.BadParameter("LEAF is a hash of 64 hex digits, as GET /log/proof/N or a receipt names it")
    full = wiring.resolved(settings(home=home))
    with wiring.database(full) as conn, conn.transaction():
        given = receipt_for(conn, digest, wiring.promiser(full))
    if given is None:
        raise typer.BadParameter("no record has this leaf hash: nothing was promised")
    text = json.dumps({"receipts": [shown(given)]}, indent=1)
    if out is None:
        print(text)
    else:
        out.write_text(text + "\n")


@app.command("check", epilog=EXAMPLES)
def check(
    file: Annotated[Path, typer.Argument(help="what --receipt wrote, or the answer of GET /log/receipt/LEAF")],
    proof: Annotated[Path | None, typer.Option(help="answer of GET /log/proof/N; else asks this platform")] = None,
    keys: Annotated[Path | None, typer.Option(help="answer of GET /log/keys; else this platform's own")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Check receipts, and whether the log kept its word. With --proof and --keys it needs no platform: keep the keys
    from a time when you trusted them. Ends with 0: kept; 3: there is time left; 1: broken, or not a receipt."""
    from ledger import verify_receipt  # noqa: PLC0415

    receipts = _receipts(file)
    key, verifier = _keys(keys, home)
    given = _json(proof, "a proof") if proof else None
    rows: list[dict[str, Any]] = []
    worst = 0
    mark = {True: "yes", False: "NO", None: "not yet"}
    for number, receipt in enumerate(receipts, 1):
        found = given if given is not None else None if keys else _proof_of(receipt, home)
        steps = verify_receipt(receipt, key, int(time.time() * 1000), found, verifier)
        rows += [{"receipt": number, "step": s.name, "holds": mark[s.ok], "detail": s.detail} for s in steps]
        said = {s.name: s.ok for s in steps}
        result = 1 if False in said.values() else 3 if said.get("promise") is None else 0
        worst = max(worst, result, key=[0, 3, 1].index)
    show(rows, as_json, file.name)
    if not as_json:
        ends = {0: "Kept: it is in the log.", 3: "Nothing is overdue yet.",
                1: "Something does NOT hold: keep this file, it may be evidence."}  # fmt: skip
        OUT.print(ends[worst])
    raise typer.Exit(worst)


def _json(path: Path, what: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > 1 << 24:
            raise ReceiptFileError(f"{path} has over 16 MiB: {what} is never so long")
        found = json.loads(path.read_text())
    except ReceiptFileError:
        raise
    except ValueError:
        raise ReceiptFileError(f"{path} is not {what} as JSON") from None
    if not isinstance(found, dict):
        raise ReceiptFileError(f"{path} is not {what}: a JSON object is expected")
    return found


def _receipts(path: Path) -> list[bytes]:
    found = _json(path, "a file of receipts")
    try:
        listed = found.get("receipts", [found])
        given = [b64decode(one["receipt"], validate=True) for one in listed]
    except (KeyError, TypeError, ValueError):
        raise ReceiptFileError(f"{path} holds no receipt in base64 under `receipt`") from None
    if not given:
        raise ReceiptFileError(f"{path} is empty: the command that wrote it changed nothing, so nothing was promised")
    return given


def _keys(path: Path | None, home: Path | None) -> tuple[Any, str]:
    from ledger import PublicKey  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    if path is None:
        full = settings(home=home)
        return wiring.promiser(full).pair.key, wiring.ledger(full).verifier
    found = _json(path, "the answer of GET /log/keys")
    try:
        key = PublicKey(bytes.fromhex(found["receipts"]["public"]))
        return key, str(found["checkpoints"]["verifier"])
    except (KeyError, TypeError, ValueError):
        raise ReceiptFileError(f"{path} is not the answer of GET /log/keys") from None


def _proof_of(receipt: bytes, home: Path | None) -> dict[str, Any] | None:
    """What this platform itself can prove of a receipt's record now."""
    from ledger import NotProvable, ReceiptError, number_of_leaf, prove, read_receipt  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    try:
        with wiring.database(full) as conn:
            idx = number_of_leaf(conn, read_receipt(receipt).leaf)
            return None if idx is None else prove(conn, wiring.ledger(full).tiles, idx, which="head")
    except (NotProvable, ReceiptError):
        return None
