"""What may be said of a jolt: never more than its device can tell apart."""

from __future__ import annotations

import numpy as np
import pytest

from defects import LEAVES, Leaf, Told
from defects.naming import Name, name_of


def told(**shares: float) -> Told:
    """One candidate; shares by "key" or "key__subtype"."""
    kinds = np.zeros((1, len(LEAVES)))
    for name, share in shares.items():
        key, _, subtype = name.partition("__")
        kinds[0, LEAVES.index(Leaf(key, subtype))] = share
    one = np.ones(1)
    return Told(one, one * 0.3, one, one > 0, LEAVES, kinds, one * 40, one, np.ones((19, 4)), 0.05)


@pytest.mark.parametrize(
    ("said", "by_laser", "by_wheel"),
    [
        ({"pothole": 0.6, "shoving": 0.4}, Name("pothole", "", 0.6), Name("hole", "", 0.6)),
        ({"pothole": 0.4, "frame_level__low": 0.35, "shoving": 0.25}, Name("hole", "", 0.75), Name("hole", "", 0.75)),
        ({"defective_cover__missing": 0.3, "defective_cover__noisy": 0.4, "shoving": 0.3},
         Name("defective_cover", "noisy", 0.7), None),
        ({"pothole": 0.4, "shoving": 0.3, "faulting": 0.3}, None, None),
        ({"rutting": 0.9, "pothole": 0.1}, Name("rutting", "", 0.9), None),
    ],
)  # fmt: skip
def test_a_laser_names_a_type_where_it_is_sure_and_a_wheel_a_class_only(
    said: dict[str, float], by_laser: Name | None, by_wheel: Name | None
) -> None:
    for lined, right in ((True, by_laser), (False, by_wheel)):
        name = name_of(told(**said), 0, lined)
        assert (name is None) == (right is None)
        if name and right:
            assert (name.key, name.subtype) == (right.key, right.subtype)
            assert name.p == pytest.approx(right.p)
