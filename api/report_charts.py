"""Charts of the report as inline SVG: no script, readable in print and without colour (each colour has its letter)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

COLOURS = ("red", "yellow", "green", "grey")
FILL = {"red": "#dc2f3f", "yellow": "#f0b400", "green": "#2fa866", "grey": "#c3cad1"}
INK = {"red": "#ffffff", "yellow": "#2b2200", "green": "#06281a", "grey": "#2c353d"}
_QUIET = "#55626f"
_LINE = "#dde2e6"
_W = 340.0
_LABEL = 158.0  # the longest name of a type in both languages


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title, quote=True)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(body)}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = _QUIET, size: float = 9.5) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-size="{size:g}">{escape(text)}</text>'
    )


def share_bar(row: Mapping[str, Any], title: str, height: float = 16.0, width: float = _W) -> str:
    """One bar of the four colours' shares, each with its percentage where it has room."""
    body, x = [], 0.0
    for colour in COLOURS:
        w = width * float(row[colour])
        if w <= 0:
            continue
        body.append(f'<rect x="{x:.2f}" y="0" width="{w:.2f}" height="{height:g}" fill="{FILL[colour]}"/>')
        if w >= 26:
            share = f"{row[colour]:.0%}"
            body.append(_text(x + w / 2, height / 2 + 3.4, share, anchor="middle", fill=INK[colour], size=9))
        x += w
    return _svg(width, height, title, body)


def days_chart(days: Sequence[Mapping[str, Any]], title: str, width: float = _W, height: float = 150.0) -> str:
    """Shares of length by colour, a column a day, grey on top: what is unknown is not left out."""
    left, top, bottom = 30.0, 8.0, height - 20.0
    span = bottom - top
    body = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - span * share
        body.append(f'<line x1="{left:g}" x2="{width:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_LINE}"/>')
        body.append(_text(left - 4, y + 3.3, f"{share:.0%}", anchor="end"))
    step = (width - left) / max(len(days), 14)
    for k, row in enumerate(days):
        y = bottom
        for colour in COLOURS:
            h = span * float(row[colour])
            y -= h
            if h > 0:
                body.append(
                    f'<rect x="{left + k * step + step * 0.08:.2f}" y="{y:.2f}" width="{step * 0.84:.2f}" '
                    f'height="{h:.2f}" fill="{FILL[colour]}"/>'
                )
    body += _dates(days, left, step, height)
    return _svg(width, height, title, body)


def _dates(days: Sequence[Mapping[str, Any]], left: float, step: float, height: float) -> list[str]:
    every = 7 if len(days) > 8 else 3 if len(days) > 4 else 1
    told = [k for k in range(len(days)) if (len(days) - 1 - k) % every == 0]
    return [
        _text(left + (k + 0.5) * step, height - 6, str(days[k]["day"])[5:], anchor="end" if k > len(days) - 2 and
              len(days) >= 14 else "middle")
        for k in told
    ]  # fmt: skip


def band_chart(
    days: Sequence[Mapping[str, Any]], names: tuple[str, str, str], title: str, width: float = _W,
    height: float = 150.0,
) -> str:  # fmt: skip
    """A line with its interval over the days. names: of value, low and high; the last two may be "" for none."""
    value, low, high = names
    told = [(k, row) for k, row in enumerate(days) if row.get(value) is not None]
    left, top, bottom = 30.0, 8.0, height - 20.0
    if not told:
        return _svg(width, height, title, [_text(width / 2, height / 2, "— 未测 not measured —", anchor="middle")])
    ends = [float(row[n]) for _, row in told for n in names if n and row.get(n) is not None]
    floor, ceiling = min(ends), max(ends)
    room = max((ceiling - floor) * 0.15, 0.5)
    floor, ceiling = max(floor - room, 0.0), ceiling + room
    step = (width - left) / max(len(days), 14)

    def at(k: int, v: float) -> tuple[float, float]:
        return left + (k + 0.5) * step, bottom - (v - floor) / (ceiling - floor) * (bottom - top)

    body = []
    for part in (0.0, 0.5, 1.0):
        v = floor + (ceiling - floor) * part
        y = at(0, v)[1]
        body.append(f'<line x1="{left:g}" x2="{width:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_LINE}"/>')
        body.append(_text(left - 4, y + 3.3, f"{v:.0f}" if ceiling - floor > 12 else f"{v:.1f}", anchor="end"))
    if low and high:
        edge = [at(k, float(row[high])) for k, row in told] + [at(k, float(row[low])) for k, row in reversed(told)]
        body.append(f'<polygon points="{_points(edge)}" fill="#0b63b5" opacity="0.16"/>')
    line = [at(k, float(row[value])) for k, row in told]
    body.append(f'<polyline points="{_points(line)}" fill="none" stroke="#0b63b5" stroke-width="1.8"/>')
    x, y = line[-1]
    body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0b63b5"/>')
    body += _dates(days, left, step, height)
    return _svg(width, height, title, body)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def bars(rows: Sequence[tuple[str, float]], title: str, fill: str = "#0b63b5", width: float = _W) -> str:
    """Horizontal bars with their numbers, a row each."""
    most = max((v for _, v in rows), default=0.0) or 1.0
    body = []
    for k, (name, v) in enumerate(rows):
        y = k * 22.0
        body.append(_text(0, y + 14, name, fill="#17212b", size=10))
        w = (width - _LABEL - 40) * v / most
        body.append(f'<rect x="{_LABEL:g}" y="{y + 4:g}" width="{max(w, 0.5):.1f}" height="13" rx="2" fill="{fill}"/>')
        body.append(_text(_LABEL + 6 + w, y + 14, f"{v:,.0f}", size=10))
    return _svg(width, max(len(rows), 1) * 22.0, title, body)
