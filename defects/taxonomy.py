"""The 16 defect types (and two beyond), what can see them, and the class `uneven` for a jolt whose type nobody knows.

Sources: the 13 asphalt distresses of CJJ 36, faulting, broken slab, defective cover; ponding and litter are the next
step. `imu_detect` is the chance that one box pass over a severe defect of the type is noticed, from simulated trials on
unseen vehicles; it is a proposal until measured on real damage, and stands here in one place so that a measurement
replaces it in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest import DEFECT_KEYS


@dataclass(frozen=True)
class DefectType:
    """One type. number: 1 to 18, as in the table of types; 0 is `uneven`.

    imu_detect: chance that a box's IMU notices a severe one in one pass of a wheel over it, 0 where it cannot.
    camera_detect: the same for an edge camera that has it in view. hazard: whether overall green needs it green.
    """

    number: int
    key: str
    zh: str
    en: str
    imu_detect: float
    camera_detect: float
    hazard: bool = False


UNEVEN = DefectType(0, "uneven", "不平（类型未明）", "uneven, type not known", 0.0, 0.0)

TYPES: tuple[DefectType, ...] = (
    DefectType(1, "linear_crack", "线裂", "linear crack", 0.0, 0.5),
    DefectType(2, "net_crack", "网裂", "net crack", 0.0, 0.5),
    DefectType(3, "alligator_crack", "龟裂", "alligator crack", 0.0, 0.7),
    DefectType(4, "shoving", "拥包", "shoving", 0.70, 0.3, hazard=True),
    DefectType(5, "rutting", "车辙", "rutting", 0.0, 0.2),
    DefectType(6, "subsidence", "沉陷", "subsidence", 0.64, 0.2, hazard=True),
    DefectType(7, "mud_boil", "翻浆", "mud boil", 0.0, 0.5),
    DefectType(8, "ravelling", "剥落", "ravelling", 0.0, 0.6),
    DefectType(9, "pothole", "坑槽", "pothole", 0.86, 0.8, hazard=True),
    DefectType(10, "edge_break", "啃边", "edge break", 0.0, 0.5),
    DefectType(11, "frame_level", "路框差", "frame level difference", 0.70, 0.3, hazard=True),
    DefectType(12, "pumping", "唧浆", "pumping", 0.0, 0.4),
    DefectType(13, "bleeding", "泛油", "bleeding", 0.0, 0.5),
    DefectType(14, "faulting", "错台", "faulting", 0.60, 0.3, hazard=True),
    DefectType(15, "broken_slab", "破碎板", "broken slab", 0.0, 0.6),
    DefectType(16, "defective_cover", "缺陷井盖", "defective cover", 0.0, 0.6),
    DefectType(17, "ponding", "路面积水", "ponding", 0.0, 0.6),
    DefectType(18, "litter", "路面垃圾", "litter", 0.0, 0.6),
)

ALL_TYPES = (UNEVEN, *TYPES)
"""Index = number."""

OF_THE_STANDARD = 16
"""How many types "green for 5 of 16" counts: ponding and litter lie beyond the standard."""

BY_KEY = {t.key: t for t in ALL_TYPES}
HAZARDS = tuple(t.number for t in TYPES if t.hazard)


@dataclass(frozen=True)
class Leaf:
    """A type, and the subtype that dispatch tells apart ("" where there is none)."""

    key: str
    subtype: str = ""


LEAVES: tuple[Leaf, ...] = tuple(
    Leaf(t.key, subtype)
    for t in TYPES[:OF_THE_STANDARD]
    for subtype in {
        "subsidence": ("settlement", "trench", "collapse"),
        "pothole": ("", "failed_patch"),
        "frame_level": ("low", "high"),
        "defective_cover": ("missing", "broken", "displaced", "noisy", "sunken", "raised"),
    }.get(t.key, ("",))
)
"""What a recogniser may name: a cover goes to its owner at once when it is missing, in days when it rattles."""

SEEN_BY: dict[str, tuple[str, ...]] = {
    "linear_crack": ("camera",),
    "net_crack": ("camera",),
    "alligator_crack": ("camera", "laser", "imu"),
    "shoving": ("camera", "laser", "imu"),
    "rutting": ("camera", "laser"),
    "subsidence": ("camera", "laser", "imu"),
    "mud_boil": ("camera", "laser", "imu"),
    "ravelling": ("camera", "laser", "imu", "acoustic"),
    "pothole": ("camera", "laser", "imu"),
    "edge_break": ("camera", "laser", "imu"),
    "frame_level": ("camera", "laser", "imu"),
    "pumping": ("camera",),
    "bleeding": ("camera",),
    "faulting": ("camera", "laser", "imu"),
    "broken_slab": ("camera", "laser", "imu"),
    "defective_cover": ("camera", "laser", "imu", "acoustic"),
    "ponding": ("camera",),
    "litter": ("camera",),
}
"""Which sense can see a type at all; what none of a device's senses sees is declared unseen, never guessed. An IMU sees
alligator cracks, ravelling, edges and mud boils weakly: loose pieces and texture under the wheel."""

WEAK_IMU = ("alligator_crack", "ravelling", "edge_break", "mud_boil")
"""Seen by an IMU only when severe and only in part: their silence is no evidence."""


def sees(key: str, sense: str) -> bool:
    """Whether a sense ("imu", "laser", "acoustic", "camera") can see a type. Raises KeyError on an unknown type."""
    return sense in SEEN_BY[key]


SUPERCLASSES: dict[str, tuple[Leaf, ...]] = {
    "hole": (
        Leaf("pothole"), Leaf("pothole", "failed_patch"), Leaf("defective_cover", "missing"),
        Leaf("defective_cover", "broken"), Leaf("defective_cover", "sunken"), Leaf("frame_level", "low"),
    ),
    "ridge": (
        Leaf("shoving"), Leaf("defective_cover", "raised"), Leaf("defective_cover", "displaced"),
        Leaf("frame_level", "high"),
    ),
    "step": (Leaf("faulting"), Leaf("broken_slab")),
    "dip": tuple(leaf for leaf in LEAVES if leaf.key == "subsidence"),
    "rattle": (Leaf("defective_cover", "noisy"),),
    "rough": (Leaf("ravelling"), Leaf("alligator_crack"), Leaf("edge_break")),
}  # fmt: skip
"""What a wheel can tell apart: an IMU never claims 16 classes. The rest of the 16 it does not feel at all."""

SUPERCLASS_OF: dict[Leaf, str] = {leaf: name for name, leaves in SUPERCLASSES.items() for leaf in leaves}

if tuple(t.key for t in TYPES) != DEFECT_KEYS:
    raise RuntimeError("the taxonomy and the wire format list the types in different orders")
