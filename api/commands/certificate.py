"""`roadcode certificate`: a square's or a section's health code, signed, as a QR code."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from .printing import OUT, Json, show
from .printing import settings as given

app = typer.Typer(help="Sign what is shown of a place, for a QR code that anybody can check.", no_args_is_help=True)

EXAMPLES = """roadcode certificate issue 4538783999459390 --png hole.png\n
roadcode certificate issue --section 4711 --sheet street.html
"""


@app.callback()
def _group() -> None:
    """More than one command to come: `issue` keeps its name."""


@app.command(epilog=EXAMPLES)
def issue(
    cell: Annotated[int | None, typer.Argument(help="the square's number, as the map shows it")] = None,
    section: Annotated[int | None, typer.Option(help="a road section instead, by its number")] = None,
    png: Annotated[Path | None, typer.Option(help="write the QR code there, as PNG")] = None,
    svg: Annotated[Path | None, typer.Option(help="write the QR code there, as SVG")] = None,
    sheet: Annotated[Path | None, typer.Option(help="write a page to print there, as HTML")] = None,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Issue a road certificate, which holds until the end of the service day, with the district's key."""
    from ledger import issue_certificate, qr_facts, qr_png, qr_svg, read_certificate  # noqa: PLC0415

    from .. import certificate_sheet, certificates, wiring  # noqa: PLC0415
    from ..certificate_words import describe, moment, words_of  # noqa: PLC0415

    if (cell is None) == (section is None):
        raise typer.BadParameter("give the number of a square, or --section")
    full = wiring.resolved(given(home=home))
    city = full.read_city()
    now_s = int(time.time())
    pair = wiring.district_keys(full).current(now_s)
    with wiring.database(full) as conn:
        if cell is not None:
            made = certificates.of_square(conn, cell, city, now_s)
        else:
            assert section is not None  # noqa: S101  (said to the type checker)
            made = certificates.of_section(conn, section, city, now_s)
    text = issue_certificate(made, pair)
    said = read_certificate(text)[1]
    if png:
        png.write_bytes(qr_png(text))
    if svg:
        svg.write_text(qr_svg(text), encoding="utf-8")
    if sheet:
        sheet.write_text(certificate_sheet.sheet(said, text, city.name, city.name_zh), encoding="utf-8")
    facts = qr_facts(text)
    if as_json:
        qr = {"version": facts.version, "modules": facts.modules, "characters": facts.characters}
        print(json.dumps({"text": text, **describe(said), "qr": qr}, ensure_ascii=False, indent=1))
        return
    zh, en = words_of(said)
    show([{"says": f"{zh} / {en}", "until": moment(said.expires_s), "QR": f"version {facts.version}-Q",
           "written": ", ".join(str(p) for p in (png, svg, sheet) if p)}], False, city.banner)  # fmt: skip
    OUT.print(text, highlight=False, soft_wrap=True, markup=False)


def errors() -> tuple[type[BaseException], ...]:
    """What says itself what to do, of issuing and of checking."""
    from ledger import CertificateError  # noqa: PLC0415

    from ..certificate_file import NotReadable  # noqa: PLC0415
    from ..routes.sections import NoSuchSection  # noqa: PLC0415

    return CertificateError, NotReadable, NoSuchSection
