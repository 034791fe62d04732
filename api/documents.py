"""`python -m api.documents [--check]`: writes the generated tables of the documents, so that they cannot say other than
the code.

A document holds pairs of markers; what stands between them comes from here, and everything else is left alone:

    <!-- generated: NAME -->
    <!-- end of NAME -->
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any

import typer
from fastapi.routing import APIRoute

from defects import (
    ALL_TYPES,
    LEAVES,
    OF_THE_STANDARD,
    TYPES,
    EvidenceOptions,
    HealthOptions,
    Leaf,
    model_digests,
    shipped_models,
)
from ingest import ADVICE, ConditionOptions, FixOptions, Reason

from .archive_days import COLUMNS
from .cli import app as command_line
from .routes import cells, devices, service, tiles
from .settings import Settings

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("ingest", "grid", "defects", "ledger", "api", "sensors_sim")
_MARKERS = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end of \2 -->)", re.DOTALL)


class DocumentError(ValueError):
    """A document cannot be filled; the text says which marker is wrong."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars and line ends inside cells are made harmless."""

    def line(cells_: Iterable[str]) -> str:
        return "| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in cells_) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *(line(row) for row in rows)])


# ---------------------------------------------------------------- what the code says of itself


def _doc(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def _source(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _constants(path: str) -> dict[str, tuple[ast.expr, str]]:
    """Module constants of a file, each with the text that stands below it (empty where there is none).

    Read and not imported: a room is entered by its door, and these are told to people, not used.
    """
    found: dict[str, tuple[ast.expr, str]] = {}
    body = _source(path).body
    for i, node in enumerate(body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if not isinstance(target, ast.Name) or not isinstance(value, ast.expr):
            continue
        below = body[i + 1] if i + 1 < len(body) else None
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        found[target.id] = (value, text if isinstance(text, str) else "")
    return found


def _named_constants(*places: tuple[str, str]) -> str:
    rows = []
    for path, name in places:
        value, why = _constants(path)[name]
        rows.append((f"`{name.lstrip('_')}`", f"`{ast.unparse(value)}`", why, f"`{path}`"))
    return table(("constant", "value", "why", "where"), rows)


def _options(kind: type[Any]) -> str:
    """The constants of an options class, and below them what its docstring says of them."""
    rows = []
    for f in fields(kind):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        shown = "see below" if hasattr(default, "__dataclass_fields__") else f"`{_short(default)}`"
        rows.append((f"`{f.name}`", shown))
    first, _, rest = _doc(kind).partition("\n\n")
    why = "\n".join(f"> {line}".rstrip() for line in (rest or first).splitlines())
    return f"{table(('constant', 'value'), rows)}\n\n{why}"


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items())
    return str(value)


# ---------------------------------------------------------------- health-code.md


def evidence_to_code() -> str:
    """The table that turns evidence into a code, as it stands beside the function that does it."""
    return _table_beside(HealthOptions)


def _table_beside(kind: type[Any]) -> str:
    """The table in the docstring of the module in which a class stands."""
    lines = [line for line in _doc(inspect.getmodule(kind)).splitlines() if line.startswith("|")]
    if len(lines) < 3:
        raise DocumentError(f"the module of {kind.__name__} has lost its table")
    return "\n".join(lines)


def faults_of_devices() -> str:
    """What a device's own chunks show of it, and what it is worth, as it stands beside the function that says so."""
    return _table_beside(ConditionOptions)


def condition_options() -> str:
    """Constants of a device's condition and weight."""
    return _options(ConditionOptions)


def fix_options() -> str:
    """Constants of what is believed of a fix."""
    return _options(FixOptions)


def health_options() -> str:
    """Constants of the read-out."""
    return _options(HealthOptions)


def evidence_options() -> str:
    """Constants of what a pass may say."""
    return _options(EvidenceOptions)


def jolt_options() -> str:
    """Constants of the jolt detector."""
    return _options(type(EvidenceOptions().jolt))


def judge_options() -> str:
    """Constants of how jolts and the recogniser are joined."""
    return _options(type(EvidenceOptions().judge))


def other_constants() -> str:
    """Constants with a reason that stand beside the options."""
    return _named_constants(
        ("defects/health.py", "HALO"), ("defects/cases.py", "REACH_M"), ("defects/naming.py", "LEAST_SURE"),
        ("grid/cells.py", "BLOCK"),
        ("ingest/datum.py", "ADDED_M"), ("ingest/redact.py", "SHORTEST_S"), ("ingest/quality.py", "NOT_UNDER_A_BOX"),
        ("ingest/condition.py", "LOOK_EVERY"), ("ingest/condition.py", "DAYS"), ("ingest/quality.py", "LATE_S"),
        ("ingest/quality.py", "AHEAD_S"), ("ingest/quality.py", "MIN_RATE_HZ"), ("ingest/wire.py", "MAX_BYTES"),
    )  # fmt: skip


def taxonomy() -> str:
    """Types, and who sees them."""
    severity = _constants("defects/severity.py")
    depth: dict[str, float] = ast.literal_eval(severity["RED_DEPTH_MM"][0])
    area: dict[str, float] = ast.literal_eval(severity["RED_AREA_M2"][0])
    always: tuple[str, ...] = ast.literal_eval(severity["RED_ALWAYS"][0])
    rows = []
    for t in ALL_TYPES:
        red = [f">= {depth[t.key]:g} mm"] if t.key in depth else []
        red += [f">= {area[t.key]:g} m²"] if t.key in area else []
        red = ["always"] if t.key in always else red
        number = str(t.number) if t.number <= OF_THE_STANDARD else f"{t.number} (beyond the 16)"
        seen = [f"{p:.2f}" if p else "-" for p in (t.imu_detect, t.camera_detect)]
        named = "by how hard the jolt was" if t.number == 0 else " or ".join(red) or "never (yellow)"
        rows.append((number, f"`{t.key}`", t.zh, t.en, *seen, "yes" if t.hazard else "", named))
    return table(
        ("#", "key", "中文", "English", "IMU of a box", "camera of a box", "needed for green", "a camera's red"), rows
    )


# ---------------------------------------------------------------- recognition.md


def senses() -> str:
    """Which sense can see a type at all, its subtypes, and what a wheel takes it for."""
    module = vars(inspect.getmodule(Leaf))
    seen_by: dict[str, tuple[str, ...]] = module["SEEN_BY"]
    weak: tuple[str, ...] = module["WEAK_IMU"]
    of: dict[Leaf, str] = module["SUPERCLASS_OF"]
    rows = []
    for t in TYPES:
        mine = [leaf for leaf in LEAVES if leaf.key == t.key]
        felt = dict.fromkeys(of[leaf] for leaf in mine if leaf in of)
        said = "; ".join(
            f"`{name}`" + ("" if len(felt) == 1 else ": " + ", ".join(_subtype(m) for m in mine if of.get(m) == name))
            for name in felt
        )
        marks = ["yes" if s in seen_by[t.key] else "-" for s in ("camera", "laser", "imu", "acoustic")]
        if t.key in weak:
            marks[2] = "weakly"
        number = str(t.number) if t.number <= OF_THE_STANDARD else f"{t.number} (beyond the 16)"
        subtypes = ", ".join(f"`{leaf.subtype}`" for leaf in mine if leaf.subtype)
        rows.append((number, f"`{t.key}`", t.zh, *marks, subtypes, said or "-"))
    return table(("#", "key", "中文", "camera", "laser", "IMU", "sound", "subtypes", "superclass of an IMU"), rows)


def _subtype(leaf: Leaf) -> str:
    return leaf.subtype or "plain"


def superclasses() -> str:
    """What a wheel can tell apart."""
    classes: dict[str, tuple[Leaf, ...]] = vars(inspect.getmodule(Leaf))["SUPERCLASSES"]
    rows = [
        (f"`{name}`", ", ".join(f"`{leaf.key}`" + f" {leaf.subtype}" * bool(leaf.subtype) for leaf in leaves))
        for name, leaves in classes.items()
    ]
    return table(("superclass", "what is in it"), rows)


def model_cards() -> str:
    """What the cards of the shipped models say."""
    digests = model_digests({path.stem: path.stem for path in shipped_models().glob("*.json")})
    rows = []
    for name, digest in digests.items():
        card = json.loads((shipped_models() / f"{name}.json").read_text(encoding="utf-8"))
        counts, trees = card["candidates"], card["trees"]
        rows.append(
            (
                f"`{name}`", ", ".join(f"`{d['name']}`" for d in card["data"]),
                f"{counts['learnt']}, {counts['defects']} of them at defects", str(len(card["features"])),
                " + ".join(str(trees[n]) for n in ("detect", "kinds", "size")), str(len(card["leaves"])),
                f"{card['fire']:.3g}", f"{1000 * card['per_m']:.3g}", f"`{digest[:12]}`",
            )
        )  # fmt: skip
    head = (
        "model", "drives", "candidates learnt from", "features", "trees: defect + kind + height", "kinds it names",
        "finding from p", "candidates on a km of healthy road", "SHA-256 of the card",
    )  # fmt: skip
    return table(head, rows)


def drive_sets() -> str:
    """Simulated drives of training and of the benchmark."""
    from defects.research import CONFUSION_SET, benchmark_sets, training_sets  # noqa: PLC0415

    rows = []
    for device in ("box", "phone"):
        sets = (*training_sets(device), *((CONFUSION_SET,) if device == "box" else ()), *benchmark_sets(device))
        for one in sets:
            use = {"learn": "learnt from", "calibrate": "calibrated on", "judge": "judged on"}[one.name.split("-")[0]]
            rows.append((f"`{one.name}`", use, one.physics, f"`{one.what}`", device, f"{one.km:g}", str(one.seed)))
    return table(("folder", "use", "physics", "roads", "device", "km", "seed"), rows)


def recognition_constants() -> str:
    """Constants of the recogniser and of its training, with their reasons."""
    return _named_constants(
        ("defects/gate.py", "TAPS_S"), ("defects/laser.py", "LOST"), ("defects/laser.py", "LOW_MM"),
        ("defects/told.py", "SPEED_EDGES_MPS"), ("defects/recognise.py", "MOST_SURE"),
        ("defects/model.py", "MOST_BYTES"), ("defects/research/train.py", "PER_KM"),
        ("defects/research/measures.py", "APART_S"),
    )  # fmt: skip


# ---------------------------------------------------------------- simulator.md


def simulator_constants() -> str:
    """Constants of the simulator that carry its outcome, with their reasons."""
    return _named_constants(
        ("sensors_sim/profile.py", "GD_N0_M3"), ("sensors_sim/profile.py", "EXPONENTS"),
        ("sensors_sim/profile.py", "STEP_M"), ("sensors_sim/profile.py", "PHYSICS_HZ"),
        ("sensors_sim/inertial.py", "BEHIND_M"), ("sensors_sim/receiver.py", "BOX_SIGMA_M"),
        ("sensors_sim/receiver.py", "PHONE_RADIUS_M"), ("sensors_sim/laser.py", "LINE_HZ"),
        ("sensors_sim/laser.py", "NOISE_M"), ("sensors_sim/first.py", "ROUGHNESS_MIX"),
        ("sensors_sim/ground.py", "SPACING_M"), ("sensors_sim/ground.py", "NATURAL_PER_KM"),
        ("sensors_sim/ground.py", "SWERVE_SHARE"), ("sensors_sim/ground.py", "PHONE_HZ"),
        ("sensors_sim/cutting.py", "LEAD_S"), ("sensors_sim/cutting.py", "CONTEXT_S"),
        ("sensors_sim/network.py", "ROUGHNESS"), ("sensors_sim/drivers.py", "SEEN"),
        ("sensors_sim/drivers.py", "RED_LIGHT"), ("sensors_sim/shares.py", "SLAB_S"),
    )  # fmt: skip


def drive_tables() -> str:
    """Columns of the tables of a data folder, and what they mean."""
    found = _constants("sensors_sim/dataset.py")
    rows = []
    for name, constant in (("truth.csv.gz", "TRUTH_COLUMNS"), ("trips.csv.gz", "TRIP_COLUMNS")):
        value, why = found[constant]
        columns: tuple[str, ...] = ast.literal_eval(value)
        rows.append((f"`{name}`", ", ".join(f"`{c}`" for c in columns), why))
    return table(("file", "columns", "what they mean"), rows)


def camera_assumed() -> str:
    """What the simulated camera is assumed to report of a red defect by day on a dry road."""
    matrix: dict[str, dict[str, float]] = ast.literal_eval(_constants("sensors_sim/sights.py")["CAMERA_CONFUSION"][0])
    rows = []
    for key, said in matrix.items():
        wrong = ", ".join(f"`{k}` {p:.2f}" for k, p in said.items() if k != key)
        rows.append((f"`{key}`", f"{said[key]:.2f}", wrong or "-", f"{1 - sum(said.values()):.2f}"))
    return table(("type", "named right", "taken for", "not reported"), rows)


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
    rows = [(f"`{r}`", ADVICE[r], ", ".join(f"`{p}`" for p in where[r.name]) or "**nowhere yet**") for r in Reason]
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
    routes = [r for router in (service, cells, tiles, devices) for r in router.router.routes if isinstance(r, APIRoute)]
    rows = [(f"`{'/'.join(sorted(r.methods or ()))} {r.path}`", _doc(r.endpoint)) for r in routes]
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
