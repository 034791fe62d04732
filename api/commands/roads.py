"""`roadcode import-roads` and `roadcode roads`: the city's road network, from a file into sections, and what there
is."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .printing import ERR, OUT, Json, bar, settings, show

if TYPE_CHECKING:
    import psycopg

    from grid import Features, Section, Zone
    from ingest import City

EXAMPLES = """\
roadcode import-roads roads.shp --dry-run

roadcode import-roads hangzhou.gpkg --layer edges --districts districts.geojson --districts-datum gcj02

roadcode import-roads survey.zip --datum gcj02 --class-field 等级 --key-field 道路编号 --json
"""
_LEAST_GUARDED = 20
"""Sections from which on an import that would close most of them is held up."""
_DRIVEN_BLOCKS, _PLACES = 400, 20_000
_CHINA_DEG = (73.0, 18.0, 135.5, 54.0)
_Field = str | None


class Datum(StrEnum):
    """What a file's coordinates may be in."""

    AUTO = "auto"
    WGS84 = "wgs84"
    CGCS2000 = "cgcs2000"
    GCJ02 = "gcj02"
    BD09 = "bd09"


class NothingToImport(ValueError):
    """No line of the file can become a road of this city."""


class MostWouldGo(ValueError):
    """The file lacks most roads of its source: it is probably another one."""


def errors() -> tuple[type[Exception], ...]:
    """Errors of these commands that say themselves what to do."""
    from grid import DatumUnclear, NeedsExtra, NoSuchField, RoadFileError, SameNumber  # noqa: PLC0415

    return (DatumUnclear, NeedsExtra, NoSuchField, RoadFileError, SameNumber, NothingToImport, MostWouldGo)


@dataclass
class Asked:
    """What an import is told beside its file. fields: columns by what they say (`grid.FIELDS`)."""

    fields: dict[str, str] = field(default_factory=dict)
    source: str = "roads"
    datum: str = Datum.AUTO
    layer: str = ""
    reference: str = ""
    encoding: str = ""
    districts: Path | None = None
    districts_field: str = ""
    districts_datum: str = Datum.WGS84
    replace: bool = False
    dry_run: bool = False


def import_roads(
    file: Annotated[Path, typer.Argument(help="Shapefile, GeoPackage, GeoJSON (or a zip of one), or GraphML of OSMnx")],
    key_field: Annotated[_Field, typer.Option(help="column with a key of each road, the same at every import")] = None,
    name_field: Annotated[_Field, typer.Option(help="column with names")] = None,
    name_zh_field: Annotated[_Field, typer.Option(help="column with Chinese names")] = None,
    class_field: Annotated[_Field, typer.Option(help="column with the class of road")] = None,
    width_field: Annotated[_Field, typer.Option(help="column with the carriageway's width, m")] = None,
    lanes_field: Annotated[_Field, typer.Option(help="column with the number of lanes, both directions")] = None,
    district_field: Annotated[_Field, typer.Option(help="column with the district")] = None,
    owner_field: Annotated[_Field, typer.Option(help="column with who maintains the road")] = None,
    oneway_field: Annotated[_Field, typer.Option(help="column that says one-way, and which way")] = None,
    layer: Annotated[str, typer.Option(help="layer of a GeoPackage, or file in a zip, where there are several")] = "",
    crs: Annotated[
        str, typer.Option(help="reference system, as EPSG:4549, where the file has none or a wrong one")
    ] = "",
    encoding: Annotated[str, typer.Option(help="of a Shapefile's texts, as gb18030")] = "",
    datum: Annotated[
        Datum, typer.Option(help="of the coordinates; auto: as the file says, or recognised")
    ] = Datum.AUTO,
    districts: Annotated[Path | None, typer.Option(help="file of districts (polygons with a name)")] = None,
    districts_field: Annotated[str, typer.Option(help="column with their names")] = "",
    districts_datum: Annotated[Datum, typer.Option(help="datum of the districts; auto: wgs84")] = Datum.WGS84,
    source: Annotated[str, typer.Option(help="name of the data set: an import replaces its own only")] = "roads",
    replace: Annotated[bool, typer.Option(help="also where most roads of the source would go")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would happen, change nothing")] = False,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Import the city's roads: centre lines become sections of about 100 m with their squares.

    Everything is taken, or nothing. The same file again changes nothing; a changed one closes what changed or went,
    opens what is new, and keeps the numbers of roads and places that stayed. docs/roads.md says which columns are
    known, how classes and widths follow, and how files in GCJ-02 are recognised."""
    from .. import wiring  # noqa: PLC0415

    given = {
        "key": key_field, "name": name_field, "name_zh": name_zh_field, "class": class_field, "width": width_field,
        "lanes": lanes_field, "district": district_field, "owner": owner_field, "oneway": oneway_field,
    }  # fmt: skip
    asked = Asked(
        {k: v for k, v in given.items() if v}, source, datum, layer, crs, encoding, districts, districts_field,
        districts_datum, replace, dry_run,
    )  # fmt: skip
    full = wiring.resolved(settings(home=home))
    city = full.read_city()
    with wiring.database(full) as conn:
        told = run_import(conn, city, file, asked, time.time())
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=1, default=str))
        return
    _print(told)


def run_import(conn: psycopg.Connection[Any], city: City, file: Path, asked: Asked, now_s: float) -> dict[str, Any]:
    """Does the import in one transaction and gives its report. conn: in autocommit."""
    import psycopg  # noqa: PLC0415

    from defects import register_store  # noqa: PLC0415
    from grid import Zone, cut, find_fields, read_features, roads_of, store  # noqa: PLC0415

    begun = time.monotonic()
    zone = Zone(city.utm_zone, city.utm_north)
    with bar() as progress:
        task = progress.add_task(f"reading {file.name}", total=None)
        features = read_features(file, asked.layer, asked.reference, asked.encoding)
        fields = find_fields(features.columns, asked.fields)
        datum, how = datum_of(conn, features, zone, asked.datum)
        taken = roads_of(features, fields, zone, datum, city.frame)
        if not taken.roads:
            raise NothingToImport(
                f"{file.name}: none of {taken.read} lines is a road of this city. {_why(taken.refused)}"
            )
        details: dict[str, Any] = {
            "file": file.name, "datum": datum, "datum_how": how, "fields": fields,
            "guessed": sorted(set(fields) - set(asked.fields)), "read": taken.read, "roads": len(taken.roads),
            "refused": dict(taken.refused), "left_out": dict(taken.left_out), "widths_known": taken.widths_known,
            "lanes_known": taken.lanes_known, "said": list(features.said),
        }  # fmt: skip
        if taken.keys_of_place:
            details["said"].append(
                "no column has a key of each road: keys are made of where roads begin and end, so a road that is moved "
                "gets new sections; name a column with --key-field"
            )
        with conn.transaction():
            before = store.parts_of_roads(conn, asked.source)
            sections = [s for road in taken.roads for s in cut(road, asked.source, before.get(road.key, 0))]
            sections = _in_districts(sections, asked, zone, city)
            progress.update(task, description="laying squares", total=len(sections))
            report = store.put_sections(
                conn, sections, city.service_day(now_s), asked.source, zone, details,
                lambda n: progress.update(task, completed=n),
            )  # fmt: skip
            had = report.same + report.changed + report.gone
            if report.gone * 2 > had >= _LEAST_GUARDED and not asked.replace:
                raise MostWouldGo(
                    f"{report.gone} of the {had} sections of {asked.source!r} are not in {file.name}: for another "
                    "data set say --source NAME, and if they are really gone --replace"
                )
            if asked.dry_run:
                raise psycopg.Rollback
            if report.new or report.changed or report.gone:
                register_store.mark_all_stale(conn)
    return {
        "source": asked.source, "dry_run": asked.dry_run, **details,
        "sections": {"new": report.new, "changed": report.changed, "gone": report.gone, "same": report.same},
        "cells": report.cells, "km": round(sum(s.length_m for s in sections) / 1000, 3),
        "km_by_class": _km(sections, "road_class"), "km_by_district": _km(sections, "district"),
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def datum_of(conn: psycopg.Connection[Any], features: Features, zone: Zone, given: str) -> tuple[str, str]:
    """The datum of a file's coordinates, and how it is known. Raises DatumUnclear where it is only suspected."""
    from grid import recognise, store  # noqa: PLC0415

    if given != Datum.AUTO:
        beside = f"; the file itself says {features.declared}" if features.declared not in ("", given) else ""
        return str(given), f"declared{beside}"
    if features.declared in ("gcj02", "bd09"):
        return features.declared, "the file says so, in its name, reference system or metadata"
    plain = features.declared or "wgs84"
    if not any(_in_china(line[0]) for line in features.lines[:1000]):
        return plain, "as the file says (offset datums are used in China only)"
    for what, (x, y) in (
        ("places where vehicles drove", driven(conn, zone)),
        ("places on roads of earlier imports", store.places_on_roads(conn, _PLACES)),
    ):
        found = recognise(features.lines, x, y, zone)
        shares = ", ".join(f"{d} {s:.0%}" for d, s in found.shares.items())
        if found.datum:
            datum = plain if found.datum == "wgs84" else found.datum
            return datum, f"recognised: of {found.places} {what} there is a line at {shares}"
    return plain, (
        f"assumed{', as the file says' if features.declared else ''}: nothing known to compare with. Maps of China are "
        "often in GCJ-02 and say WGS 84: if this one is, import it again with --datum gcj02"
    )


def _in_china(place: Any) -> bool:
    west, south, east, north = _CHINA_DEG
    return bool(west < place[0] < east and south < place[1] < north)


def driven(conn: psycopg.Connection[Any], zone: Zone) -> tuple[Any, Any]:
    """Middles of squares of 1 m over which vehicles drove, from blocks all over the city: easting and northing."""
    import numpy as np  # noqa: PLC0415

    from defects import store as defects_store  # noqa: PLC0415
    from grid import cells_of_block, centres_m, level_of, zone_of  # noqa: PLC0415

    blocks = np.array(defects_store.all_code_blocks(conn), dtype=np.int64)
    blocks = blocks[level_of(blocks) == 0]
    blocks = blocks[:: max(1, len(blocks) // _DRIVEN_BLOCKS)]
    cells = [
        cells_of_block(block)[codes["passes"] > 0]
        for block, (_, codes) in defects_store.codes_of(conn, blocks.tolist()).items()
        if zone_of(block) == zone
    ]
    every = np.concatenate(cells) if cells else np.zeros(0, np.int64)
    return centres_m(every[:: max(1, len(every) // _PLACES)])


def _in_districts(sections: list[Section], asked: Asked, zone: Zone, city: City) -> list[Section]:
    from grid import areas_in_metres, read_areas, with_districts  # noqa: PLC0415

    if asked.districts is None:
        return sections
    areas = read_areas(asked.districts, asked.districts_field)
    datum = "wgs84" if asked.districts_datum == Datum.AUTO else str(asked.districts_datum)
    return with_districts(sections, areas_in_metres(areas, zone, datum, city.frame))


def _km(sections: Iterable[Section], by: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for one in sections:
        sums[getattr(one, by)] += one.length_m / 1000
    return {name: round(km, 3) for name, km in sorted(sums.items(), key=lambda i: -i[1])}


def _why(refused: Counter[str]) -> str:
    from grid import REFUSED  # noqa: PLC0415

    return "; ".join(f"{n} {reason}: {REFUSED[reason]}" for reason, n in refused.most_common(3))


def _print(told: dict[str, Any]) -> None:
    from grid import LEFT_OUT, REFUSED  # noqa: PLC0415

    sections = told["sections"]
    rows = [{"what": f"sections {name}", "number": n} for name, n in sections.items()]
    rows += [{"what": f"km, {name}", "number": km} for name, km in told["km_by_class"].items()]
    rows += [{"what": "squares laid", "number": told["cells"]}]
    done = "would be changed (dry run)" if told["dry_run"] else "imported"
    show(rows, False, f"{told['file']}: {told['roads']} roads of {told['read']} lines, {done}")
    OUT.print(f"Datum {told['datum']}: {told['datum_how']}.", highlight=False, soft_wrap=True)
    columns = ", ".join(
        f"{s} from {c}{' (guessed)' if s in told['guessed'] else ''}" for s, c in told["fields"].items()
    )
    OUT.print(f"Columns: {columns or 'none known'}.", highlight=False, soft_wrap=True, markup=False)
    OUT.print(
        f"Widths known of {told['widths_known']} roads, lanes of {told['lanes_known']}; others have what is usual for "
        "their class, marked so.", highlight=False, soft_wrap=True,
    )  # fmt: skip
    for text in told["said"]:
        OUT.print(f"Note: {text}.", highlight=False, soft_wrap=True, markup=False)
    for reason, n in (told["refused"] | told["left_out"]).items():
        text = REFUSED.get(reason) or LEFT_OUT[reason]
        kind = "refused" if reason in REFUSED else "left out"
        ERR.print(f"{kind}: {n} {reason}: {text}", highlight=False, soft_wrap=True, markup=False)


def roads(
    imports: Annotated[bool, typer.Option("--imports", help="list what each import changed")] = False,
    home: Annotated[Path | None, typer.Option(help="the data folder")] = None,
    as_json: Json = False,
) -> None:
    """Show the road network: sections and km by source, class and district, and every import that changed something."""
    from grid import store  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        lengths, changes = store.lengths(conn), store.imports(conn)
    if as_json:
        print(json.dumps({"roads": lengths, "imports": changes}, ensure_ascii=False, indent=1, default=str))
        return
    if imports:
        kept = ("import", "source", "day", "file", "datum", "new", "changed", "gone", "same")
        show([{k: row.get(k) for k in kept} for row in changes], False, f"{len(changes)} imports")
        return
    if not lengths:
        OUT.print("There are no roads yet: roadcode import-roads FILE", highlight=False)
        return
    show(lengths, False, f"{sum(row['km'] for row in lengths):.1f} km")
