"""A certificate to print and put up: QR code, colour as colour, word and shape, place, and until when. No scripts."""

from __future__ import annotations

from html import escape

from defects import Colour
from ledger import Certificate, qr_svg

from .certificate_words import COLOUR_WORDS, moment, origin_words, place_of, words_of

FILL = {Colour.GREY: "#8d97a3", Colour.GREEN: "#2fa866", Colour.YELLOW: "#f0b400", Colour.RED: "#dc2f3f"}
INK = {Colour.GREY: "#17212b", Colour.GREEN: "#06281a", Colour.YELLOW: "#2b2200", Colour.RED: "#ffffff"}
SHAPES = {
    Colour.GREY: '<rect x="8" y="8" width="84" height="84" rx="4" stroke-dasharray="12 7"/>',
    Colour.GREEN: '<circle cx="50" cy="50" r="44"/>',
    Colour.YELLOW: '<path d="M50 5 96 91H4Z"/>',
    Colour.RED: '<path d="M32 5h36l27 27v36L68 95H32L5 68V32Z"/>',
}
"""Circle, triangle, octagon, and a dashed square: who sees no colours, or a copy in black and white, sees the shape.
Those of traffic signs, so that nobody has to learn them."""

_STYLE = """
@page { size: A5; margin: 10mm; }
* { box-sizing: border-box; }
body { margin: 0; background: #eceeea; color: #17212b; font: 15px/1.45 system-ui, -apple-system, "Segoe UI",
  "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
main { max-width: 520px; margin: 20px auto; padding: 22px 24px; background: #fff; border: 1px solid #cfd6da; }
h1 { margin: 0; font-size: 25px; line-height: 1.2; }
h1 small { display: block; font-size: 14px; font-weight: 500; color: #55626f; }
.banner { margin: 12px 0 0; padding: 7px 12px; background: #ffe9a6; color: #3a2a00; font-weight: 700;
  border: 2px solid #3a2a00; }
.code { display: flex; align-items: center; gap: 16px; margin: 14px 0; padding: 12px 14px; border: 3px solid; }
.code svg { flex: none; width: 92px; height: 92px; }
.code b { display: block; font-size: 21px; line-height: 1.3; }
.code span { color: #3c4853; }
.qr svg { display: block; width: min(100%, 92mm); height: auto; margin: 0 auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 14px; margin: 12px 0; }
dt { color: #55626f; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
p { margin: 8px 0 0; font-size: 12.5px; color: #3c4853; }
@media print { body { background: #fff; } main { margin: 0; border: 0; padding: 0; max-width: none; } }
"""


def shape_svg(colour: Colour) -> str:
    """The colour's shape with its sign within."""
    fill, ink = FILL[colour], INK[colour]
    sign = COLOUR_WORDS[colour][0]
    middle = 66 if colour == Colour.YELLOW else 50
    return (
        f'<svg viewBox="0 0 100 100" role="img" aria-label="{COLOUR_WORDS[colour][2]}">'
        f'<g fill="{fill}" stroke="#17212b" stroke-width="4">{SHAPES[colour]}</g>'
        f'<text x="50" y="{middle}" fill="{ink}" font-size="38" font-weight="700" text-anchor="middle" '
        f'dominant-baseline="central">{sign}</text></svg>'
    )


def sheet(said: Certificate, text: str, city: str, city_zh: str) -> str:
    """The page for a certificate's text."""
    colour = Colour(said.colour)
    zh, en = words_of(said)
    lon, lat = said.position
    origin_zh, origin_en = origin_words(said)
    banner = (
        ""
        if said.origins == ("live",)
        else (f'<p class="banner">{origin_zh}数据，不代表真实道路 · {origin_en}: not a real road\'s state</p>')
    )
    size = f"{said.extent_m} × {said.extent_m} m" if said.cell is not None else f"{said.extent_m} m"
    facts = (
        ("地点 Place", f"{place_of(said)} · {size}"), ("位置 Position", f"{lat:.5f}, {lon:.5f}"),
        ("有效至 Valid until", moment(said.expires_s)), ("签发 Issued", f"{moment(said.issued_s)} · {said.issuer}"),
        ("数据 Data", f"{origin_zh} {origin_en}"),
    )  # fmt: skip
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>路面健康码凭证 Road certificate · {escape(place_of(said))}</title><style>{_STYLE}</style></head>"
        "<body><main>"
        f"<h1>路面健康码 <small>Road health code · {escape(city_zh)} {escape(city)}</small></h1>{banner}"
        f'<div class="code" style="border-color:{FILL[colour]}">{shape_svg(colour)}'
        f"<div><b>{escape(zh)}</b><span>{escape(en)}</span></div></div>"
        f'<div class="qr">{qr_svg(text)}</div><dl>{rows}</dl>'
        "<p>二维码可被复制：请核对地点和有效期。它证明本区当日对此处的说法，不是法定检测。 A QR code can be copied: "
        "compare place and time. It proves what the district said of this place that day, and is no legal "
        "inspection.</p>"
        "</main></body></html>"
    )
