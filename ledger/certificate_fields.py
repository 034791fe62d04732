"""What a road certificate may say: one row a field, with its number, range and meaning. Pure data: the code reads it,
and docs/road-code-standard.md is made from it."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Field:
    """One entry of the code's map. low, high: of an integer's value, of a text's bytes in UTF-8. of: whose it is.
    always: it is there, whatever its value; else a field whose value is `absent` is left out, and refused if it is not:
    one spelling for one statement."""

    key: int
    name: str
    type: Literal["integer", "text"]
    low: int
    high: int
    of: Literal["both", "square", "section"]
    always: bool
    absent: int | str | None
    zh: str
    en: str


CRITICAL: Final = 64
"""Keys below this change what a certificate means: a reader that does not know one refuses. From here on a reader may
leave an entry out. Smaller and there is no room for what is to come; larger and every key costs a byte more."""
MOST_OTHER: Final = 64
"""Bytes of a text, or of bytes, in an entry that a reader leaves out."""

_CELL: Final = (1 << 53) - 1
_KIND: Final = 18

FIELDS: Final = (
    Field(1, "version", "integer", 1, 1, "both", True, None, "内容版本", "version of this content"),
    Field(2, "cell", "integer", 0, _CELL, "square", True, None, "方格编号", "number of the square"),
    Field(3, "section", "integer", 1, _CELL, "section", True, None, "路段编号", "number of the road section"),
    Field(4, "lat_e7", "integer", -840_000_000, 840_000_000, "both", True, None, "中点纬度，度 × 10⁷",
          "latitude of the place's middle, degrees times 10^7, in the city's published frame"),
    Field(5, "lon_e7", "integer", -1_800_000_000, 1_800_000_000, "both", True, None, "中点经度，度 × 10⁷",
          "longitude of the same"),
    Field(6, "extent_m", "integer", 1, 65_535, "both", True, None, "方格边长或路段长度，米",
          "side of the square (1, 4, 16 or 64), or length of the section, metres"),
    Field(7, "colour", "integer", 0, 3, "both", True, None, "颜色：0 灰（未知）1 绿 2 黄 3 红",
          "0 grey (not known), 1 green, 2 yellow, 3 red"),
    Field(8, "state", "integer", 0, 2, "square", False, 0, "1 疑似 2 已确认，仅黄、红",
          "1 suspected, 2 confirmed; of yellow and red only"),
    Field(9, "kind", "integer", 0, _KIND, "square", False, None, "最严重缺陷的类型编号，仅黄、红",
          "number of the worst defect's type; of yellow and red only"),
    Field(10, "severity", "integer", 0, 255, "square", False, 0, "严重度，六十四分之一（64 黄，128 红）",
          "severity in 64ths (64 yellow, 128 red); of yellow and red only"),
    Field(11, "seen", "integer", 0, (1 << _KIND) - 1, "square", False, 0, "已充分查找的类型，第 n−1 位为类型 n",
          "types that were looked for thoroughly: bit n-1 is type n"),
    Field(12, "flags", "integer", 0, 255, "square", False, 0, "标记：1 无害物 2 施工 4 过期 8 影子 16 已修",
          "1 harmless object, 2 works, 4 expired, 8 ghost, 16 mended"),
    Field(13, "day", "integer", 18_262, 47_481, "both", True, None, "业务日，自 1970-01-01 的天数",
          "service day for which it holds, days since 1970-01-01 (RFC 8943)"),
    Field(14, "origin", "integer", 1, 7, "both", True, None, "来源：1 实时 2 回放 4 模拟，可相加；每次必须显示",
          "bits: 1 live, 2 replay, 4 simulated; always shown"),
    Field(15, "log_size", "integer", 1, _CELL, "both", False, None, "日志检查点的大小", "size of a log checkpoint"),
    Field(16, "log_index", "integer", 0, _CELL, "square", False, None, "该方格所在区块的记录在日志中的序号",
          "index in the log of the block's record that this code is in"),
    Field(17, "known_pct", "integer", 0, 100, "section", True, None, "路段中已知面积，百分比（向下取整）",
          "share of the section's area that is known, per cent, rounded down"),
    Field(18, "name", "text", 1, 48, "section", False, "", "道路名称", "name of the road"),
)  # fmt: skip

BY_KEY: Final = {field.key: field for field in FIELDS}
BY_NAME: Final = {field.name: field for field in FIELDS}

ORIGIN_BITS: Final = {"live": 1, "replay": 2, "simulated": 4}
