"""A made-up city of nine streets over HTTP: what the map page asks of sections, strips, squares and registers, in the
shapes in which the platform answers. The page's files and the painting of tiles are the real ones; only the answers are
made up, so that every kind of section, strip and flag stands on one screen."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

import api.app
from api.tiles import blocks_needed, paint
from defects import CODE, NO_KIND, Colour, State, unknown_codes
from grid import (
    Zone,
    blocks_of,
    cells_at,
    cells_of_block,
    corner_m,
    index_in_block,
    name_of,
    polygon_deg,
    project,
    unproject,
)

ZONE = Zone(51, True)
CENTRE = (120.1655, 30.2790)
LANE_M, STRIP_M, SECTION_M, APART_M = 4, 10, 100, 200
CLASSES = ("trunk", "secondary", "branch", "expressway")
NAMES = (
    ("Garden Road", "花园路"), ("Lake Street", "湖滨街"), ("Mill Lane", "磨坊巷"), ("Ring Road", "环城路"), ("", ""),
)  # fmt: skip
WORKS, EXPIRED, HARMLESS = 2, 4, 1


class FakeCity:
    """Streets on a grid around `CENTRE`, two lanes of 4 m each, in sections of 100 m. Their strips are made red,
    yellow, green and grey by number; squares follow their strips."""

    def __init__(self, *, roads: bool = True) -> None:
        self.roads = roads
        self.url = ""
        self.asked: list[str] = []
        self.blocks: dict[int, np.ndarray[Any, Any]] = {}
        self.sections: dict[int, dict[str, Any]] = {}
        self.strips: dict[int, list[dict[str, Any]]] = {}
        self.red_cell = 0
        self._queues: list[tuple[asyncio.AbstractEventLoop, asyncio.Queue[str]]] = []
        east, north = (round(float(v)) for v in project(*CENTRE, ZONE))
        number = 1000
        for street in range(5):
            for part in range(8):
                for along_east in (True, False):
                    number += 1
                    across, start = (street - 2) * APART_M, (part - 4) * SECTION_M
                    corner = (east + start, north + across) if along_east else (east + across, north + start)
                    self._build(number, street, along_east, corner)

    def _build(self, number: int, street: int, along_east: bool, corner: tuple[int, int]) -> None:
        mood = (number * 7 + street) % 6
        strips = []
        for lane in (1, 2):
            for index in range(SECTION_M // STRIP_M):
                strips.append(self._strip(mood, lane, index, along_east, corner))
        self.strips[number] = strips
        sums = {c: sum(f["properties"][f"{c}_m2"] for f in strips) for c in ("red", "yellow", "green")}
        cells = 2 * LANE_M * SECTION_M
        colour = "red" if sums["red"] else "yellow" if sums["yellow"] else "green" if sums["green"] > 300 else "grey"
        grey = 1 - sum(sums.values()) / cells
        name, name_zh = NAMES[street]
        seen = grey < 0.2
        x = np.array([corner[0], corner[0] + (SECTION_M if along_east else 0)])
        y = np.array([corner[1], corner[1] + (0 if along_east else SECTION_M)])
        lon, lat = unproject(x, y, ZONE)
        pci = 92.0 - 30 * (colour == "red") - 12 * (colour == "yellow")
        known = sums["green"] > 0
        self.sections[number] = {
            "type": "Feature", "id": number,
            "geometry": {"type": "LineString", "coordinates": np.stack([lon, lat], 1).round(7).tolist()},
            "properties": {
                "number": number, "name": name, "name_zh": name_zh, "road_class": CLASSES[street % 4], "colour": colour,
                **{f"{c}_m2": v for c, v in sums.items()}, "grey_share": round(grey, 4), "cells": cells,
                "last_pass_day": "2026-11-24" if known else None, "median_gap_days": 0.4 if known else None,
                "iri": 3.1 if known else None, "iri_low": 2.6 if known else None, "iri_high": 3.8 if known else None,
                "rqi": 3.93 if known else None, "pci_est": pci if known else None,
                "pci_low": pci - 18 if known else None, "pci_high": min(pci + 6, 100) if known else None,
                "pqi": 84.0 if seen else None, "grade": "B" if seen else None,
                "why_no_grade": None if seen else "camera_coverage",
                "trend": ("better", "worse", "steady", None)[number % 4], "cases": int(colour == "red"),
            },
        }  # fmt: skip

    def _strip(self, mood: int, lane: int, index: int, along_east: bool, corner: tuple[int, int]) -> dict[str, Any]:
        colour = "grey" if mood == 0 or (mood == 1 and lane == 2) else "green"
        if mood in (2, 3) and index % 4 == mood and lane == 1:
            colour = "red" if mood == 2 else "yellow"
        low = -LANE_M if lane == 1 else 0
        columns, rows = np.meshgrid(np.arange(STRIP_M), np.arange(LANE_M))
        along, beside = columns.ravel() + index * STRIP_M, rows.ravel() + low
        x = corner[0] + (along if along_east else beside) + 0.5
        y = corner[1] + (beside if along_east else along) + 0.5
        cells = cells_at(x, y, ZONE)
        wheels = beside - low != 1
        full = mood in (4, 5)
        codes = np.zeros(len(cells), dtype=CODE)
        codes["kind"] = NO_KIND
        passed = (colour != "grey") & (wheels | full)
        codes["colour"], codes["seen"] = np.where(passed, Colour.GREEN, Colour.GREY), np.where(passed, 0xFF, 0)
        if colour in ("red", "yellow"):
            bad = np.isin(along % 10, (4, 5)) & (beside - low == 2)
            codes["colour"][bad] = Colour.RED if colour == "red" else Colour.YELLOW
            codes["state"][bad] = np.where(along[bad] % 10 == 4, State.CONFIRMED, State.SUSPECTED)
            for field, value in (("kind", 9), ("severity", 140), ("sigma_dm", 6), ("size_mm", 45)):
                codes[field][bad] = value
            if colour == "red" and not self.red_cell:
                self.red_cell = int(cells[bad & (along % 10 == 4)][0])
        if (mood, lane) in ((4, 2), (5, 2)) and index == {4: 6, 5: 3}[mood]:
            codes["flags"], codes["colour"] = WORKS if mood == 4 else EXPIRED, Colour.GREY
        if mood == 4 and index == 2:
            codes["flags"] = HARMLESS
        counts = {c.name.lower(): int((codes["colour"] == c).sum()) for c in (Colour.RED, Colour.YELLOW, Colour.GREEN)}
        blocks = blocks_of(cells)
        for block in np.unique(blocks).tolist():
            here = blocks == block
            self.blocks.setdefault(block, unknown_codes().copy())[index_in_block(cells[here])] = codes[here]
        a, b = index * STRIP_M, (index + 1) * STRIP_M
        ring = [(a, low), (b, low), (b, low + LANE_M), (a, low + LANE_M), (a, low)]
        rx = np.array([corner[0] + (p if along_east else q) for p, q in ring])
        ry = np.array([corner[1] + (q if along_east else p) for p, q in ring])
        lon, lat = unproject(rx, ry, ZONE)
        properties = {
            "lane": lane, "index": index, "colour": colour, **{f"{c}_m2": n for c, n in counts.items()},
            "grey_share": round(1 - sum(counts.values()) / len(cells), 3), "iri": 3.0 if colour == "green" else None,
        }  # fmt: skip
        geometry = {"type": "Polygon", "coordinates": [np.stack([lon, lat], 1).round(7).tolist()]}
        return {"type": "Feature", "properties": properties, "geometry": geometry}

    @property
    def red_lonlat(self) -> tuple[float, float]:
        """The middle of `red_cell`."""
        return self.lonlat(self.red_cell)

    def lonlat(self, cell: int) -> tuple[float, float]:
        """The middle of a square."""
        x, y = corner_m(cell)
        lon, lat = unproject(x + 0.5, y + 0.5, ZONE)
        return float(lon), float(lat)

    def flagged(self, flag: int) -> int:
        """A square in the middle of a strip that has the flag."""
        found = [
            int(cell)
            for block, codes in sorted(self.blocks.items())
            for cell in cells_of_block(block)[codes["flags"] & flag > 0]
        ]
        return found[len(found) // 2]

    def section_of(self, colour: str) -> int:
        """The first section of a colour."""
        return next(n for n, f in self.sections.items() if f["properties"]["colour"] == colour)

    def change(self, bbox: list[float]) -> None:
        """Tells open pages that codes in a box changed."""
        for loop, queue in self._queues:
            loop.call_soon_threadsafe(queue.put_nowait, f'event: codes\ndata: {{"bbox": {bbox}}}\n\n')

    def in_box(self, bbox: str) -> list[dict[str, Any]]:
        """The sections whose line meets a box."""
        west, south, east, north = (float(v) for v in bbox.split(","))
        found = []
        for feature in self.sections.values() if self.roads else ():
            lon, lat = np.array(feature["geometry"]["coordinates"]).T
            if lon.max() >= west and lon.min() <= east and lat.max() >= south and lat.min() <= north:
                found.append(feature)
        return found

    def code(self, cell: int) -> Any:
        """The code of a square; None where there is none."""
        block = self.blocks.get(int(blocks_of(cell)))
        return None if block is None else block[int(index_in_block(cell))]

    def story(self, cell: int) -> dict[str, Any]:
        """A square as `/api/v1/cells/{id}` tells it."""
        code = self.code(cell)
        if code is None:
            raise HTTPException(404)
        return {
            "cell": cell, "name": name_of(cell), "side_m": 1, "polygon": polygon_deg(cell), **said(code),
            "kind": None if code["kind"] == NO_KIND else {"number": 9, "key": "pothole", "zh": "坑槽", "en": "pothole"},
            "seen": ["pothole"], "not_seen": ["rutting"], "of": 16, "passes": 12, "evidence": [], "case": None,
            "history": [], "origin": ["simulated"], "proof": {"status": "pending", "steps": [], "record": None},
            "flags": [n for f, n in ((1, "harmless"), (2, "works"), (4, "expired")) if int(code["flags"]) & f],
            "sigma_m": int(code["sigma_dm"]) / 10, "severity": int(code["severity"]) / 64,
            "size_mm": int(code["size_mm"]) or None,
        }  # fmt: skip

    def history(self, cell: int) -> dict[str, Any]:
        """A square's history as `/api/v1/cells/{id}/history` tells it."""
        code = self.code(cell)
        flags = int(code["flags"])
        grey = {"colour": "grey", "state": "none", "kind": None}
        red = {"colour": "red", "state": "confirmed", "kind": "pothole"}
        moved = [
            {"at": "2026-11-23T08:12:05+08:00", "day": "2026-11-23", "sensor": "box", "what": "jolt", "kind": "pothole",
             "weight": 2.1 - n / 10, "speed_kmh": 36 + n} for n in range(10)
        ]  # fmt: skip
        changes: list[dict[str, Any]] = []
        if code["colour"] == Colour.RED or flags & EXPIRED:
            changes.append({"at": "2026-11-23T08:15:00+08:00", "day": "2026-11-23", "before": grey, "after": red,
                            "why": "passes felt or saw it", "passes": moved, "passes_told": True})  # fmt: skip
        if flags & EXPIRED:
            changes.insert(0, {"at": "2026-11-25T04:10:00+08:00", "day": "2026-11-25", "before": red, "after": grey,
                               "why": "it has expired", "passes": [], "passes_told": True})  # fmt: skip
        bump = {"kind": "speed_bump", "source": "imported", "since": "2026-05-01", "owner": None}
        harmless = bump if flags & HARMLESS else None
        works = [{"number": "W-17", "owner": "gas", "from": "2026-11-20", "to": "2026-12-05"}] if flags & WORKS else []
        repairs = [{"day": "2026-11-24", "kind": "patch", "number": None, "by": None}] if flags & EXPIRED else []
        return {"cell": cell, "changes": changes, "truncated": False,
                "register": {"harmless": harmless, "works": works, "repairs": repairs}}  # fmt: skip

    def tile(self, z: int, x: int, y: int) -> bytes:
        """A tile as the platform paints it."""
        return paint(z, x, y, ZONE, {b: self.blocks[b] for b in blocks_needed(z, x, y, ZONE) if b in self.blocks})

    def totals(self) -> dict[str, Any]:
        """The city's roll-up."""
        every = [f["properties"] for f in self.sections.values()]

        def row(some: list[dict[str, Any]]) -> dict[str, Any]:
            cells = sum(p["cells"] for p in some)
            shares = {c: sum(p["colour"] == c for p in some) / len(some) for c in ("red", "yellow", "green", "grey")}
            known = sum(p[f"{c}_m2"] for p in some for c in ("red", "yellow", "green"))
            grades = {g or "none": sum(p["grade"] == g for p in some) for g in ("B", None)}
            return {
                "km": len(some) / 10, "sections": len(some), **shares, "grey_share": 1 - known / cells, "iri": 3.1,
                "pci_est": 81.0, "pci_low": 70.0, "pci_high": 88.0, "grades": grades, "trend": "steady",
            }  # fmt: skip

        classes = [{"road_class": c, **row([p for p in every if p["road_class"] == c])} for c in CLASSES]
        return {"totals": row(every), "by_class": classes, "by_district": [{"district": "拱墅区", **row(every)}]}


def said(code: Any) -> dict[str, Any]:
    """Colour, state and kind of a code."""
    kind = None if code["kind"] == NO_KIND else "pothole"
    return {
        "colour": Colour(int(code["colour"])).name.lower(),
        "state": State(int(code["state"])).name.lower(),
        "kind": kind,
    }


def fake_app(city: FakeCity) -> FastAPI:
    """The routes over a made-up city, under the real headers of security."""
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, go_on: Any) -> Response:
        city.asked.append(request.url.path + ("?" + request.url.query if request.url.query else ""))
        answer: Response = await go_on(request)
        for name, value in api.app._HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    @app.get("/api/v1/city")
    def about() -> dict[str, Any]:
        return {
            "name": "Made-up city", "name_zh": "虚构城", "banner": "SIMULATED", "centre": list(CENTRE), "utm_zone": 51,
            "utm_north": True, "origins": ["simulated"], "roads": city.totals() if city.roads else None,
        }  # fmt: skip

    @app.get("/api/v1/summary")
    def summary() -> dict[str, Any]:
        codes = np.concatenate(list(city.blocks.values()))
        area = {c.name.lower(): int((codes["colour"] == c).sum()) for c in Colour}
        boxes = np.array([f["geometry"]["coordinates"] for f in city.sections.values()]).reshape(-1, 2)
        return {
            "cells": area, "area_m2": area, "cases": 0, "records": 1, "anchored": 1, "anchors": 1, "anchored_at": None,
            "chunks": 12, "refused": 0, "bbox": [*boxes.min(0).tolist(), *boxes.max(0).tolist()],
        }  # fmt: skip

    @app.get("/api/v1/cases")
    def cases() -> dict[str, Any]:
        return {"type": "FeatureCollection", "features": []}

    @app.get("/api/v1/sections")
    def sections(bbox: str) -> dict[str, Any]:
        return {"type": "FeatureCollection", "features": city.in_box(bbox), "truncated": False}

    @app.get("/api/v1/sections/{number}")
    def section(number: int) -> dict[str, Any]:
        if number not in city.sections:
            raise HTTPException(404)
        told = city.sections[number]["properties"]
        past = [
            {"day": f"2026-11-{d:02}", "colour": told["colour"], "red_m2": max(told["red_m2"] - (24 - d) // 5, 0),
             "yellow_m2": told["yellow_m2"] + d % 3, "green_m2": told["green_m2"], "iri": 3.1 + (24 - d) / 40,
             "pci_est": None if told["pci_est"] is None else told["pci_est"] + (24 - d) / 3} for d in range(3, 25)
        ]  # fmt: skip
        return {**told, "history": past}

    @app.get("/api/v1/sections/{number}/strips")
    def strips(number: int) -> dict[str, Any]:
        return {"type": "FeatureCollection", "features": city.strips[number]}

    @app.get("/api/v1/at")
    def at(lon: float, lat: float) -> dict[str, Any]:
        cell = int(cells_at(*project(lon, lat, ZONE), ZONE))
        return {"cell": cell if city.code(cell) is not None else None}

    @app.get("/api/v1/cells")
    def cells(bbox: str) -> dict[str, Any]:
        west, south, east, north = (float(v) for v in bbox.split(","))
        found = []
        for block, codes in city.blocks.items():
            for i in np.flatnonzero(codes["colour"] >= Colour.YELLOW).tolist():
                cell = int(cells_of_block(block)[i])
                lon, lat = city.lonlat(cell)
                if west <= lon <= east and south <= lat <= north:
                    geometry = {"type": "Polygon", "coordinates": [polygon_deg(cell)]}
                    told = {"cell": cell, "level": 0, **said(codes[i])}
                    found.append({"type": "Feature", "geometry": geometry, "properties": told})
        return {"type": "FeatureCollection", "features": found, "truncated": False}

    @app.get("/api/v1/cells/{cell}")
    def one(cell: int) -> dict[str, Any]:
        return city.story(cell)

    @app.get("/api/v1/cells/{cell}/history")
    def past(cell: int) -> dict[str, Any]:
        return city.history(cell)

    @app.get("/tiles/{z}/{x}/{y}")
    def tile(z: int, x: int, y: int) -> Response:
        return Response(city.tile(z, x, y), media_type="application/octet-stream")

    @app.get("/report/daily")
    def report() -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>report</title><h1>Daily report</h1>")

    @app.get("/events")
    async def events() -> StreamingResponse:
        queue: asyncio.Queue[str] = asyncio.Queue()
        city._queues.append((asyncio.get_running_loop(), queue))

        async def read() -> AsyncIterator[str]:
            yield ": open\n\n"
            while True:
                yield await queue.get()

        return StreamingResponse(read(), media_type="text/event-stream")

    app.mount("/", StaticFiles(directory=Path(api.app.__file__).parent / "web", html=True))
    return app


@contextmanager
def served(city: FakeCity, port: int = 0) -> Iterator[FakeCity]:
    """The made-up city at `url`, until the end."""
    config = uvicorn.Config(fake_app(city), log_level="error", timeout_graceful_shutdown=0, lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        city.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        end_s = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < end_s, "the made-up city does not start"
            thread.join(0.02)
        yield city
        server.should_exit = True
        thread.join(10)
