"""What a citizen agrees to before a phone is enrolled. Change the text and its version together: consent was given to
what was shown."""

from __future__ import annotations

VERSION = "1"
TEXT_ZH = (
    "你的手机在行驶时发送振动和位置数据，用于判断路面状况。我们不问也不存你的姓名、电话号码和网络地址；手机以随机名称登记，"
    "行程编号每天更换，行程的首尾不发送。原始数据只用于路面判读，不向他人公开；留下的是按路面格子相加、不能还原到个人的总和。"
    "你可以随时用手机里的凭证查看、下载、删除属于你的数据，并停止参与。"
)
TEXT_EN = (
    "While you drive, your phone sends vibration and positions, from which the state of the road is judged. Nobody "
    "asks for or stores your name, number or network address: the phone is enrolled under a random name, trips change "
    "their number every day, and the ends of a trip are not sent. Raw data serve to judge roads and are shown to "
    "nobody else; what stays are sums over squares of road that lead back to no person. With the credential in your "
    "phone you can see, download and delete what is yours at any time, and stop."
)
STAYS = (
    "sums over squares of road, into which what you sent has gone and from which it cannot be told apart; counts of "
    "the whole instance; salted hashes in the log, whose salts are gone; your phone's random name, so that nobody gets "
    "it again"
)
"""What an erasure leaves, said to who asks for it."""
