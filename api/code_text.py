"""What the code says of itself, read for the documents: constants with reasons, options, docstrings, as tables."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars and line ends inside cells are made harmless."""

    def line(cells_: Iterable[str]) -> str:
        return "| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in cells_) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *(line(row) for row in rows)])


def doc(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def source(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def constants(path: str) -> dict[str, tuple[ast.expr, str]]:
    """Module constants of a file, each with the text that stands below it (empty where there is none).

    Read and not imported: a room is entered by its door, and these are told to people, not used.
    """
    found: dict[str, tuple[ast.expr, str]] = {}
    body = source(path).body
    for i, node in enumerate(body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if not isinstance(target, ast.Name) or not isinstance(value, ast.expr):
            continue
        below = body[i + 1] if i + 1 < len(body) else None
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        found[target.id] = (value, text if isinstance(text, str) else "")
    return found


def named_constants(*places: tuple[str, str]) -> str:
    rows = []
    for path, name in places:
        value, why = constants(path)[name]
        rows.append((f"`{name.lstrip('_')}`", f"`{ast.unparse(value)}`", why, f"`{path}`"))
    return table(("constant", "value", "why", "where"), rows)


def options_table(kind: type[Any]) -> str:
    """The constants of an options class, and below them what its docstring says of them."""
    rows = []
    for f in fields(kind):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        shown = "see below" if hasattr(default, "__dataclass_fields__") else f"`{short(default)}`"
        rows.append((f"`{f.name}`", shown))
    first, _, rest = doc(kind).partition("\n\n")
    why = "\n".join(f"> {line}".rstrip() for line in (rest or first).splitlines())
    return f"{table(('constant', 'value'), rows)}\n\n{why}"


def short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {short(v)}" for k, v in value.items())
    return str(value)
