"""`roadcode demo`: the whole of it without a person. It claims only what it has checked; it fails where one fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from defects import Colour, HealthOptions, turn
from defects import recode as reading
from defects import store as defects_store
from grid import Zone, blocks_of, cells_at, index_in_block, project
from ingest import City
from ingest import store as ingest_store
from ledger import anchor_count, newest_anchor, outbox_count, record_count

from . import story, wiring
from .embedded import environment_of, found
from .fsck import fsck
from .picture import picture
from .platform import Platform, running
from .recount import recount
from .replay import replay
from .run import fleet_command, lay_streets
from .settings import Settings
from .tiles import blocks_needed, paint

_SETTLE_S = 120.0
_FLEET_S = 300.0
PASSES = 6


@dataclass(frozen=True)
class Claim:
    """Something the demo says; because: what it saw."""

    text: str
    holds: bool
    because: str


@dataclass(frozen=True)
class Demo:
    """figures: what goes to demo.json. claims: what must be so."""

    figures: dict[str, Any]
    claims: list[Claim]

    @property
    def holds(self) -> bool:
        """Whether everything claimed is so."""
        return all(c.holds for c in self.claims)


def run_demo(settings: Settings, out: Path, say: Callable[[str], None]) -> Demo:
    """Runs the demo in a fresh folder below the data folder and writes demo.json and demo.png to ``out``."""
    out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    home = settings.home.resolve() / "demo"
    _empty(home)
    settings = settings.model_copy(update={"home": home, "anchor_every_s": 1.0, "port": 0})
    say("starting database, broker and chain ...")
    with running(settings) as platform:
        say(f"map at {platform.url} while the demo runs")
        say("a simulated fleet drives two streets, and sends some broken chunks on purpose ...")
        lay_streets(platform)
        fleet = _drive(platform, say)
        drives: dict[str, Any] = {}
        waiting = fleet["waiting"]
        if settings.recordings:
            say(f"replaying the real drives under {settings.recordings} ...")
            for d in replay(platform.settings, settings.recordings, 0.0, 1, lambda *_: None):
                waiting += d.report.waiting
                if d.whole:
                    drives[d.drive] = {
                        "km": round(d.whole.km, 3), "findings": d.whole.findings,
                        "findings_per_km": round(d.whole.per_km, 2), "low": round(d.whole.low, 2),
                        "high": round(d.whole.high, 2), "published_km": round(d.felt.km, 3) if d.felt else 0.0,
                        "published_findings": d.felt.findings if d.felt else 0,
                    }  # fmt: skip
        else:
            say("no recordings: the part with real drives is left out (ROADCODE_RECORDINGS names a folder of them)")
        say("waiting until everything is folded, recorded and anchored ...")
        settled = _settle(platform)
        say("counting everything again, and checking it ...")
        demo = _judge(platform, fleet, waiting, drives, settled)
        _paint(platform, out / "demo.png")
    (out / "demo.json").write_text(json.dumps(demo.figures, indent=1, ensure_ascii=False) + "\n")
    say(f"wrote {out / 'demo.json'} and {out / 'demo.png'}")
    return demo


def _empty(home: Path) -> None:
    """Makes way for a fresh demo. Only what a demo made is removed."""
    if home.exists():
        if not (home / "ports.json").exists() and any(home.iterdir()):
            raise wiring.NotConfigured(f"{home} is not a demo's folder: move it away")
        if found(home) is not None:
            raise wiring.NotConfigured(f"services of an earlier demo still run on {home}: roadcode up --home {home}, "
                                       "then Ctrl-C, stops them")  # fmt: skip
        shutil.rmtree(home)


def _drive(platform: Platform, say: Callable[[str], None]) -> dict[str, Any]:
    """Lets the simulated fleet publish its history; gives its report."""
    truth = platform.services.folder.home / "truth.json"
    command = fleet_command(platform, ["--truth", str(truth), "--passes", str(PASSES), "--faults"])
    environment = environment_of(wiring.environment(platform.settings))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    begun_s = told_s = time.monotonic()
    try:
        while process.poll() is None:
            if time.monotonic() - begun_s > _FLEET_S:
                raise TimeoutError(f"the simulated fleet did not finish within {_FLEET_S:.0f} s: roadcode fsck, logs")
            if time.monotonic() - told_s > 3:
                told_s = time.monotonic()
                with wiring.database(platform.settings) as conn:
                    n = sum(t[2] for t in ingest_store.tallies(conn) if t[0] == "accepted")
                say(f"  {n:,} chunks have their verdict")
            platform.look()
            time.sleep(0.1)
        text = process.stdout.read() if process.stdout else ""
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    report: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return report


def _settle(platform: Platform) -> bool:
    """Waits until nothing is left to fold, to record or to anchor; whether that came to be in time."""
    end_s = time.monotonic() + _SETTLE_S
    while time.monotonic() < end_s:
        platform.look()
        with wiring.database(platform.settings) as conn:
            anchor = newest_anchor(conn)
            quiet = not defects_store.journal_rows(conn) and not outbox_count(conn)
            if quiet and anchor and anchor.size == record_count(conn):
                return True
        time.sleep(0.2)
    return False


def _judge(
    platform: Platform, fleet: dict[str, Any], waiting: int, drives: dict[str, Any], settled: bool
) -> Demo:
    full = platform.settings
    city = full.read_city()
    with wiring.database(full) as conn:
        tallies = ingest_store.tallies(conn)
        fine, coarse = defects_store.colour_counts(conn)
        coarse_later = _coarse_later(conn, wiring.health_options(full))
        counted = recount(conn, city, wiring.EVIDENCE)
        ledger = wiring.ledger(full)
        potholes = _potholes(platform, conn, city)
        proofs = {cell: story.status_of(story.verify(conn, cell, ledger)[0]) for _, cell, _ in potholes if cell}
        faults = fsck(conn, city, wiring.EVIDENCE, wiring.health_options(full), ledger, lambda _text: None)
        anchors = anchor_count(conn)
        records, cases = record_count(conn), defects_store.case_count(conn)
    accepted = sum(n for name, _, n in tallies if name == "accepted")
    refused = {label: n for name, label, n in tallies if name == "refused"}
    bad = sum(fleet["bad"].values()) if isinstance(fleet["bad"], dict) else int(fleet["bad"])
    told_refused = sum(fleet["refused"].values())
    holes = [name for name, cell, colour in potholes if cell and colour == "red"]
    proof_ok = bool(proofs) and all(s == "anchored" for s in proofs.values())
    figures = {
        "chunks": accepted,
        "refused": sum(refused.values()),
        "refused_by": refused,
        "lost": waiting + counted.lost,
        "doubled": counted.doubled,
        "cells": fine,
        "coarse_cells": coarse,
        "coarse_cells_once_the_day_is_told": coarse_later,
        "cases": cases,
        "records": records,
        "anchors": anchors,
        "proof_ok": proof_ok,
        "latency_p50_s": fleet["latency_p50_s"],
        "latency_p95_s": fleet["latency_p95_s"],
        "potholes_red": f"{len(holes)} of {len(potholes)}",
        "drives": drives,
        "banner": city.banner,
    }
    claims = [
        Claim("every chunk got its verdict", waiting == 0, f"{waiting} wait"),
        Claim("every broken chunk was refused, and only those", told_refused == bad, f"{told_refused} of {bad}"),
        Claim("nothing is lost or counted twice", counted.exact,
              f"{counted.chunks} chunks counted again: {counted.lost} lost, {counted.doubled} doubled"
              + "".join(f"; left out, {what}" for what in counted.left_out)),
        Claim("everything was folded, recorded and anchored in time", settled, f"{records} records"),
        Claim("every severe pothole of the truth is red within 1 m", len(holes) == len(potholes) > 0,
              f"{len(holes)} of {len(potholes)}"),
        Claim("their proofs hold up to the chain", proof_ok, json.dumps(sorted(proofs.values()))),
        Claim("most of the measured blocks is grey", fine["grey"] > fine["green"] + fine["yellow"] + fine["red"],
              f"{fine['grey']:,} of {sum(fine.values()):,} squares"),
        Claim("no byte is other than it was written", not faults, f"{len(faults)} faults" + _first(faults)),
    ]  # fmt: skip
    return Demo(figures, claims)


def _coarse_later(conn: wiring.Connection, health: HealthOptions) -> dict[str, int]:
    """The phones' squares by colour as they will be told when the day is closed; today they show nothing."""
    blocks = {block for block, _ in defects_store.evidence_keys(conn) if turn.is_coarse(block)}
    evidence = defects_store.evidence_of(conn, blocks)
    if not evidence:
        return {}
    told_on = max(day for days in evidence.values() for day in days) + timedelta(days=health.public_after_days)
    codes = reading.recode(blocks, evidence, told_on, health).values()
    return {c.name.lower(): sum(int((one["colour"] == c).sum()) for one in codes) for c in Colour if c}


def _first(faults: list[Any]) -> str:
    return f", first: {faults[0].part} {faults[0].where} {faults[0].text}" if faults else ""


def _potholes(platform: Platform, conn: wiring.Connection, city: City) -> list[tuple[str, int | None, str]]:
    """Each severe pothole of the truth, and the red square within 1 m of its middle, if there is one."""
    truth = json.loads((platform.services.folder.home / "truth.json").read_text())
    zone = Zone(city.utm_zone, city.utm_north)
    out: list[tuple[str, int | None, str]] = []
    for d in truth["defects"]:
        if d["kind"] != "pothole" or d["severity"] != "red":
            continue
        x, y = (float(v) for v in project(d["lon_deg"], d["lat_deg"], zone))
        hit = red_near(conn, x, y, zone, 1.0)
        out.append((f"{d['kind']} at {d['along_m']} m", hit, "red" if hit else "not red"))
    return out


def red_near(conn: wiring.Connection, x_m: float, y_m: float, zone: Zone, reach_m: float) -> int | None:
    """A red 1 m square whose nearest point is within ``reach_m`` of a place."""
    step = np.arange(-2.0, 2.5)
    xs, ys = np.meshgrid(np.floor(x_m) + step + 0.5, np.floor(y_m) + step + 0.5)
    gap = np.hypot(np.maximum(np.abs(xs - x_m) - 0.5, 0), np.maximum(np.abs(ys - y_m) - 0.5, 0))
    order = np.argsort(gap, axis=None)
    cells = cells_at(xs.ravel()[order], ys.ravel()[order], zone)[gap.ravel()[order] <= reach_m]
    codes = defects_store.codes_of(conn, [int(b) for b in blocks_of(cells)])
    for cell in cells.tolist():
        found = codes.get(int(blocks_of(cell)))
        if found is not None and found[1]["colour"][int(index_in_block(cell))] == 3:
            return int(cell)
    return None


def _paint(platform: Platform, path: Path) -> None:
    """The map as a picture, from the same tiles that the browser gets."""
    from .routes.cells import cases_geojson  # noqa: PLC0415  (a route's answer, asked for without a server)
    from .routes.service import box_of  # noqa: PLC0415

    full = platform.settings
    city = full.read_city()
    zone = Zone(city.utm_zone, city.utm_north)
    with wiring.database(full) as conn:
        fine, _ = defects_store.colour_counts(conn)
        box = box_of(defects_store.all_code_blocks(conn), zone)
        if box is None:
            return

        def tile_at(z: int, x: int, y: int) -> bytes:
            found = defects_store.codes_of(conn, blocks_needed(z, x, y, zone))
            return paint(z, x, y, zone, {block: codes for block, (_, codes) in found.items()})

        places = [tuple(f["geometry"]["coordinates"]) for f in cases_geojson(conn, zone)]
        picture(
            tile_at, (box[0], box[1], box[2], box[3]), title=f"Road health code, {city.name}", banner=city.banner,
            cases=places, area_m2={k: float(v) for k, v in fine.items()},
        ).save(path)  # fmt: skip
