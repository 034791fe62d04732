"""A photo is drawn anew from its pixels before it is kept. What a phone writes beside them (place, time, owner, maker)
and what somebody may have hidden behind them is left out that way, whatever it is. Faces and number plates are not
looked for and stay in the picture."""

from __future__ import annotations

import io
import warnings
from typing import Final

MOST_BYTES: Final = 4 << 20
"""The page makes photos smaller before it sends them, to some 300 kB; other clients may send what a phone stores."""
MOST_PIXELS: Final = 25_000_000
"""Asked before a pixel is decoded. 12 million are usual; a file of 4 MB can say that it holds a thousand times as many,
and decoding takes some 4 bytes each."""
SIDE: Final = 1600
"""Longest side of what is kept: a hole of 20 cm two metres away is then some 150 pixels wide."""
_QUALITY: Final = 82


class BadPhoto(ValueError):
    """Bytes that are no photo we take; the text says what to send."""


def redrawn(data: bytes) -> bytes:
    """The picture in ``data`` (JPEG or PNG) as a new JPEG of at most 1600 pixels a side, upright, with no word of
    metadata. Total: any other bytes raise BadPhoto."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415  (slow, and only this needs it)

    if len(data) > MOST_BYTES:
        raise BadPhoto(f"a photo has at most {MOST_BYTES >> 20} MB: send it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise BadPhoto(f"a photo has at most {MOST_PIXELS // 1_000_000} million pixels: send it smaller")
                if min(width, height) < 16:
                    raise BadPhoto("this picture is too small to show anything")
                image.draft("RGB", (SIDE, SIDE))  # a JPEG decoder leaves out what is not asked for
                upright = ImageOps.exif_transpose(image).convert("RGB")
                upright.thumbnail((SIDE, SIDE))
                # Pixels alone go into the new picture: a copy would carry the old one's comments and profile along.
                plain = Image.frombytes("RGB", upright.size, upright.tobytes())
    except BadPhoto:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPhoto("send a JPEG or PNG of ordinary size") from None
    except Exception:
        raise BadPhoto("the picture cannot be read to its end: take it again, or send another") from None
    out = io.BytesIO()
    plain.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
