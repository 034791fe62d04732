"""What the instance says of itself: city, summary, events, metrics, health."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from defects import store as defects_store
from defects import turn
from grid import BLOCK, Zone, column_row, unproject
from ingest import store as ingest_store
from ledger import anchor_count, newest_anchor, record_count

from .. import roads
from ..metrics import exposition
from ..probes import ask_all

router = APIRouter()


@router.get("/api/v1/city")
def city(request: Request) -> dict[str, Any]:
    """Which city this is, what its data are, and how its roads are: `roads` has totals, by_class, by_district."""
    site = request.app.state.site
    c = site.city
    with site.pool.connection() as conn:
        whole = roads.roll_up(conn, c.service_day(time.time()))
    return {
        "name": c.name, "name_zh": c.name_zh, "banner": c.banner, "centre": list(c.centre_deg), "utm_zone": c.utm_zone,
        "utm_north": c.utm_north, "region_code": c.region_code, "origins": list(c.origins), "frame": c.frame,
        "version": "1", "roads": whole,
    }  # fmt: skip


@router.get("/api/v1/summary")
def summary(request: Request) -> dict[str, Any]:
    """Counts of the whole instance; grey squares are those of measured blocks that nothing is known of."""
    site = request.app.state.site
    with site.pool.connection() as conn:
        fine, coarse = defects_store.colour_counts(conn)
        blocks = defects_store.all_code_blocks(conn)
        tallies = ingest_store.tallies(conn)
        phone_chunks, refused = turn.counts_at_turn(conn)
        anchor = newest_anchor(conn)
        answer = {
            "cells": fine,
            "area_m2": fine,
            "coarse": coarse,
            "cases": defects_store.case_count(conn),
            "records": record_count(conn),
            "anchored": anchor.size if anchor else 0,
            "anchors": anchor_count(conn),
            "anchored_at": None if anchor is None or anchor.block_time is None else _iso(anchor.block_time),
            # What phones sent is counted as of the turn of the day: a count that moves says that somebody drives.
            "chunks": phone_chunks + sum(n for name, k, n in tallies if name == "accepted" and k != "phone"),
            "refused": refused,
        }
    answer["bbox"] = box_of(blocks, Zone(site.city.utm_zone, site.city.utm_north))
    return answer


def _iso(t_s: int) -> str:
    return datetime.fromtimestamp(t_s, UTC).isoformat()


def box_of(blocks: list[int], zone: Zone) -> list[float] | None:
    """West, south, east, north of all blocks of the finest level among them; None where there is none."""
    finest = min((b >> 51 for b in blocks), default=0)
    blocks = [b for b in blocks if b >> 51 == finest]
    if not blocks:
        return None
    columns, rows = column_row(np.array(blocks))
    x = np.array([columns.min(), columns.max() + 1]) * float(BLOCK << 2 * finest)
    y = np.array([rows.min(), rows.max() + 1]) * float(BLOCK << 2 * finest)
    lon, lat = unproject([x[0], x[0], x[1], x[1]], [y[0], y[1], y[0], y[1]], zone)
    return [round(float(v), 7) for v in (lon.min(), lat.min(), lon.max(), lat.max())]


@router.get("/events")
async def events(request: Request) -> StreamingResponse:
    """Changed codes as server-sent events: `codes` with the box that changed."""
    site = request.app.state.site
    admission = getattr(request.state, "admission", None)
    guest = site.gate.guest(admission) if admission else None
    site.board.admit(guest)
    return StreamingResponse(
        site.board.read(guest),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Counts for Prometheus."""
    site = request.app.state.site
    with site.pool.connection() as conn:
        body = exposition(conn, site.oversize())
    return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/healthz")
async def health(request: Request) -> JSONResponse:
    """ok, or degraded and which part says what. Pumps are told as long as the database is there to ask."""
    said = await ask_all(request.app.state.probes)
    if said.pop("pumps") == "ok":
        said |= request.app.state.beats
    well = all(v == "ok" for v in said.values())
    return JSONResponse({"status": "ok" if well else "degraded", "parts": said}, status_code=200 if well else 503)
