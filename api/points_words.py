"""Why a point came, or did not, in plain words of both languages. A reason without words here is shown by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger import points

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "handled": (
        "测量时手机被拿在手里或翻动：不计分。请放在支架里，停车后再用。",
        "The phone was held or turned about while it measured: that earns nothing. Leave it in its holder.",
    ),
    "not_moving": ("车辆停着或缓行，什么也感受不到。", "The vehicle stood or crept: nothing can be felt then."),
    "spoofed": (
        "位置跳动，或行驶中没有任何颠簸：不可信。",
        "Places that leap, or a drive on which nothing shook: that is not believed.",
    ),
    "not_live": ("回放或模拟的数据在这里不计分。", "Replayed or simulated data earn nothing here."),
    "not_believed": (
        "这部设备当天有故障，其数据不被采信。",
        "On that day this device had a fault and could not be believed.",
    ),
    "no_place": ("定位太粗，无法归到路面方格。", "The position was too rough to say which squares were passed."),
    "replayed": ("同一天出现两次同样的颠簸：只算一次。", "The same shaking came twice on one day: it counts once."),
    "damaged": (
        "保存的内容无法读取，是平台的问题。请申诉。",
        "What was kept could not be read. That is our fault: please appeal.",
    ),
    "nobody_agreed": (
        "到结算时，当天经过的别人都没有感受到或看到。单独一部手机的发现不计分。",
        (
            "Something was felt here, and by the settlement nobody else who passed that day had felt or seen it. "
            "What one phone alone says earns nothing."
        ),
    ),
    "not_vouched": (
        "几部手机都感受到了，但没有巡检盒、没有经核实的上报，也没有两部长期参与的手机证实。新手机不能互相作证。",
        (
            "Several felt this, but no box and no confirmed report says so, and no two phones that have taken part for "
            "at least four weeks. New phones cannot vouch for each other."
        ),
    ),
    "others_disagreed": ("当天经过这里的其他人结论相反。", "Others who passed here that day say otherwise."),
    "alone": (
        "当天没有巡检盒、也没有两部长期参与的手机平稳经过：按部分计分。",
        "No box and no two phones of long standing passed here quietly that day: a part was paid.",
    ),
    "carrier": (
        "两轮车或未知车辆的“平稳”说明不了什么。",
        "That nothing was felt on two wheels, or on an unknown vehicle, says nothing.",
    ),
    "nothing_new": (
        "这些路面当时已经清楚，没有带来新的信息。",
        "This was known as well before: nothing new was learnt.",
    ),
    "known_object": (
        "这里的东西已在登记表中（如减速带）。",
        "What lies here is in the register already, such as a speed bump.",
    ),
    "cell_full": (
        "这块路面当天能给的积分已分完；同一处再多经过也不会增加。",
        "What one square can give on a day was given: more passes add nothing.",
    ),
    "travelled_together": (
        "几部设备在同一辆车里，算一个见证，共分一份。",
        "Several devices in one vehicle are one witness: they share one part.",
    ),
    "day_full": ("已达到一部设备一天的上限。", "A device earns no more than this on one day."),
    "less_than_a_point": ("不足一分。", "What was taught is worth less than one point."),
    "budget": (
        "当天的总预算由所有人按同一比例分。",
        "The budget of the day was shared among all, each the same part of what was earned.",
    ),
    "too_old": ("积分满 365 天过期。", "Points expire after 365 days."),
    "account_closed": ("账户已关闭。", "The account was closed."),
    "paid": ("已结算。", "Settled."),
}
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    "chunks": ("个数据包（各约 5 秒）", "stretches of some 5 s"),
    "squares": ("个方格", "squares"),
    "points": ("分", "points"),
    "days": ("天", "days"),
}

ENTRIES: Final[Mapping[str, tuple[str, str]]] = {
    "pass": ("经过带来的信息", "what your passes taught"),
    "report": ("经人核实的上报", "a report that a person confirmed"),
    "appeal": ("申诉获准", "an appeal that was granted"),
    "expiry": ("过期", "expired"),
    "redemption": ("在商城兑换或退回", "redeemed at the mall, or given back"),
    "closed": ("账户关闭", "account closed"),
}


def words_of(reason: str) -> dict[str, str]:
    """A reason as program and people read it, and what its number counts."""
    zh, en = REASONS.get(reason, (reason, reason.replace("_", " ")))
    told = {"reason": reason, "zh": zh, "en": en}
    if reason in list(points.Why):
        unit = points.MEANING[points.Why(reason)][0]
        told |= {"unit_zh": _UNITS[unit][0], "unit_en": _UNITS[unit][1]}
    return told
