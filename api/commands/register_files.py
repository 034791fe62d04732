"""Files of the commands for registers: what is read, and the receipts that are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer


def bytes_of(file: Path) -> tuple[bytes, bool]:
    """The text of a file as GeoJSON or CSV, and whether it is CSV. Other formats go through geopandas."""
    from defects import register_text  # noqa: PLC0415
    from grid import check_kind  # noqa: PLC0415

    if file.suffix.lower() in (".json", ".geojson", ".csv", ".txt"):
        if file.stat().st_size > register_text.MOST_BYTES:
            raise typer.BadParameter(f"{file} has over {register_text.MOST_BYTES >> 20} MiB: split it")
        return file.read_bytes(), file.suffix.lower() in (".csv", ".txt")
    try:
        import geopandas  # noqa: PLC0415
    except ImportError:
        raise typer.BadParameter(f"{file.suffix} files need `make roads` once; GeoJSON and CSV do not") from None
    try:
        check_kind(file)
        frame = geopandas.read_file(file)
        if frame.crs is None:
            raise typer.BadParameter(f"{file} does not say its reference system: write it again with one")
        # CGCS2000 stays as it is: a null transform would hide the way of the plate.
        frame = frame if frame.crs.to_epsg() in (4326, 4490) else frame.to_crs(4326)
        return frame.to_json(drop_id=True, to_wgs84=False).encode(), False
    except (ValueError, RuntimeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from None


@contextmanager
def promised(full: Any, now_s: float, receipt: Path | None) -> Iterator[Callable[..., None]]:
    """What takes the records of a change; where a receipt is asked for, it is in its file once they are committed."""
    from ledger import enqueue  # noqa: PLC0415  (as everywhere here: `--help` needs no services)

    from .. import wiring  # noqa: PLC0415
    from ..promised import Promised  # noqa: PLC0415

    if receipt is None:
        yield enqueue
        return
    say = Promised(wiring.promiser(full), int(now_s * 1000))
    yield say
    say.write(receipt)
