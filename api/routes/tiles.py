"""Map tiles: bytes of codes, deflated; the browser paints them."""

from __future__ import annotations

import zlib

from fastapi import APIRouter, Request, Response

from defects import store as defects_store
from grid import Zone

from ..sight import limits_of, masked
from ..tiles import blocks_needed, paint, parse_address

router = APIRouter()


@router.get("/tiles/{z}/{x}/{y}")
def tile(request: Request, z: str, x: str, y: str) -> Response:
    """256 x 256 bytes, one a pixel (api/tiles.py says what they mean); 204 where nothing was measured."""
    site = request.app.state.site
    zoom, column, row = parse_address(z, x, y)
    zone = Zone(site.city.utm_zone, site.city.utm_north)
    needed = blocks_needed(zoom, column, row, zone)
    with site.pool.connection() as conn:
        blocks = {block: codes for block, (_, codes) in defects_store.codes_of(conn, needed).items()}
        blocks = masked(conn, limits_of(request), blocks)
    if not blocks:
        return Response(status_code=204)
    body = zlib.compress(paint(zoom, column, row, zone, blocks), 1)
    return Response(body, media_type="application/octet-stream", headers={"Content-Encoding": "deflate"})
