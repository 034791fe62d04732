"""Who sees which field: what each scope of a department's certificate opens of each answer. Pure.

Nothing is shared that is not listed. A path that has no line here is closed to departments, and a field without a line
is cut out of the answer. tests/api/test_sharing.py holds the lines against the answers of a running platform.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from ledger import department

Certificate = department.Certificate

ANY: Final = "any"
"""What every certificate opens: what the instance says of itself."""
_AREA, _KINDS = "area", "kinds"

Scope = str
Fields = Mapping[str, Scope]


@dataclass(frozen=True, eq=False)
class Path:
    """What is shared of the answers at a path.

    template: as in the routes; `{name}` is one part of a path, `{name:path}` the rest. fields: the scope of each field,
    None for what is no JSON and goes as it is, with `scope`. A field is written `a.b[].c`; `*` is any name, and `**`
    all that lies below. area, kinds: fields (by their beginning) that speak of the whole city, or of defects of every
    kind: not for a certificate that is limited so. limited: whether the route keeps to a certificate's area and kinds;
    where it does not, only fields for `any` go to a limited one.
    """

    method: str
    template: str
    scope: Scope = ""
    fields: Fields | None = None
    area: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    limited: bool = False
    pattern: re.Pattern[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """The template as a pattern."""
        parts = re.split(r"(\{\w+(?::path)?\})", self.template)
        made = "".join(
            (".+" if p.endswith(":path}") else "[^/]+") if p.startswith("{") else re.escape(p) for p in parts
        )
        object.__setattr__(self, "pattern", re.compile(made + r"\Z"))

    @property
    def writes(self) -> bool:
        """Whether a request here changes something: its token then counts once."""
        return self.method not in ("GET", "HEAD")

    @property
    def scopes(self) -> frozenset[Scope]:
        """Any of these opens the path."""
        return frozenset({self.scope} - {""} | set((self.fields or {}).values()))


def _of(scope: Scope, *names: str) -> dict[str, Scope]:
    return dict.fromkeys(names, scope)


_CODE = ("colour", "state", "kind")
_COLLECTION = _of("map", "type", "truncated", "banner", "features[].type", "features[].id", "features[].geometry.**")
_SECTION = (
    "number", "name", "name_zh", "road_class", "district", "length_m", "colour", "red_m2", "yellow_m2", "green_m2",
    "grey_share", "cells", "camera_share", "cases", "why_no_grade", "last_pass_day", "median_gap_days", "iri",
    "iri_low", "iri_high", "rqi", "pci_est", "pci_low", "pci_high", "pqi", "grade", "trend",
)  # fmt: skip
_SECTION_ITSELF = ("number", "name", "name_zh", "road_class", "district", "length_m")
_SECTION_JUDGED = tuple(name for name in _SECTION if name not in _SECTION_ITSELF)
_PASS = (
    "at", "day", "sensor", "what", "kind", "weight", "speed_kmh", "sigma_m", "g", "p", "named", "subtype", "named_p",
    "size_mm", "passes", "devices_at_least",
)  # fmt: skip
_STRIP = (
    "lane", "index", "colour", "red_m2", "yellow_m2", "green_m2", "grey_share", "cells", "camera_share", "cases", "iri",
)  # fmt: skip


PATHS: Final = (
    Path(
        "GET", "/api/v1/city", limited=True,
        fields=_of(ANY, "name", "name_zh", "banner", "centre[]", "utm_zone", "utm_north", "region_code", "origins[]",
                   "frame", "version") | _of("reports", "roads.**"),
        area=("roads",), kinds=("roads",),
    ),
    Path(
        "GET", "/api/v1/summary", limited=True,
        fields=_of(ANY, "records", "anchored", "anchors", "anchored_at")
        | _of("reports", "cells.*", "area_m2.*", "coarse.*", "cases", "chunks", "refused", "bbox[]"),
        area=("cells", "area_m2", "coarse", "cases", "chunks", "refused", "bbox"),
        kinds=("cells", "area_m2", "coarse", "cases", "chunks", "refused"),
    ),
    Path(
        "GET", "/api/v1/cells", limited=True,
        fields=_COLLECTION | _of("map", *(f"features[].properties.{n}" for n in ("cell", "level", *_CODE))),
    ),
    Path("GET", "/api/v1/at", limited=True, fields=_of("map", "cell")),
    Path(
        "GET", "/api/v1/cells/{cell}", limited=True,
        fields=_of("map", "cell", "name", "side_m", "polygon.**", "colour", "state", "kind.*", "flags[]", "severity",
                   "size_mm", "sigma_m", "seen[]", "not_seen[]", "of", "passes", "origin[]", "history[].at",
                   "history[].before.*", "history[].after.*", "history[].why")
        | _of("passes", *(f"evidence[].{n}" for n in _PASS), "kept_from.*")
        | _of("cases", "case.*")
        | _of("proofs", "proof.status", "proof.steps[].*", "proof.record.*"),
        kinds=("seen", "not_seen", "passes", "evidence"),
    ),
    Path(
        "GET", "/api/v1/cells/{cell}/history", limited=True,
        fields=_of("map", "cell", "truncated", "changes[].at", "changes[].day", "changes[].before.*",
                   "changes[].after.*", "changes[].why")
        | _of("passes", *(f"changes[].passes[].{n}" for n in _PASS), "changes[].passes_told")
        | _of("registers", "register.harmless.*", "register.works[].*", "register.repairs[].*"),
        kinds=("changes[].passes", "changes[].passes_told"),
    ),
    Path(
        "GET", "/api/v1/cases", limited=True,
        fields=_of("cases", "type", "banner", "features[].type", "features[].id", "features[].geometry.**",
                   *(f"features[].properties.{n}"
                     for n in ("id", "state", "opened", "cells[]", "kind.*", "confirmed"))),
    ),
    Path(
        "GET", "/api/v1/sections", limited=True,
        fields=_COLLECTION | _of("map", *(f"features[].properties.{n}" for n in _SECTION)),
        kinds=tuple(f"features[].properties.{n}" for n in _SECTION_JUDGED),
    ),
    Path(
        "GET", "/api/v1/sections/{number}", limited=True,
        fields=_of("map", *_SECTION, "day", "geometry.**", "lanes", "width_m", "width_known", "cells_bbox[]", "banner",
                   "history[].*") | _of("registers", "owner"),
        kinds=(*_SECTION_JUDGED, "day", "history"),
    ),
    Path(
        "GET", "/api/v1/sections/{number}/strips", limited=True,
        fields=_COLLECTION | _of("map", *(f"features[].properties.{n}" for n in _STRIP)),
        kinds=tuple(f"features[].properties.{n}" for n in _STRIP if n not in ("lane", "index")),
    ),
    Path("GET", "/tiles/{z}/{x}/{y}", "map", limited=True),
    Path("GET", "/events", "map", limited=True),
    Path("GET", "/report/daily", "reports"),
    Path("GET", "/openapi.json", ANY, limited=True),
    Path("GET", "/log/{rest:path}", "log"),
)  # fmt: skip
"""Every path that departments may ask at all."""


CLOSED: Final = ("/metrics", "/healthz", "/api/v1/consent", "/api/v1/devices", "/api/v1/me")
"""Paths that are not for departments, and what is below them: the operator's own, and those of devices and citizens,
which ask for a password of their own."""


def is_closed(path: str) -> bool:
    """Whether a path is closed to departments by name; what is neither closed nor listed was forgotten."""
    return any(path == closed or path.startswith(closed + "/") for closed in CLOSED)


def path_of(method: str, path: str) -> Path | None:
    """The line of a request, None where there is none."""
    return next((p for p in PATHS if p.method == method and p.pattern.match(path)), None)


def opened(path: Path, certificate: Certificate) -> frozenset[Scope]:
    """The scopes of a path that a certificate opens there; empty where it opens nothing."""
    mine = path.scopes & {ANY, *certificate.scopes}
    if path.limited or not certificate.limited:
        return mine
    return mine & {ANY}


def scoped(path: Path, certificate: Certificate) -> bool:
    """Whether a certificate has a scope of a path at all."""
    return bool(path.scopes & {ANY, *certificate.scopes})


def shown(path: Path, answer: Any, certificate: Certificate) -> Any:
    """What a certificate shows of an answer: the same shape, without the fields that it does not open. Of changes only
    those to or from the kinds that it names."""
    if path.fields is None:
        return answer
    tree = _tree(path, certificate.scopes, certificate.area is not None, certificate.kinds is not None)
    kept = _cut(answer, tree)
    if certificate.kinds is not None and isinstance(kept, dict):
        for name in ("history", "changes"):
            if isinstance(kept.get(name), list):
                kept[name] = list(_of_kinds(kept[name], certificate.kinds))
    return kept


def unlisted(path: Path, answer: Any) -> list[str]:
    """Fields of an answer that have no line, each once."""
    whole: dict[str, Any] = {}
    for name in path.fields or {}:
        _plant(whole, name)
    found = dict.fromkeys(_stray(answer, whole, ""))
    return list(found)


@lru_cache(maxsize=4096)
def _tree(path: Path, scopes: tuple[str, ...], in_area: bool, of_kinds: bool) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    hidden = (path.area if in_area else ()) + (path.kinds if of_kinds else ())
    for name, scope in (path.fields or {}).items():
        below = any(name == h or name.startswith((h + ".", h + "[")) for h in hidden)
        if (scope == ANY or scope in scopes) and not below:
            _plant(tree, name)
    return tree


def _plant(tree: dict[str, Any], name: str) -> None:
    for part in name.replace("[]", ".[]").split("."):
        tree = tree.setdefault(part, {})


def _cut(value: Any, tree: dict[str, Any]) -> Any:
    if "**" in tree or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [_cut(v, tree["[]"]) for v in value] if "[]" in tree else []
    below = {k: tree.get(k, tree.get("*")) for k in value}
    return {k: _cut(v, t) for k, v in value.items() if (t := below[k]) is not None}


def _stray(value: Any, tree: dict[str, Any], at: str) -> Iterable[str]:
    if "**" in tree:
        return
    if isinstance(value, dict):
        for name, v in value.items():
            under = tree.get(name, tree.get("*"))
            where = f"{at}.{name}" if at else name
            if under is None:
                yield where
            else:
                yield from _stray(v, under, where)
    elif isinstance(value, list):
        if "[]" not in tree:
            yield f"{at}[]"
            return
        for v in value:
            yield from _stray(v, tree["[]"], f"{at}[]")
    elif tree and value is not None:
        yield at  # a value where the lines say that there is more below


def _of_kinds(changes: list[Any], kinds: tuple[str, ...]) -> Iterable[Any]:
    for change in changes:
        sides = {side: change.get(side) for side in ("before", "after")}
        mine = {side: code if code and code.get("kind") in kinds else None for side, code in sides.items()}
        if any(mine.values()):
            yield {**change, **mine}
