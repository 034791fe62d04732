"""The generated tables of docs/indices.md: deduct points, and the constants of indices, scales and roughness."""

from __future__ import annotations

import ast
from dataclasses import fields

from defects import ALL_TYPES, ScaleOptions

from .code_text import constants, options_table, table


def deduct_points() -> str:
    """Deduct points by type and density, and as what the types beyond the table count."""
    found = constants("defects/indices.py")
    points: dict[str, tuple[float, ...]] = ast.literal_eval(found["DEDUCT"][0])
    densities: tuple[float, ...] = ast.literal_eval(found["DENSITIES_PCT"][0])
    groups: tuple[tuple[str, ...], ...] = ast.literal_eval(found["GROUPS"][0])
    as_: dict[str, str] = ast.literal_eval(found["COUNTED_AS"][0])
    names = {t.key: f"`{t.key}` {t.zh}" for t in ALL_TYPES}
    rows = [
        (str(n), names[key], *(f"{p:g}" for p in points[key])) for n, group in enumerate(groups, 1) for key in group
    ]
    rows += [("", names[key], f"as `{other}`", *[""] * (len(densities) - 1)) for key, other in as_.items()]
    return table(("group", "type", *(f"{d:g} %" for d in densities)), rows)


def grade_bounds() -> str:
    """Lowest values of grades A, B, C and the ride's weight, by class of road."""
    found = constants("defects/indices.py")
    pci, rqi, ride = (ast.literal_eval(found[name][0]) for name in ("PCI_GRADES", "RQI_GRADES", "RIDE_SHARE"))

    def three(bounds: tuple[float, ...]) -> str:
        return " / ".join(f"{b:g}" for b in bounds)

    rows = [(f"`{c}`", three(pci[c]), three(rqi[c]), f"{ride[c]:g}", f"{1 - ride[c]:g}") for c in pci]
    return table(("class", "PCI and PQI: A / B / C", "RQI: A / B / C", "w1, of RQI", "w2, of PCI"), rows)


def _options(name: str) -> str:
    (kind,) = (type(f.default_factory()) for f in fields(ScaleOptions) if f.name == name)  # type: ignore[misc]
    return options_table(kind)


def scale_options() -> str:
    """How squares become sections."""
    return options_table(ScaleOptions)


def pci_options() -> str:
    """How the estimate's interval is made."""
    return _options("pci")


def rough_options() -> str:
    """How levels become IRI."""
    return _options("rough")
