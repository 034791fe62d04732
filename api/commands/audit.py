"""`roadcode audit`: everything behind a code in one file, its check without the platform, and a chunk's way back."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ledger import (
    MOST_DOCUMENT,
    Chain,
    NotProvable,
    Step,
    parse_policy,
    read_document,
    verify_document,
    verify_proof,
)

from .printing import ERR, OUT, Json, plain, show
from .printing import settings as given

app = typer.Typer(
    help="The auditor's way: from a code to the chunks, log, witnesses and chain behind it, offline; and from a chunk "
    "to what it caused.",
    no_args_is_help=True,
)

EXAMPLES = """
An auditor's morning:

    roadcode audit export 110433402193942 --to square.road-proof.json     (where the platform runs)

    roadcode audit check square.road-proof.json --key log.pub             (anywhere, offline)

The key (the file log.pub, or its text) must come from the operator by another way than the file: on paper, by phone.
"""
Home = Annotated[Path | None, typer.Option(help="the data folder")]
MARK = {True: "yes", False: "NO", None: "not asked"}


class BadFile(ValueError):
    """A file that an auditor was given cannot be used; the text says why."""


def errors() -> tuple[type[BaseException], ...]:
    """The errors of these commands that say themselves what to do."""
    from ..audit import NotTraced  # noqa: PLC0415

    return BadFile, NotTraced, NotProvable


@app.command("export", epilog=EXAMPLES)
def export(
    cell: Annotated[int, typer.Argument(help="the square's number, as the map shows it")],
    to: Annotated[Path, typer.Option(help="the file to write")] = Path("square.road-proof.json"),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write the road proof of a square: code, records, hashes of chunks, checkpoint, witnesses, anchor."""
    from .. import audit, wiring  # noqa: PLC0415

    full = wiring.resolved(given(home=home))
    document = audit.bundle(
        lambda: wiring.database(full), cell, full.read_city(), wiring.ledger(full), time.time()
    )
    to.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    chunks = sum(len(day["chunks"]) for day in document["days"])
    row = {"file": str(to), "bytes": to.stat().st_size, "days": len(document["days"]), "chunks": chunks}
    show([row], as_json, f"road proof of square {cell}")


@app.command("check", epilog=EXAMPLES)
def check(
    file: Annotated[Path, typer.Argument(help="a road proof or a chunk proof")],
    key: Annotated[str | None, typer.Option(help="the log's public key, its text or the file log.pub")] = None,
    policy: Annotated[Path | None, typer.Option(help="which witnesses count, and how many (a policy file)")] = None,
    rpc: Annotated[str | None, typer.Option(help="JSON-RPC of a chain node to ask for the anchor")] = None,
    contract: Annotated[str | None, typer.Option(help="address of the RoadLedger that is trusted; with --rpc")] = None,
    as_json: Json = False,
) -> None:
    """Check a proof offline, step by step: needs this file and what you trust, no platform, no database."""
    document = _read(file)
    trusted = key is not None
    if key is None:
        log = document.get("log")
        key = str(log.get("key", "")) if isinstance(log, dict) else ""
        ERR.print("[yellow]no --key was given: the file is checked against the key that it brings itself, so anybody "
                  "could have written it[/yellow]")  # fmt: skip
    elif "+" not in key or Path(key).is_file():
        key = _text(Path(key))
    with tempfile.TemporaryDirectory() as folder:
        chain = _chain(rpc, contract, Path(folder))
        steps = verify_document(document, lambda proof: check_proof(proof, key, policy, chain))
    if not trusted:
        steps.insert(0, Step("trust", None, "no key was given from outside the file"))
    show([{"step": s.name, "holds": MARK[s.ok], "detail": s.detail} for s in steps], as_json, str(file))
    if document.get("banner"):
        ERR.print(f"{escape(plain(str(document['banner'])[:80]))}: this is not a real road")
    broken, open_ = any(s.ok is False for s in steps), any(s.ok is None for s in steps)
    if not as_json:
        OUT.print("A step does NOT hold." if broken else "What was asked holds; see what was not asked." if open_
                  else "Every step holds.")  # fmt: skip
    raise typer.Exit(1 if broken else 3 if open_ else 0)


@app.command("trace")
def trace(
    what: Annotated[str, typer.Argument(help="a chunk's salted hash, the SHA-256 of its bytes, or a file")],
    day: Annotated[str | None, typer.Option(help="its service day, YYYY-MM-DD; without it all are searched")] = None,
    to: Annotated[Path | None, typer.Option(help="write the chunk proof here, for `audit check`")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """From a chunk to what it caused: blocks, records, changed squares, cases; and its way into the sealed day."""
    from .. import audit, wiring  # noqa: PLC0415

    full = wiring.resolved(given(home=home))
    document = audit.trace(
        lambda: wiring.database(full), read_hash(what), _day(day), full.read_city(), wiring.ledger(full)
    )
    if to is not None:
        to.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return
    sealed = "in the seal of its day" if document["seal"] else "its day is not sealed yet"
    OUT.print(f"chunk of {document['day']}, {sealed}; its bytes are {'kept' if document['kept'] else 'gone'}")
    show(
        [
            {"block": c["block"], "side": f"{32 * c['side_m']} m", "records": len(c["records"]),
             "changes": len(c["changes"]), "cases": ", ".join(map(str, c["cases"]))}
            for c in document["caused"]
        ],
        False, "what was said of the blocks that it passed, from its day on",
    )  # fmt: skip
    changes = [c for one in document["caused"] for c in one["changes"]]
    if changes:
        show([{"square": c["cell"], "at": c["at"], "from": c["before"].get("colour"), "to": c["after"].get("colour"),
               "why": c["why"]} for c in changes[:40]], False, f"{len(changes)} changes, the first 40")  # fmt: skip


def check_proof(proof: Any, key: str, policy: Path | None, chain: Chain | None) -> list[Step]:
    """One record's proof against what an auditor trusts."""
    return verify_proof(proof, key, chain, None if policy is None else parse_policy(policy.read_bytes()))


def read_hash(text: str) -> bytes:
    """A hash of 64 hex digits, or the SHA-256 of the file with this name. Raises BadFile."""
    if len(text) == 64:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    path = Path(text)
    if not path.is_file():
        raise BadFile(f"{text[:80]!r} is neither a hash of 64 hex digits nor a file")
    return hashlib.sha256(path.read_bytes()).digest()


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            return read_document(opened.read(MOST_DOCUMENT + 1))
    except (OSError, ValueError) as error:
        raise BadFile(f"{file}: {error}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{file} is not the log's public key ({type(error).__name__}): give log.pub") from None


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BadFile(f"{text!r} is not a day: write it as 2026-11-25") from None


def _chain(rpc: str | None, contract: str | None, folder: Path) -> Chain | None:
    if rpc is None:
        return None
    if contract is None:
        raise BadFile("--rpc asks a chain, --contract says which RoadLedger there is trusted: give both")
    (folder / "contract.json").write_text(json.dumps({"address": contract}))
    return Chain(rpc, folder)
