"""`roadcode verify`: does what is shown, or printed, hold?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from .printing import OUT, Json, show
from .printing import settings as given

EXAMPLES = """roadcode verify 4538783999459390\n
roadcode verify --certificate code.png --trust list.cose --trust-key 5f0c...\n
roadcode verify --certificate 'RHC1:...' --trust list.cose
"""
_MARK = {True: "yes", False: "NO", None: "not yet"}


def verify(
    cell: Annotated[int | None, typer.Argument(help="the square's number, as the map shows it")] = None,
    certificate: Annotated[
        str | None,
        typer.Option(help="a road certificate instead: its text (RHC1:...), a file that holds it, or a picture of it"),
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(help="signed trust list (GET /api/v1/trust-list); with --certificate")
    ] = None,
    trust_key: Annotated[
        str | None, typer.Option(help="its publisher's key: 64 hex digits, or a file of them; else FILE.key beside it")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Check a square's code against record, log and chain; or a road certificate against a trust list, offline."""
    if (cell is None) == (certificate is None):
        raise typer.BadParameter("give the number of a square, or --certificate")
    if certificate is not None:
        if trust is None:
            raise typer.BadParameter("a certificate is checked with --trust: a list from a district or a hub")
        _certificate(certificate, trust, trust_key, as_json)
    assert cell is not None  # noqa: S101  (said to the type checker: a certificate has ended the command)
    _square(cell, home, as_json)


def _square(cell: int, home: Path | None, as_json: bool) -> None:
    from .. import backing, story, wiring  # noqa: PLC0415

    full = wiring.resolved(given(home=home))
    with wiring.database(full) as conn:
        known = wiring.ledger(full)
        steps, _ = story.verify(conn, cell, known)
    show([{"step": s.name, "holds": _MARK[s.ok], "detail": s.detail} for s in steps], as_json, f"square {cell}")
    status = story.status_of(steps)
    if not as_json:
        OUT.print({"anchored": "Every step holds.", "pending": "What there is holds; some steps are still to come."}
                   .get(status, "A step does NOT hold: what is shown is not what was recorded."))  # fmt: skip
        for text in backing.trust_words(backing.trust_of(steps, known)):
            OUT.print(text, highlight=False)
    raise typer.Exit({"anchored": 0, "pending": 3}.get(status, 1))


def _certificate(given_text: str, trust: Path, trust_key: str | None, as_json: bool) -> None:
    """Without settings, database or network."""
    from ledger import verify_certificate  # noqa: PLC0415

    from ..certificate_file import certificate_text, trust_file  # noqa: PLC0415
    from ..certificate_words import describe, moment, origin_words, place_of, words_of  # noqa: PLC0415

    believed = trust_file(trust, trust_key)
    now_s = time.time()
    verdict = verify_certificate(certificate_text(given_text), believed, int(now_s))
    said = verdict.certificate
    age_h = (now_s - believed.issued_s) / 3600
    if as_json:
        body = {
            "ok": verdict.ok,
            "steps": [{"step": s.name, "holds": s.ok, "detail": s.detail} for s in verdict.steps],
            "says": None if said is None else describe(said),
            "trust_list": {"number": believed.number, "publisher": believed.publisher, "age_h": round(age_h, 1)},
        }
        print(json.dumps(body, ensure_ascii=False, indent=1))
        raise typer.Exit(0 if verdict.ok else 1)
    mark = {True: "yes", False: "NO", None: "not looked at"}
    show([{"step": s.name, "holds": mark[s.ok], "detail": s.detail} for s in verdict.steps], False)
    OUT.print(f"Trust list {believed.number} of {believed.publisher}, {age_h:.0f} h old.", highlight=False)
    if not verdict.ok or said is None:
        OUT.print("It does NOT hold: do not believe what it says.")
        raise typer.Exit(1)
    lon, lat = said.position
    zh, en = words_of(said)
    for line in (
        f"{zh}\n{en}", f"at {place_of(said)}, {lat:.6f} {lon:.6f}: compare with where you stand",
        f"until {moment(said.expires_s)}; data: {' '.join(origin_words(said))}",
    ):  # fmt: skip
        OUT.print(line, highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(0)
