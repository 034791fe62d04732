"""A photo is drawn anew: nothing but pixels passes, and no small file makes us do much."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from api import photos
from api.photos import BadPhoto, redrawn

PLACE = b"30.2790N120.1655E"


def jpeg(size: tuple[int, int] = (640, 480), **more: object) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "JPEG", **more)
    return out.getvalue()


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F] = "Maker of phones"
    tags[0x010E] = PLACE.decode()
    tags[0x0112] = 6  # lies on its side
    tags.get_ifd(0x8825)[1] = "N"
    tags.get_ifd(0x8825)[2] = (30.0, 16.0, 44.4)
    return tags


def test_place_maker_comment_and_profile_go_and_the_picture_stands_upright() -> None:
    data = jpeg(exif=exif(), comment=PLACE, icc_profile=b"profile of a phone")
    assert data.count(PLACE) == 2
    assert b"Exif" in data
    drawn = redrawn(data)
    for gone in (PLACE, b"Exif", b"Maker", b"profile"):
        assert gone not in drawn
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.size == (480, 640)
        assert dict(image.getexif()) == {}
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_what_is_hidden_behind_the_picture_does_not_pass() -> None:
    page = b"<script>alert(1)</script>"
    archive = b"PK\x03\x04" + page
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", page.decode())
    out = io.BytesIO()
    Image.new("RGBA", (40, 30), (10, 200, 30, 0)).save(out, "PNG", pnginfo=text)
    for data in (jpeg() + archive, out.getvalue() + archive, jpeg(comment=page)):
        drawn = redrawn(data)
        assert page not in drawn
        assert b"PK\x03\x04" not in drawn
        assert drawn[:3] == b"\xff\xd8\xff"
        assert drawn[-2:] == b"\xff\xd9"


def test_a_large_photo_is_made_smaller() -> None:
    with Image.open(io.BytesIO(redrawn(jpeg((4000, 3000))))) as image:
        assert image.size == (1600, 1200)


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it is huge."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "GIF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "JPEG or PNG"), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "JPEG or PNG"), (gif(), "JPEG or PNG"),
        (bomb(60_000, 60_000), "JPEG or PNG"), (bomb(6_000, 6_000), "million pixels"), (bomb(500, 500), "to its end"),
        (jpeg()[:2000], "to its end"), (jpeg((8, 8)), "too small"),
        (jpeg() + bytes(photos.MOST_BYTES), "at most 4 MB"),
    ],
)  # fmt: skip
def test_what_is_no_photo_is_told_so(data: bytes, why: str) -> None:
    with pytest.raises(BadPhoto, match=why):
        redrawn(data)


def test_size_is_asked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile  # noqa: PLC0415

    def decoded(*_: object) -> None:
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    with pytest.raises(BadPhoto, match="million pixels"):
        redrawn(bomb(6_000, 6_000))
