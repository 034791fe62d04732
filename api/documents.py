"""`python -m api.documents [--check]`: writes the generated tables of the documents, so that they cannot say other than
the code.

A document holds pairs of markers; what stands between them comes from here, and everything else is left alone:

    <!-- generated: NAME -->
    <!-- end of NAME -->
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

import typer
from fastapi.routing import APIRoute

from defects import ALL_TYPES, AREA_TYPES, OF_THE_STANDARD, EvidenceOptions, HealthOptions
from ingest import ADVICE, ConditionOptions, FixOptions, Reason

from .archive_days import COLUMNS
from .cli import app as command_line
from .code_text import constants, doc, named_constants, options_table, table
from .documents_certificates import certificate_fields, certificate_vectors
from .documents_departments import department_fields, department_refusals, department_scopes
from .documents_roads import road_classes, road_columns, road_constants, road_refusals, road_widths, zone_areas
from .documents_scales import deduct_points, grade_bounds, pci_options, rough_options, scale_options
from .documents_seeing import (
    camera_assumed,
    drive_sets,
    drive_tables,
    model_cards,
    recognition_constants,
    senses,
    simulator_constants,
    superclasses,
)
from .routes import cells, certificates, devices, sections, service, tiles
from .settings import Settings

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("ingest", "grid", "defects", "ledger", "api", "sensors_sim")
_MARKERS = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end of \2 -->)", re.DOTALL)


class DocumentError(ValueError):
    """A document cannot be filled; the text says which marker is wrong."""


# ---------------------------------------------------------------- health-code.md


def evidence_to_code() -> str:
    """The table that turns evidence into a code, as it stands beside the function that does it."""
    return _table_beside(HealthOptions)


def _table_beside(kind: type[Any]) -> str:
    """The table in the docstring of the module in which a class stands."""
    lines = [line for line in doc(inspect.getmodule(kind)).splitlines() if line.startswith("|")]
    if len(lines) < 3:
        raise DocumentError(f"the module of {kind.__name__} has lost its table")
    return "\n".join(lines)


def faults_of_devices() -> str:
    """What a device's own chunks show of it, and what it is worth, as it stands beside the function that says so."""
    return _table_beside(ConditionOptions)


def condition_options() -> str:
    """Constants of a device's condition and weight."""
    return options_table(ConditionOptions)


def fix_options() -> str:
    """Constants of what is believed of a fix."""
    return options_table(FixOptions)


def health_options() -> str:
    """Constants of the read-out."""
    return options_table(HealthOptions)


def evidence_options() -> str:
    """Constants of what a pass may say."""
    return options_table(EvidenceOptions)


def jolt_options() -> str:
    """Constants of the jolt detector."""
    return options_table(type(EvidenceOptions().jolt))


def judge_options() -> str:
    """Constants of how jolts and the recogniser are joined."""
    return options_table(type(EvidenceOptions().judge))


def other_constants() -> str:
    """Constants with a reason that stand beside the options."""
    return named_constants(
        ("defects/reach.py", "HALO"), ("defects/ghosts.py", "ROUNDS"), ("defects/cases.py", "REACH_M"),
        ("defects/recognise.py", "MOST_SURE"),
        ("defects/naming.py", "LEAST_SURE"), ("grid/cells.py", "BLOCK"),
        ("ingest/datum.py", "ADDED_M"), ("ingest/redact.py", "SHORTEST_S"), ("ingest/quality.py", "NOT_UNDER_A_BOX"),
        ("ingest/condition.py", "LOOK_EVERY"), ("ingest/condition.py", "DAYS"), ("ingest/quality.py", "LATE_S"),
        ("ingest/quality.py", "AHEAD_S"), ("ingest/quality.py", "MIN_RATE_HZ"), ("ingest/wire.py", "MAX_BYTES"),
    )  # fmt: skip


def taxonomy() -> str:
    """Types, and who sees them."""
    severity = constants("defects/severity.py")
    depth: dict[str, float] = ast.literal_eval(severity["RED_DEPTH_MM"][0])
    area: dict[str, float] = ast.literal_eval(severity["RED_AREA_M2"][0])
    yellow: dict[str, float] = ast.literal_eval(severity["YELLOW_MM"][0])
    always: tuple[str, ...] = ast.literal_eval(severity["RED_ALWAYS"][0])
    rows = []
    for t in ALL_TYPES:
        red = [f">= {depth[t.key]:g} mm"] if t.key in depth else []
        red += [f">= {area[t.key]:g} m²"] if t.key in area else []
        red = ["always"] if t.key in always else red
        number = str(t.number) if t.number <= OF_THE_STANDARD else f"{t.number} (beyond the 16)"
        seen = [f"{p:.2f}" if p else "-" for p in (t.imu_detect, t.camera_detect)]
        named = "by how hard the jolt was" if t.number == 0 else " or ".join(red) or "never (yellow)"
        counts = f">= {yellow[t.key]:g} mm" if t.key in yellow else "any"
        how = "area" if t.number in AREA_TYPES else "point"
        rows.append((number, f"`{t.key}`", t.zh, t.en, *seen, "yes" if t.hazard else "", how, counts, named))
    return table(
        (
            "#", "key", "中文", "English", "IMU of a box", "camera of a box", "needed for green", "read as", "yellow",
            "red",
        ),
        rows,
    )  # fmt: skip


# ---------------------------------------------------------------- operations.md


def refusals() -> str:
    """Reasons of refusal, what to do, and where in the code they are raised."""
    where: dict[str, list[str]] = {r.name: [] for r in Reason}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name in ("ingest/refusal.py", "sensors_sim/faults.py"):
                continue  # the list itself; and the simulator, which expects refusals and makes none
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                of_reason = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                if of_reason and node.value.id == "Reason" and name not in where.get(node.attr, [name]):  # type: ignore[attr-defined]
                    where[node.attr].append(name)  # type: ignore[attr-defined]
    rows = [
        (f"`{r}`", ADVICE[r], ", ".join(f"`{p}`" for p in where[r.name]) or "**nowhere yet**") for r in Reason
    ]
    return table(("reason", "what to do", "raised in"), rows)


def settings() -> str:
    """Every setting, its default and what it is."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, Path):
            default = default.relative_to(ROOT)
        if field.default_factory is not None:
            default = None  # worked out on each machine: the description says how
        kinds = field.annotation.__args__ if isinstance(field.annotation, UnionType) else (field.annotation,)
        secret = any(getattr(kind, "__name__", "") == "SecretStr" for kind in kinds)
        shown = "not set" if default is None else f"`{default}`"
        rows.append((f"`ROADCODE_{name.upper()}`", shown, f"{field.description}{' (secret)' if secret else ''}"))
    return table(("setting", "default", "what"), rows)


def command_names() -> list[str]:
    """Names of the commands of `roadcode`, in the order of its help."""
    return list(_commands())


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(command_line)
    return dict(group.commands)


def commands() -> str:
    """Commands of `roadcode` with their options; those of a group by group."""
    rows = []
    for name, command in _commands().items():
        inner = getattr(command, "commands", None)
        for called, one in {f"{name} {n}": c for n, c in inner.items()}.items() if inner else [(name, command)]:
            said = []
            for p in one.params:
                shown = f"`{p.opts[0]}`" if p.opts[0].startswith("-") else f"`{p.name.upper()}`"
                said.append(f"{shown} {getattr(p, 'help', None) or ''}".rstrip())
            rows.append((f"`roadcode {called}`", one.help or "", "; ".join(said)))
    return table(("command", "what", "arguments and options"), rows)


def targets() -> str:
    """Targets of make."""
    found = re.findall(r"(?m)^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"))
    return table(("target", "what"), [(f"`make {name}`", text) for name, text in found])


def answers() -> str:
    """What HTTP answers."""
    rooms = (service, cells, sections, certificates, tiles, devices)
    routes = [r for room in rooms for r in room.router.routes if isinstance(r, APIRoute)]
    rows = [(f"`{'/'.join(sorted(r.methods or ()))} {r.path}`", doc(r.endpoint)) for r in routes]
    return table(("request", "answer"), rows)


def archive_columns() -> str:
    """Columns of an archived day."""
    rows = [(f"`{name}`", *text.split(": ", 1)) for name, text in COLUMNS.items()]
    return table(("column", "type", "what"), rows)


SECTIONS: dict[str, Callable[[], str]] = {
    "evidence-to-code": evidence_to_code,
    "health-options": health_options,
    "evidence-options": evidence_options,
    "jolt-options": jolt_options,
    "judge-options": judge_options,
    "faults-of-devices": faults_of_devices,
    "condition-options": condition_options,
    "fix-options": fix_options,
    "other-constants": other_constants,
    "taxonomy": taxonomy,
    "senses": senses,
    "superclasses": superclasses,
    "model-cards": model_cards,
    "drive-sets": drive_sets,
    "recognition-constants": recognition_constants,
    "simulator-constants": simulator_constants,
    "drive-tables": drive_tables,
    "camera-assumed": camera_assumed,
    "refusals": refusals,
    "settings": settings,
    "commands": commands,
    "targets": targets,
    "answers": answers,
    "archive-columns": archive_columns,
    "deduct-points": deduct_points,
    "grade-bounds": grade_bounds,
    "scale-options": scale_options,
    "pci-options": pci_options,
    "rough-options": rough_options,
    "road-columns": road_columns,
    "road-classes": road_classes,
    "road-widths": road_widths,
    "road-refusals": road_refusals,
    "road-constants": road_constants,
    "zone-areas": zone_areas,
    "certificate-fields": certificate_fields,
    "certificate-vectors": certificate_vectors,
    "department-scopes": department_scopes,
    "department-fields": department_fields,
    "department-refusals": department_refusals,
}


def fill(text: str, name: str) -> str:
    """A document with everything between its markers made anew. Raises DocumentError, which speaks of ``name``."""

    def made(match: re.Match[str]) -> str:
        section = SECTIONS.get(match[2])
        if section is None:
            raise DocumentError(f"{name} asks for {match[2]!r}; there are {', '.join(SECTIONS)}")
        return f"{match[1]}\n{section()}\n\n{match[4]}"

    begun, ended = text.count("<!-- generated: "), len(_MARKERS.findall(text))
    if begun != ended:
        raise DocumentError(f"{name} opens {begun} generated parts and ends {ended}: each needs its `<!-- end of` line")
    return _MARKERS.sub(made, text)


def documents() -> list[Path]:
    """The Markdown files of the project, README first."""
    top = sorted(ROOT.glob("*.md"), key=lambda p: (p.name != "README.md", p.name))
    return [*top, *sorted(ROOT.glob("docs/**/*.md"))]


def main(arguments: Sequence[str]) -> int:
    """Writes the generated parts; with --check writes nothing and gives 1 where a document is behind the code."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m api.documents [--check]\n")
        return 2
    behind = 0
    for path in documents():
        old = path.read_text(encoding="utf-8")
        new = fill(old, path.relative_to(ROOT).as_posix())
        if new == old:
            continue
        behind += 1
        if arguments:
            sys.stderr.write(f"{path.relative_to(ROOT)} is behind the code: run python -m api.documents\n")
        else:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 1 if behind and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
