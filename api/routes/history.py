"""How a square's code came to be what it is."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request

from ..history import tell
from ..sight import check_cell, limits_of

router = APIRouter(prefix="/api/v1")


@router.get("/cells/{cell}/history")
def history(request: Request, cell: int) -> dict[str, Any]:
    """Every change of a square's code, newest first, with the passes that moved it; and what the registers say."""
    site = request.app.state.site
    with site.pool.connection() as conn:
        check_cell(conn, limits_of(request), cell)
        return tell(conn, cell, site.city, site.options, site.health, site.city.service_day(time.time()))
