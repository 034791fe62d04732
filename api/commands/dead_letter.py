"""`roadcode dead-letter`: what was refused, why, and how to try it again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .printing import ERR, OUT, Json, settings, show

app = typer.Typer(help="Refused payloads: list them, look at them, work them again.", no_args_is_help=True)
_Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]
_Hash = Annotated[str, typer.Argument(help="SHA-256 of the payload, or how it begins", metavar="HASH")]
_Device = Annotated[str | None, typer.Option("--device", help="only of this device")]


@app.command("list")
def list_letters(
    device: _Device = None,
    reason: Annotated[str | None, typer.Option(help="only for this reason, as in the verdict")] = None,
    sha256: Annotated[str, typer.Option("--hash", help="only those whose SHA-256 begins so")] = "",
    most: Annotated[int, typer.Option(help="how many at the most, the newest", min=1)] = 100,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """What was refused, newest first. `kept` says whether the payload is there to look at and to retry."""
    from ingest import letters  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415  (as everywhere here: `--help` needs no services)

    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        found = letters.found(conn, device, reason, sha256, most)
    show([_row(letter, whole=as_json) for letter in found], as_json, f"{len(found)} dead letters")


@app.command("show")
def show_letter(
    sha256: _Hash,
    device: _Device = None,
    out: Annotated[Path | None, typer.Option(help="write the payload to this file")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """One refused payload: what is known of it, what to do, and its first bytes where it is kept."""
    from ingest import ADVICE, letters, peek  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        letter, payload = letters.one(conn, sha256, device)
    told = _row(letter, whole=True) | {"advice": {str(r): text for r, text in ADVICE.items()}.get(letter.reason)}
    if payload is not None:
        told |= {"begins": payload[:32].hex(" "), "reads as": str(peek(payload) or "no chunk")}
        if out is not None:
            out.write_bytes(payload)
            ERR.print(f"wrote {len(payload)} bytes to {out}", soft_wrap=True)
    elif out is not None:
        raise letters.NoSuchLetter("its payload is not kept: only those of boxes are, up to 64 KiB, a hundred a device")
    if as_json:
        OUT.print_json(json.dumps(told, ensure_ascii=False, default=str))
    else:
        show([{"what": k, "is": v} for k, v in told.items()], False)


@app.command()
def retry(
    hashes: Annotated[
        list[str] | None, typer.Argument(help="SHA-256 of payloads, or how they begin", metavar="[HASH]...")
    ] = None,
    device: _Device = None,
    reason: Annotated[str | None, typer.Option(help="without a hash: all that were refused for this reason")] = None,
    home: _Home = None,
    as_json: Json = False,
) -> None:
    """Work kept payloads again, as if they had just arrived, and print the new verdict. None counts twice. Ends with 1
    where one is refused again. The device is not told: it has given them up."""
    import time  # noqa: PLC0415

    from ingest import letters  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415
    from ..letters import retry as work_again  # noqa: PLC0415

    if not hashes and reason is None and device is None:
        raise typer.BadParameter("give a hash, or --reason or --device: nothing is retried unasked")
    full = wiring.resolved(settings(home=home))
    rows: list[dict[str, Any]] = []
    with wiring.database(full) as conn, contextlib.ExitStack() as held:
        worker = held.enter_context(contextlib.closing(wiring.worker(full, time.time)))
        wanted = [(h, device) for h in hashes or []]
        if not hashes:
            found = letters.found(conn, device, reason, most=10_000)
            wanted = [(letter.sha256.hex(), letter.device) for letter in found if letter.sample]
            ERR.print(f"{len(wanted)} of {len(found)} letters have their payload")
        for n, (sha256, of) in enumerate(wanted, 1):
            done = work_again(conn, worker, sha256, of)
            rows.append({"device": done.device, "hash": done.sha256 if as_json else done.sha256[:16],
                         "accepted": done.accepted, "reason": done.reason}
                        | ({"verdict": done.verdict} if as_json else {}))  # fmt: skip
            if n % 100 == 0:
                ERR.print(f"{n} of {len(wanted)} worked again")
    show(rows, as_json, f"{len(rows)} worked again")
    raise typer.Exit(0 if all(row["accepted"] for row in rows) else 1)


def _row(letter: Any, whole: bool) -> dict[str, Any]:
    hashed = letter.sha256.hex()
    return {
        "device": letter.device, "kind": letter.kind, "hash": hashed if whole else hashed[:16],
        "reason": letter.reason, "detail": letter.detail, "trip": letter.trip, "seq": letter.seq,
        "bytes": letter.bytes, "first": letter.first_at.isoformat(timespec="seconds"), "times": letter.times,
        "kept": letter.sample,
    }  # fmt: skip
