"""Why a point came, or did not, in plain words of both languages. A reason without words here is shown by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "nothing_new": (
        "这些路面我们当时已经清楚，你的经过没有带来新的信息。",
        "We already knew this piece of road well: your pass taught us nothing new.",
    ),
    "nobody_agreed": (
        "到结算时，没有别人在这里印证你的发现。单独一部手机的发现不计分。",
        "By the settlement nobody else had found the same here. What one phone alone says earns nothing.",
    ),
    "others_disagreed": (
        "其他经过这里的车辆结论与你的不同。",
        "Others who passed here found something else.",
    ),
    "cell_full": (
        "这块路面当天的积分已经分完；同一处再多经过也不会增加。",
        "What this piece of road could earn on that day was shared out already: more passes add nothing.",
    ),
    "day_full": ("已达到一部设备一天的上限。", "You had reached what one device can earn on one day."),
    "budget": (
        "当天的总预算不够，所有人按同一比例减少。",
        "The budget of the day was not enough: everybody got less, by the same factor.",
    ),
    "no_budget": ("当天没有积分预算。", "There was no budget for points on that day."),
    "travelled_together": (
        "有几部设备始终一起行驶，合起来算一部，共分一份。",
        "Several devices travelled together all the way: they count as one and share one part.",
    ),
    "handled": (
        "行驶中手机被拿在手里或在操作：这段不计分。请先停车再使用手机。",
        "The phone was in a hand, or in use, while driving: this stretch earns nothing. Stop first.",
    ),
    "typing": (
        "行驶中在手机上打字：这段不计分。请先停车。",
        "Somebody typed on the phone while driving: this stretch earns nothing. Stop first.",
    ),
    "replayed": (
        "这段数据与以前收到的一段相同或几乎相同。",
        "This was the same as something sent before, or almost the same.",
    ),
    "not_moving": ("手机没有随车辆行驶。", "The phone was not moving along with a vehicle."),
    "spoofed": (
        "位置与传感器感受到的运动不符。",
        "The positions do not go together with the motion that was felt.",
    ),
    "implausible": (
        "位置与传感器感受到的运动不符。",
        "The positions do not go together with the motion that was felt.",
    ),
    "not_live": ("回放或模拟的数据在这里不计分。", "Replayed or simulated data earn nothing here."),
    "too_coarse": ("定位太粗，无法归到路面方格。", "The position was too rough to say which squares were passed."),
    "newcomer": (
        "新设备要先有几天数据，才能判断它有多可靠。",
        "Of a new device nobody knows yet how far it can be believed: that takes some days.",
    ),
    "low_weight": ("这部设备当天的可信度很低。", "On that day this device could be believed very little."),
    "duplicate": (
        "同一处缺陷当天已有人上报，积分平分。",
        "The same defect was reported that day: the points are shared.",
    ),
    "not_confirmed": ("工作人员没有确认这次上报。", "A person looked at the report and did not confirm it."),
    "too_old": ("积分满 365 天过期。", "Points expire after 365 days."),
    "account_closed": ("账户已关闭。", "The account was closed."),
    "too_small": ("不足一分。", "It came to less than one point."),
    "paid": ("已结算。", "Settled."),
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
    """A reason as program and people read it."""
    zh, en = REASONS.get(reason, (reason, reason.replace("_", " ")))
    return {"reason": reason, "zh": zh, "en": en}
