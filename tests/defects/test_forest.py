"""Trees walked flat: the same answers as the library that grew them, the same bits in any batch, and no way out of the
arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from defects.forest import Forest, probability
from defects.research.fit import flat

ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed (make research)")


def rows(n: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 6))
    x[rng.random(x.shape) < 0.15] = np.nan
    return x


def grown(kinds: int) -> tuple[object, Forest]:
    x = rows()
    y = (np.nan_to_num(x[:, 0]) + np.isnan(x[:, 1]) > 0.3).astype(int)
    if kinds > 2:
        y += np.nan_to_num(x[:, 2]) > 0.5
    model = ensemble.HistGradientBoostingClassifier(max_iter=25, max_leaf_nodes=9, random_state=0).fit(x, y)
    return model, flat(model, 6)


@pytest.mark.parametrize("kinds", [2, 3])
def test_the_walk_says_what_the_library_says_with_missing_values_too(kinds: int) -> None:
    model, forest = grown(kinds)
    forest.check()
    fresh = rows(500) + 0.01
    said = probability(forest.sums(fresh))
    meant = model.predict_proba(fresh)  # type: ignore[attr-defined]
    assert np.abs((said if kinds > 2 else said[:, 0]) - (meant if kinds > 2 else meant[:, 1])).max() < 1e-9


def test_one_row_at_a_time_gives_the_bits_of_all_at_once() -> None:
    _, forest = grown(3)
    x = rows(257)
    whole = probability(forest.sums(x), 1.7)
    alone = np.concatenate([probability(forest.sums(x[i : i + 1]), 1.7) for i in range(len(x))])
    assert whole.tobytes() == alone.tobytes()


def test_no_rows_give_no_answers() -> None:
    _, forest = grown(3)
    assert forest.sums(np.empty((0, 6))).shape == (0, 3)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("left", 0, "points back"),
        ("right", 10**6, "points back or out"),
        ("feature", 6, "a feature that there is not"),
        ("threshold", None, "differ in length"),
        ("root", -1, "root lies outside"),
        ("output", 3, "an output that there is not"),
        ("value", np.inf, "numbers that are none"),
    ],
)
def test_a_forest_whose_walk_could_leave_it_is_refused(field: str, value: float | None, fault: str) -> None:
    """A walk in compiled code has no bounds: what points back would never end, what points out would read other
    memory."""
    _, forest = grown(3)
    column = getattr(forest, field).copy()
    inner = int(np.flatnonzero(forest.feature >= 0)[1])
    if value is None:
        column = column[:-1]
    else:
        column[0 if field in ("root", "output") else inner] = value
    with pytest.raises(ValueError, match=fault):
        replace(forest, **{field: column}).check()
