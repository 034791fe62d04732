"""Codes of square metres as people read them: of a road section, and of strips of ten metres of a lane.

A section's colour: red if any of its squares is red; else yellow if any is yellow; else green if at least 80 % of the
squares that vehicles drove on (wheel paths: any pass within the validity) are green; else grey. A section on which
nobody drove is grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from grid import Section

from .code import NO_KIND, Codes, Colour, State
from .indices import (
    CAMERA_ONLY,
    PCI_GRADES,
    Estimate,
    Looked,
    PciOptions,
    estimate_pci,
    grade,
    pqi,
    rqi,
)
from .rough import Roughness, RoughOptions, iri_of
from .taxonomy import ALL_TYPES

Ints = NDArray[np.int64]

NO_GRADE = ("no_squares", "camera_coverage", "no_roughness")
"""Why a section has no grade: it has no squares; a camera saw too few of them; no box has measured its roughness."""
TRENDS = ("better", "worse", "steady")


@dataclass(frozen=True)
class ScaleOptions:
    """green_share: of the squares that were driven on, so many must be green for a green section. Lower, and a section
    is green that was half looked at; higher, and a single parked car keeps it grey. trend_days: what is compared with.
    trend_pci, trend_iri: change, in points and as a share, from which on a section is told better or worse; smaller,
    and noise is a trend, larger, and a pothole is none."""

    green_share: float = 0.8
    trend_days: int = 28
    trend_pci: float = 3.0
    trend_iri: float = 0.15
    window_days: int = 90
    pci: PciOptions = field(default_factory=PciOptions)
    rough: RoughOptions = field(default_factory=RoughOptions)


@dataclass(frozen=True)
class Areas:
    """Square metres by colour, and the share of grey."""

    colour: Colour
    red_m2: int
    yellow_m2: int
    green_m2: int
    cells: int

    @property
    def grey_share(self) -> float:
        """Share of the squares of which nothing is known, 1 where there are none."""
        return 1.0 - (self.red_m2 + self.yellow_m2 + self.green_m2) / self.cells if self.cells else 1.0


@dataclass(frozen=True)
class SectionScale:
    """One section on one day. camera_share: of its squares that a camera looked at or something was found in. cases:
    open ones with a square in it. why_no_grade: of `NO_GRADE`; trend: of `TRENDS`, None where nothing is old enough."""

    areas: Areas
    last_pass_day: date | None
    median_gap_days: float | None
    iri: Roughness | None
    pci: Estimate | None
    camera_share: float
    cases: int
    rqi: float | None
    pqi: float | None
    grade: str | None
    why_no_grade: str | None
    trend: str | None


@dataclass(frozen=True)
class Before:
    """What was told of a section some weeks ago, for its trend."""

    pci_est: float | None
    iri: float | None


def areas(codes: Codes, options: ScaleOptions = ScaleOptions()) -> Areas:
    """Areas and colour (see the module) of any squares of 1 m, given their codes."""
    count = np.bincount(codes["colour"], minlength=4)
    red, yellow, green = (int(count[c]) for c in (Colour.RED, Colour.YELLOW, Colour.GREEN))
    driven = codes["passes"] > 0
    green_driven = int((codes["colour"][driven] == Colour.GREEN).sum())
    if red:
        colour = Colour.RED
    elif yellow:
        colour = Colour.YELLOW
    elif green_driven and green_driven >= options.green_share * int(driven.sum()):
        colour = Colour.GREEN
    else:
        colour = Colour.GREY
    return Areas(colour, red, yellow, green, len(codes))


def looked_at(codes: Codes) -> tuple[Looked, float]:
    """What is known of the surface, from codes: by type the share of squares that were looked at thoroughly, where a
    coloured square counts as looked at for all types (what lies there is known); and the share that a camera saw: where
    every type that a camera alone sees was looked for, or something was found."""
    coloured = codes["colour"] >= Colour.YELLOW
    bits = codes["seen"].astype(np.int64)
    many = max(len(codes), 1)
    types = range(len(ALL_TYPES))
    looked = np.array([float((coloured | (bits >> max(n - 1, 0) & 1 == 1)).sum()) / many for n in types])
    mask = sum(1 << n - 1 for n in CAMERA_ONLY)
    camera = float((coloured | (bits & mask == mask)).sum()) / many
    known = coloured & (codes["kind"] != NO_KIND)
    sure = known & (codes["state"] == State.CONFIRMED)
    confirmed, suspected = (
        np.bincount(codes["kind"][which], minlength=len(ALL_TYPES))[: len(ALL_TYPES)].astype(np.int64)
        for which in (sure, known & ~sure)
    )
    return Looked(len(codes), looked, confirmed, suspected), camera


def median_gap_days(passes: Mapping[date, int]) -> float | None:
    """Median time between two passes, days, from how often the busiest wheel path was passed on each day; the passes of
    a day are taken to be spread evenly over it. None below two passes."""
    days = sorted(d for d, n in passes.items() if n > 0)
    if sum(passes[d] for d in days) < 2:
        return None
    gaps: list[float] = []
    weights: list[int] = []
    for before, day in zip([None, *days], days, strict=False):
        n = passes[day]
        if before is not None:
            gaps.append((day - before).days - 1 + 0.5 / n + 0.5 / passes[before])
            weights.append(1)
        if n > 1:
            gaps.append(1.0 / n)
            weights.append(n - 1)
    order = np.argsort(gaps, kind="stable")
    reached = np.cumsum(np.array(weights)[order])
    return float(np.array(gaps)[order][int(np.searchsorted(reached, reached[-1] / 2))])


def trend(now: Before, before: Before | None, options: ScaleOptions) -> str | None:
    """Better, worse or steady against some weeks ago: by the surface's estimate, then by the ride; None where nothing
    can be compared."""
    if before is None:
        return None
    compared = False
    if now.pci_est is not None and before.pci_est is not None:
        compared = True
        if abs(now.pci_est - before.pci_est) >= options.trend_pci:
            return "better" if now.pci_est > before.pci_est else "worse"
    if now.iri is not None and before.iri is not None and before.iri > 0:
        compared = True
        if abs(now.iri / before.iri - 1) >= options.trend_iri:
            return "better" if now.iri < before.iri else "worse"
    return "steady" if compared else None


def scale(
    section: Section,
    codes: Codes,
    passes: Mapping[date, int],
    rough: tuple[Ints, Ints, NDArray[np.float64]],
    cases: int,
    before: Before | None,
    options: ScaleOptions = ScaleOptions(),
) -> SectionScale:
    """One section from the codes of its squares.

    codes: of `CODE`, one a square of its carriageway. passes: of the busiest square on each day. rough: of the 16 m
    squares that the section touches: sums of ln(IRI), fixed-point, passes in them (int64), and how many of the
    section's square metres lie in each. before: what was told `trend_days` ago. The interval of the PCI is drawn with
    the section's number as seed, so that the same codes always give the same figures.
    """
    told = areas(codes, options)
    known, camera = looked_at(codes)
    driven = told.grey_share < 1.0 or bool(passes)
    estimate = estimate_pci(known, np.random.default_rng(section.number), options.pci) if driven else None
    iri = iri_of(*rough, options.rough)
    why = None
    if not told.cells:
        why = "no_squares"
    elif camera < options.pci.least_camera:
        why = "camera_coverage"
    elif iri is None:
        why = "no_roughness"
    ride = rqi(iri.iri) if iri is not None else None
    quality = pqi(ride, estimate.value, section.road_class) if ride is not None and estimate is not None else None
    now = Before(estimate.value if estimate else None, iri.iri if iri else None)
    days = [d for d, n in passes.items() if n > 0]
    return SectionScale(
        areas=told, last_pass_day=max(days, default=None), median_gap_days=median_gap_days(passes), iri=iri,
        pci=estimate, camera_share=camera, cases=cases, rqi=ride, pqi=quality,
        grade=grade(quality, PCI_GRADES[section.road_class]) if quality is not None and why is None else None,
        why_no_grade=why, trend=trend(now, before, options),
    )  # fmt: skip


def properties(number: int, section: Section, scale_: SectionScale) -> dict[str, object]:
    """A section as it stands in answers and in its snapshot: plain values, null where nothing is known."""

    def short(value: float | None, digits: int) -> float | None:
        return None if value is None else round(value, digits)

    iri, est = scale_.iri, scale_.pci
    return {
        "number": number, "name": section.name, "name_zh": section.name_zh, "road_class": section.road_class,
        "district": section.district, "length_m": round(section.length_m, 1), **area_properties(scale_.areas),
        "cells": scale_.areas.cells, "camera_share": round(scale_.camera_share, 4),
        "last_pass_day": scale_.last_pass_day.isoformat() if scale_.last_pass_day else None,
        "median_gap_days": short(scale_.median_gap_days, 3),
        "iri": short(iri.iri if iri else None, 2), "iri_low": short(iri.low if iri else None, 2),
        "iri_high": short(iri.high if iri else None, 2),
        "rqi": short(scale_.rqi, 2), "pci_est": short(est.value if est else None, 1),
        "pci_low": short(est.low if est else None, 1), "pci_high": short(est.high if est else None, 1),
        "pqi": short(scale_.pqi, 1), "grade": scale_.grade,
        "why_no_grade": scale_.why_no_grade, "trend": scale_.trend, "cases": scale_.cases,
    }  # fmt: skip


def area_properties(told: Areas) -> dict[str, object]:
    """Colour, areas and share of grey as plain values."""
    return {
        "colour": told.colour.name.lower(), "red_m2": told.red_m2, "yellow_m2": told.yellow_m2,
        "green_m2": told.green_m2, "grey_share": round(told.grey_share, 4),
    }  # fmt: skip


def busiest(passes: Sequence[Ints]) -> int:
    """Passes of the busiest of the squares, given those of the squares in each block; 0 of none."""
    return max((int(p.max()) for p in passes if len(p)), default=0)
