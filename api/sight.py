"""Which squares a department's certificate shows: those in its districts, and, where it names kinds of defects, those
that such a defect colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import psycopg
from fastapi import Request
from numpy.typing import NDArray

from defects import ALL_TYPES, Codes, Colour, unknown_codes
from defects import store as defects_store
from grid import blocks_of, index_in_block, is_cell
from grid import store as grid_store
from ledger import department

Connection = psycopg.Connection[Any]
Certificate = department.Certificate
_TOLD = (int(Colour.YELLOW), int(Colour.RED))


class OutsideCertificate(LookupError):
    """What was asked for is not what the certificate shows; nothing is said of whether it is there."""

    def __init__(self) -> None:
        super().__init__("this lies outside the districts or the kinds of defects of your certificate, or is nowhere: "
                         "`roadcode department show` says what it covers")  # fmt: skip


def certificate_of(request: Request) -> Certificate | None:
    """By whose certificate a request came in; None for the operator, and for everybody where no token is asked for."""
    admission: department.Admission | None = getattr(request.state, "admission", None)
    return None if admission is None else admission.certificate


def limits_of(request: Request) -> Certificate | None:
    """The same, where it is limited to an area or to kinds."""
    certificate = certificate_of(request)
    return certificate if certificate is not None and certificate.limited else None


def kind_numbers(certificate: Certificate) -> list[int] | None:
    """Numbers of the types of defects that a certificate names; None for all."""
    if certificate.kinds is None:
        return None
    return [t.number for t in ALL_TYPES if t.key in certificate.kinds]


def seen(
    conn: Connection, certificate: Certificate | None, blocks: Mapping[int, Codes]
) -> dict[int, NDArray[np.bool_]]:
    """Which squares of blocks a certificate shows, bool (1024,); blocks of which it shows none are left out."""
    if certificate is None or not certificate.limited:
        return {block: np.ones(len(codes), np.bool_) for block, codes in blocks.items()}
    found = {block: np.ones(len(codes), np.bool_) for block, codes in blocks.items()}
    if certificate.area is not None:
        found = grid_store.within_districts(conn, blocks, certificate.area)
    kinds = kind_numbers(certificate)
    if kinds is not None:
        found = {
            block: there & np.isin(blocks[block]["kind"], kinds) & np.isin(blocks[block]["colour"], _TOLD)
            for block, there in found.items()
        }
    return {block: there for block, there in found.items() if there.any()}


def masked(conn: Connection, certificate: Certificate | None, blocks: Mapping[int, Codes]) -> dict[int, Codes]:
    """Codes with everything unknown that a certificate does not show."""
    if certificate is None or not certificate.limited:
        return dict(blocks)
    nothing = unknown_codes()
    return {block: np.where(there, blocks[block], nothing) for block, there in seen(conn, certificate, blocks).items()}


def check_cell(conn: Connection, certificate: Certificate | None, cell: int) -> None:
    """Raises OutsideCertificate where a certificate does not show a square."""
    if certificate is None or not certificate.limited:
        return
    block = int(blocks_of(cell)) if is_cell(cell) else 0
    found = {b: codes for b, (_, codes) in defects_store.codes_of(conn, [block]).items()} if is_cell(cell) else {}
    there = seen(conn, certificate, found).get(block)
    if there is None or not there[int(index_in_block(cell))]:
        raise OutsideCertificate


def in_area(conn: Connection, certificate: Certificate, cells: Iterable[int]) -> set[int]:
    """Those of some squares that lie in a certificate's districts, whatever is known of them."""
    cells = list(cells)
    if certificate.area is None:
        return set(cells)
    within = grid_store.within_districts(conn, [int(blocks_of(c)) for c in cells], certificate.area)
    return {c for c in cells if (m := within.get(int(blocks_of(c)))) is not None and m[int(index_in_block(c))]}


def check_district(certificate: Certificate | None, district: str) -> None:
    """Raises OutsideCertificate where a certificate does not show a district."""
    if certificate is not None and certificate.area is not None and district not in certificate.area:
        raise OutsideCertificate


def of_districts(certificate: Certificate | None, sections: Sequence[Any]) -> list[Any]:
    """Those sections that a certificate shows."""
    area = None if certificate is None else certificate.area
    return [s for s in sections if area is None or s.district in area]
