"""What a person without a phone takes home: the number on paper, what it is good for, and how to ask. One HTML page to
print, or plain text for a receipt printer; no script."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from defects import BY_KEY
from ledger import paper

_STYLE = """
@page { size: A5; margin: 12mm; }
* { box-sizing: border-box; }
body { margin: 0; background: #eceeea; color: #17212b; font: 14px/1.55 system-ui, "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif; -webkit-print-color-adjust: exact; }
main { max-width: 560px; margin: 20px auto; padding: 26px 30px; background: #fff; }
@media print { body { background: #fff; } main { margin: 0; padding: 0; } }
h1 { margin: 0 0 4px; font-size: 20px; } h1 small { display: block; font-size: 13px; font-weight: 500; color: #55626f; }
.banner { margin: 10px 0; padding: 4px 10px; background: #ffe9a6; font-weight: 600; }
.number { display: flex; gap: 18px; align-items: center; margin: 16px 0; padding: 14px; border: 2px solid #17212b;
  border-radius: 8px; }
.number svg { width: 104px; height: 104px; flex: none; }
.number b { display: block; font: 700 21px/1.35 ui-monospace, "DejaVu Sans Mono", monospace; letter-spacing: .03em;
  overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; } th { text-align: left; font-weight: 500; color: #55626f; width: 45%; }
th, td { padding: 5px 8px 5px 0; border-bottom: 1px solid #e0e4e7; vertical-align: top; overflow-wrap: anywhere; }
ol { padding-left: 20px; } li { margin: 5px 0; } .fine { color: #55626f; font-size: 12px; }
"""

_HOW = (
    ("凭此编号在任一窗口或热线查询积分；请保管好，遗失无法补办，我们只保存它的哈希。",
     "Ask for your points with this number at any counter or hotline. Keep it: we hold its hash alone."),
    ("工作人员核实后，积分在该业务日结算时（约两天后）记入；不属实或重复上报的不计或平分。",
     "Points come when a person has confirmed the report and its day is settled, some two days later."),
    ("下次上报请出示同一编号，积分会累计。", "Show the same number with your next report: points add up."),
    ("要在商城使用积分，请在窗口领取兑换码（一天有效）。积分不是钱，不能转让，365 天后过期。",
     "For the mall ask here for a code (good for a day). Points are no money and expire after 365 days."),
    ("对结果有异议，可在窗口申诉，由人答复。", "If you do not agree, appeal at the counter: a person answers."),
)  # fmt: skip


def _rows(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if told.get("report"):
        kind = BY_KEY.get(str(told["kind"]))
        rows += [
            ("上报号 report", paper.grouped(str(told["report"]))),
            ("日期 day", str(told["day"])),
            ("类型 kind", f"{kind.zh} {kind.en}" if kind else str(told["kind"])),
        ]
    if told.get("standing"):
        have = told["standing"]
        rows += [
            ("可用积分 points that you have", str(have["available"])),
            ("累计 / 已用 / 过期 earned / used / expired", f"{have['earned']} / {have['spent']} / {have['expired']}"),
            ("待核实上报 reports that wait", str(have["waiting"])),
        ]
    return rows


def page(told: Mapping[str, Any]) -> str:
    """The page. told: city, banner, paper (the number), and report, kind, day, standing where there are such."""
    import segno  # noqa: PLC0415  (only who prints needs it)

    number = paper.grouped(str(told["paper"]))
    square = segno.make(number, error="m", micro=False).svg_inline(border=1, omitsize=True)
    rows = "".join(f"<tr><th>{escape(name)}<td>{escape(value)}" for name, value in _rows(told))
    how = "".join(f"<li>{escape(zh)}<br><span class=fine>{escape(en)}</span>" for zh, en in _HOW)
    banner = f"<p class=banner>{escape(str(told['banner']))}" if told.get("banner") else ""
    return (
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{escape(number)}</title>'
        f"<style>{_STYLE}</style><main><h1>道路上报与积分凭条<small>Road report and points, on paper: "
        f"{escape(str(told['city']))}</small></h1>{banner}"
        f'<div class="number">{square}<span>编号 your number<b>{escape(number)}</b>'
        "<span class=fine>最后一位为校验位 the last one is a check</span></span></div>"
        f"<table>{rows}</table><ol>{how}</ol></main></html>\n"
    )


def text(told: Mapping[str, Any]) -> str:
    """The same for a receipt printer or a screen."""
    lines = ["道路上报与积分凭条 / Road report and points", str(told["city"])]
    if told.get("banner"):
        lines.append(str(told["banner"]))
    lines += ["", f"  {paper.grouped(str(told['paper']))}", ""]
    lines += [f"{name}: {value}" for name, value in _rows(told)]
    lines += [""] + [f"{n}. {zh} {en}" for n, (zh, en) in enumerate(_HOW, 1)]
    return "\n".join(lines)
