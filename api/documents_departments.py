"""Tables of docs/departments.md, read from what the gate itself decides by."""

from __future__ import annotations

from ledger import department

from . import sharing
from .code_text import table
from .departments import STATUS

_ANYBODY = "every certificate"


def department_scopes() -> str:
    """What each scope opens, and which kinds of departments may have it."""
    rows = []
    for scope, text in department.SCOPES.items():
        paths = [f"`{p.template}`" for p in sharing.PATHS if scope in p.scopes]
        kinds = [f"`{k}`" for k, scopes in department.KINDS.items() if scope in scopes]
        rows.append((f"`{scope}`", text, ", ".join(kinds), ", ".join(paths) or "no path yet"))
    return table(("scope", "what", "for", "paths"), rows)


def department_fields() -> str:
    """Of each path, which fields each scope opens, and what a limited certificate does not see."""
    rows = []
    for path in sharing.PATHS:
        by_scope: dict[str, list[str]] = {}
        for name, scope in (path.fields or {"the answer as it is": path.scope}).items():
            by_scope.setdefault(scope, []).append(f"`{name}`" if path.fields else name)
        said = "; ".join(f"{_ANYBODY if s == sharing.ANY else s}: {', '.join(n)}" for s, n in by_scope.items())
        hidden = [
            f"{what}: {', '.join(f'`{n}`' for n in names)}"
            for what, names in (("districts", path.area), ("kinds", path.kinds)) if names
        ]  # fmt: skip
        rows.append((f"`{path.method} {path.template}`", said, "; ".join(hidden) if path.limited else "all of it"))
    return table(("request", "fields by scope", "not for a certificate limited to"), rows)


def department_refusals() -> str:
    """Names and statuses of refusals."""
    return table(("error", "status"), [(f"`{name}`", str(status)) for name, status in STATUS.items()])
