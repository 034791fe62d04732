"""A certificate as a QR code: PNG to show, SVG to print."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

ERROR_LEVEL: Final = "q"
"""A quarter of the code may be lost. With M a quarter fewer dots, and a scratch or a sticker's fold ends it; with H a
third more, and a phone has to come closer."""
QUIET: Final = 4
"""Modules of white around it, which ISO/IEC 18004 asks for. With fewer, readers miss codes on a dark ground."""


@dataclass(frozen=True)
class QrFacts:
    """version: 1 to 40. modules: dots along a side without the white around. characters: of the text."""

    version: int
    modules: int
    characters: int


def _made(text: str) -> Any:
    import segno  # noqa: PLC0415  (the door of this room must not wait for it)

    # Stated, not guessed: a text that does not fit alphanumeric mode is no certificate.
    return segno.make_qr(text, error=ERROR_LEVEL, mode="alphanumeric", boost_error=False)


def qr_facts(text: str) -> QrFacts:
    """How large the code of a text is."""
    made = _made(text)
    return QrFacts(int(made.version), int(made.symbol_size(border=0)[0]), len(text))


def qr_png(text: str, scale: int = 8) -> bytes:
    """The code as PNG, `scale` pixels a dot."""
    out = BytesIO()
    _made(text).save(out, kind="png", scale=scale, border=QUIET)
    return out.getvalue()


def qr_svg(text: str) -> str:
    """The code as an SVG image that takes any size, its white ground included."""
    out = BytesIO()
    _made(text).save(out, kind="svg", border=QUIET, light="#fff", xmldecl=False, omitsize=True)
    return out.getvalue().decode()
