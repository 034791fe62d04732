"""A certificate and a trust list from files: for checking offline, without settings or database."""

from __future__ import annotations

from pathlib import Path

from ledger import PublicKey, TrustList, UnknownAlgorithm, read_trust_list

MOST_BYTES = 8 << 20
"""Of a picture or a list. A photo of a phone has 3 to 6 MB."""
MOST_PIXELS = 40_000_000
"""A small file can say that it is a picture of a gigabyte."""


class NotReadable(ValueError):
    """A file does not hold what it was given for; the text says what to do."""


def certificate_text(given: str) -> str:
    """The text of a certificate from what was given: itself, a file that holds it, or a picture of its QR code. Raises
    NotReadable, OSError."""
    if given.startswith("RHC1:"):
        return given
    data = _bytes_of(Path(given))
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        return text_in_picture(data)
    return text


def text_in_picture(data: bytes) -> str:
    """The text of the first QR code of a picture that begins as certificates do. Raises NotReadable."""
    try:
        import zxingcpp  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    except ImportError:
        raise NotReadable(
            "pictures are read by the package zxing-cpp, which is not installed: install it, read the code with a "
            "phone, or give the text itself, which begins with RHC1:"
        ) from None
    import io  # noqa: PLC0415
    import warnings  # noqa: PLC0415

    from PIL import Image  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
            if picture.width * picture.height > MOST_PIXELS:
                raise NotReadable(f"the picture has more than {MOST_PIXELS:,} pixels: make it smaller")
            found = zxingcpp.read_barcodes(picture.convert("L"))
    except (OSError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise NotReadable(f"not a picture that can be read (PNG, JPEG, WebP): {type(error).__name__}") from None
    for one in found:
        if one.text.startswith("RHC1:"):
            return str(one.text)
    raise NotReadable("no road certificate was found in the picture: take it straight, with the whole code on it")


def trust_file(path: Path, key: str | None) -> TrustList:
    """A signed trust list, checked with its publisher's key: 64 hex digits, or a file that holds them; without one, the
    file beside the list that ends in `.key`. Raises NotReadable, TrustListError, OSError."""
    if key is None:
        beside = path.with_name(path.name + ".key")
        if not beside.exists():
            raise NotReadable(
                f"the publisher's key is needed to believe {path.name}: give --trust-key, or put its 64 hex digits "
                f"into {beside.name}; ask for it by another way than the list came"
            )
        key = str(beside)
    said = key if len(key) == 64 else _bytes_of(Path(key)).decode("ascii", "replace").strip()
    try:
        public = PublicKey(bytes.fromhex(said))
    except (ValueError, UnknownAlgorithm):
        raise NotReadable("a publisher's key is 64 hex digits (32 bytes of Ed25519), or a file of them") from None
    return read_trust_list(_bytes_of(path), public)


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NotReadable(f"{path} has more than {MOST_BYTES >> 20} MB")
    return data
