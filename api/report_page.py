"""The day's report as one HTML page to print: A4, Chinese and English, charts within, no scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .report_charts import COLOURS, FILL, band_chart, bars, days_chart, share_bar

_CLASSES = {
    "expressway": "快速路 expressway", "trunk": "主干路 trunk", "secondary": "次干路 secondary",
    "branch": "支路 branch", "unknown": "未知 unknown",
}  # fmt: skip
_WORDS = {"red": "红 red", "yellow": "黄 yellow", "green": "绿 green", "grey": "灰 grey"}
_TRENDS = {"better": "好转 better", "worse": "变差 worse", "steady": "平稳 steady"}
_GAPS = {
    "hour": "一小时内 an hour", "day": "一天内 a day", "week": "一周内 a week", "longer": "更久 longer",
    "never": "未经过 never",
}  # fmt: skip
_WHY = {
    "camera_coverage": "摄像头覆盖不足 80% camera saw under 80 %", "no_roughness": "无平整度 no box measured roughness",
    "no_squares": "无面积 no squares",
}  # fmt: skip

_STYLE = """
@page { size: A4; margin: 14mm 13mm 15mm; }
* { box-sizing: border-box; }
body { margin: 0; background: #eceeea; color: #17212b; font: 13px/1.5 system-ui, -apple-system, "Segoe UI",
  "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
main { max-width: 820px; margin: 24px auto; padding: 34px 40px 40px; background: #fff;
  box-shadow: 0 1px 3px rgb(20 30 40 / .12), 0 10px 30px rgb(20 30 40 / .08); }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 12px 24px; flex-wrap: wrap;
  padding-bottom: 12px; border-bottom: 2px solid #17212b; }
h1 { margin: 0; font-size: 23px; line-height: 1.25; letter-spacing: .01em; }
h1 small { display: block; font-size: 13px; font-weight: 500; color: #55626f; letter-spacing: 0; }
.day { text-align: right; font-size: 20px; font-weight: 680; font-variant-numeric: tabular-nums; line-height: 1.25; }
.day small { display: block; font-size: 12px; font-weight: 500; color: #55626f; }
.banner { margin-top: 12px; padding: 5px 12px; border-radius: 6px; background: #ffe9a6; color: #3a2a00;
  font-weight: 600; }
h2 { margin: 24px 0 8px; font-size: 14.5px; line-height: 1.3; }
h2 small { font-size: 12px; font-weight: 500; color: #55626f; margin-left: 6px; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; margin-top: 18px; }
.tiles div { padding: 10px 12px; border: 1px solid #dde2e6; border-radius: 8px; min-width: 0; }
.tiles b { display: block; font-size: 21px; line-height: 1.2; font-weight: 680; font-variant-numeric: tabular-nums; }
.tiles b .fine { font-weight: 500; font-size: 13px; }
.tiles span { font-size: 11.5px; color: #55626f; display: block; line-height: 1.4; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 28px; }
section { break-inside: avoid; min-width: 0; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
.key { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 6px 0 0; padding: 0; list-style: none; font-size: 11.5px;
  color: #55626f; }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: #55626f; font-size: 11px; line-height: 1.3; vertical-align: bottom; }
th, td { padding: 5px 8px 5px 0; border-bottom: 1px solid #e6eaed; }
td.n, th.n { text-align: right; white-space: nowrap; }
td svg { min-width: 120px; }
tr { break-inside: avoid; }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 6px; }
.fine, .none { font-size: 11.5px; color: #55626f; }
footer { margin-top: 26px; padding-top: 10px; border-top: 1px solid #dde2e6; font-size: 11px; color: #55626f; }
@media screen and (max-width: 700px) {
  main { margin: 0; padding: 20px 16px 28px; box-shadow: none; }
  .tiles { grid-template-columns: 1fr 1fr; } .two { grid-template-columns: 1fr; } .day { text-align: left; }
}
@media print { body { background: #fff; font-size: 11.5px; }
  main { margin: 0; padding: 0; max-width: none; box-shadow: none; }
  h2 { margin-top: 16px; break-after: avoid; } .scroll { overflow: visible; } }
"""


def _head(zh: str, en: str) -> str:
    return f"<h2>{escape(zh)}<small>{escape(en)}</small></h2>"


def _number(value: float | None, digits: int = 0) -> str:
    return "—" if value is None else f"{value:,.{digits}f}"


def _with_interval(row: Mapping[str, Any]) -> str:
    if row["pci_est"] is None:
        return "—"
    return f"{row['pci_est']:.1f} <span class='fine'>({row['pci_low']:.0f}–{row['pci_high']:.0f})</span>"


def _tile(value: str, zh: str, en: str) -> str:
    return f"<div><b>{value}</b><span>{escape(zh)}<br>{escape(en)}</span></div>"


def _name(row: Mapping[str, Any]) -> str:
    names = " ".join(escape(n) for n in (row["name_zh"], row["name"]) if n) or "无名路段 unnamed"
    dot = f'<i class="dot" style="background:{FILL[row["colour"]]}"></i>'
    return f'{dot}{names} <span class="fine">{row["number"]}</span>'


def _rows(rows: Sequence[Mapping[str, Any]], key: str, words: Mapping[str, str]) -> str:
    body = []
    for row in rows:
        name = words.get(row[key], row[key]) or "未分区 no district"
        body.append(
            f"<tr><td>{escape(name)}</td><td class=n>{row['km']:,.1f}</td><td>{share_bar(row, name, 14, 330)}</td>"
            f"<td class=n>{_number(row['iri'], 1)}</td><td class=n>{_with_interval(row)}</td></tr>"
        )
    head = (
        "<tr><th></th><th class=n>km</th><th>红黄绿灰 red, yellow, green, grey</th><th class=n>IRI m/km</th>"
        "<th class=n>PCI（估计）<br>estimated</th></tr>"
    )
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table></div>"


def _worst(rows: Sequence[Mapping[str, Any]], many: int) -> str:
    if not rows:
        return '<p class="none">没有已知的红色或黄色路段 · no section is known to be red or yellow</p>'
    body = "".join(
        f"<tr><td>{_name(r)}</td><td class=n>{r['red_m2']}</td><td class=n>{r['yellow_m2']}</td>"
        f"<td class=n>{r['grey_share']:.0%}</td><td class=n>{_with_interval(r)}</td>"
        f"<td class=n>{_number(r['iri'], 1)}</td>"
        f"<td title='{escape(_WHY.get(r['why_no_grade'] or '', ''), quote=True)}'>{r['grade'] or '—'}</td>"
        f"<td>{escape(_TRENDS.get(r['trend'] or '', '—'))}</td></tr>"
        for r in rows
    )
    more = f'<p class="fine">另有 {many - len(rows)} 段 · {many - len(rows)} more</p>' if many > len(rows) else ""
    head = (
        "<tr><th>路段 section</th><th class=n>红 red m²</th><th class=n>黄 yellow m²</th><th class=n>灰 grey</th>"
        "<th class=n>PCI（估计）est.</th><th class=n>IRI</th><th>等级<br>grade</th><th>趋势 trend</th></tr>"
    )
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{body}</tbody></table></div>{more}"


def _moved(rows: Sequence[Mapping[str, Any]], many: int) -> str:
    if not rows:
        return '<p class="none">当日没有路段变色 · no section changed its colour on the day</p>'
    body = "".join(
        f"<tr><td>{_name(r)}</td><td>{_WORDS[r['was']]}</td><td>→ {_WORDS[r['colour']]}</td></tr>" for r in rows
    )
    more = f'<p class="fine">另有 {many - len(rows)} 段 · {many - len(rows)} more</p>' if many > len(rows) else ""
    return f"<div class=scroll><table><tbody>{body}</tbody></table></div>{more}"


def page(told: Mapping[str, Any]) -> str:
    """The page of what `report.report_of` gives."""
    whole, squares, cases = told["totals"], told["squares"], told["cases"]
    banner = f'<p class="banner">{escape(told["banner"])}</p>' if told["banner"] else ""
    state = "" if told["finished"] else "当日未结束，数据截至此刻 · the day is not over"
    key = "".join(f'<li><i style="background:{FILL[c]}"></i>{_WORDS[c]}</li>' for c in COLOURS)
    if whole["sections"]:
        middle = f"""
<section>{_head("路况占比", "share of road length by colour")}{share_bar(whole, "share by colour", 22, 740)}
<ul class="key">{key}</ul></section>
<div class="two">
<section>{_head("近 28 天路况", "colours, last 28 days")}{days_chart(told["days"], "colours by day")}</section>
<section>{_head("近 28 天 PCI（估计）", "estimated PCI with interval")}
{band_chart(told["days"], ("pci_est", "pci_low", "pci_high"), "estimated PCI by day")}</section>
<section>{_head("近 28 天平整度 IRI", "roughness, m/km")}
{band_chart(told["days"], ("iri", "", ""), "IRI by day")}</section>
<section>{_head("路段等级", "sections by grade")}
{bars([("未评 none" if g == "none" else g, n) for g, n in whole["grades"].items()], "sections by grade")}</section>
<section>{_head("两次经过的间隔", "median time between passes, sections")}
{bars([(_GAPS[k], n) for k, n in told["gaps_days"].items()], "sections by time between passes", "#6b7a88")}</section>
<section>{_head("当日新增病害格", "squares that turned yellow or red, by kind")}{_kinds(squares["kinds"])}</section>
</div>
<section>{_head("按道路等级", "by class of road")}{_rows(told["by_class"], "road_class", _CLASSES)}</section>
<section>{_head("按区", "by district")}{_rows(told["by_district"], "district", {})}</section>
{_head("最差路段", "worst sections")}{_worst(told["worst"], told["worst_count"])}
<section>{_head("当日变色路段", "sections that changed colour")}
{_moved(told["moved"], told["moved_count"])}</section>"""
    else:
        middle = (
            '<p class="none">没有路网：运行 <code>roadcode import-roads FILE</code> 后才有路段。<br>'
            "There is no road network yet: sections are there after <code>roadcode import-roads FILE</code>.</p>"
        )
    tiles = "".join(
        (
            _tile(f"{whole['km']:,.1f} km", f"{whole['sections']} 个路段", f"{whole['sections']} sections"),
            _tile(_with_interval(whole), "路面状况 PCI（估计）", "surface, estimated"),
            _tile(_number(whole["iri"], 1), "平整度 IRI m/km", "roughness"),
            _tile(_TRENDS.get(whole["trend"] or "", "—"), "较 28 天前", "against 28 days before"),
            _tile(f"+{squares['new_red']:,}", "当日新增红格 m²", "squares that turned red"),
            _tile(f"+{squares['new_yellow']:,}", "当日新增黄格 m²", "squares that turned yellow"),
            _tile(f"−{squares['no_longer']:,}", "不再红黄 m²", "no longer red or yellow"),
            _tile(f"{cases['opened']:,} / {cases['all']:,}", "当日立案 / 累计", "cases opened / in all"),
        )
    )
    return f"""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(told["city_zh"])} 道路健康日报 {told["day"]}</title><style>{_STYLE}</style></head><body><main>
<header><h1>{escape(told["city_zh"])}道路健康日报<small>{escape(told["city"])} road health, daily report</small></h1>
<p class="day" style="margin:0">{told["day"]}<small>{state}</small></p></header>{banner}
<div class="tiles">{tiles}</div>{middle}
<footer>灰色表示未知，不表示健康。PCI 为估计值，括号内为 90% 区间；摄像头看到的面积不足 80% 的路段不评等级。<br>
Grey means unknown, never healthy. PCI is an estimate, its 90 % interval in brackets; no grade where cameras saw under
80 % of a section. Colours of sections: red if any square is, else yellow if any is, else green if 80 % of the squares
that were driven on are.</footer></main></body></html>"""


def _kinds(kinds: Sequence[Mapping[str, Any]]) -> str:
    if not kinds:
        return '<p class="none">当日没有新增 · none on this day</p>'
    return bars([(f"{k['zh']} {k['en']}", k["squares"]) for k in kinds[:8]], "squares by kind", FILL["red"])
