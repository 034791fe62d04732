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

POINTS_VERSION = "p1"
POINTS_ZH = (
    "参加积分完全自愿，随时可以退出，不参加也照样使用。参加之后：你的手机某天让我们对哪些路面方格知道得更多，会以每天更换的化名、"
    "不带时刻地保存到结算（该业务日结束 48 小时后），结算后即删除，只留下你的积分和理由；不参加则根本不记这些。"
    "积分不是钱：不能转让，不能变现，365 天后过期，每天有总预算；没有抽奖，没有排名，里程不计分。"
    "你上报时，病害所在的 16 米方格、日期、类型和备注会保存；照片会去掉位置等附加信息，由工作人员查看，处理后删除，"
    "但人脸和车牌不会被自动遮挡，请不要拍人。任何结果都可以申诉，由人来答复。"
    "退出或删除数据后，日志里只剩不能还原到你的加盐哈希。"
)
POINTS_EN = (
    "Points are voluntary: you may leave at any time, and nothing else changes without them. If you join: about which"
    " squares of road your phone taught us something on a day is kept until that day is settled (48 hours after its "
    "end), under a pseudonym that changes every day and without the time of day; then it is deleted, and only your "
    "points and their reasons stay. If you do not join, none of this is written down. Points are no money: they "
    "cannot be passed on or paid out, they expire after 365 days, and each day has one budget. There is no lottery "
    "and no ranking, and distance earns nothing. When you report something, the square of 16 m where it is, the day, "
    "its kind and your note are kept; a photo loses its place and all that is written beside its pixels, a person "
    "looks at it, and it goes when that person has decided. Faces and number plates are not blurred: photograph no "
    "people. You can appeal against any result, and a person answers. Once you have left, the log holds only salted "
    "hashes that lead back to nobody."
)
POINTS_STAY = (
    "the sums of settled days and salted hashes in the log, whose salts are gone; a report of a defect without you, "
    "its note and its photo; what the mall took, without you"
)
"""What stays of an account that was closed, said to who closes it."""
