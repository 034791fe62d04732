"""The benchmark as a whole on a few kilometres, with the shipped models: every key has a figure, and the page is what
the figures say."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from defects import load_model, shipped_models
from defects.research import KEYS, benchmark_sets, camera_sets, keys, page, summary
from defects.research import benchmark as run
from defects.research import sets as sets_module
from defects.research.benchmark import reached
from ingest import City
from sensors_sim.ground_command import main as ground

BENCHMARK = import_module("defects.research.benchmark")  # the door has a function of that name
ROOT = Path(__file__).resolve().parents[2]
SIMULATED = [k for k in KEYS if not k.startswith(("gonzalez", "pittsburgh", "meszaros", "sim_only"))]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory, city: City) -> dict[str, object]:
    """A run on a km of each set: its figures mean nothing, but that they are there."""
    root = tmp_path_factory.mktemp("drives")
    small = {
        d: tuple(replace(s, km=1.0, passes=min(s.passes, 4)) for s in benchmark_sets(d, True)) for d in ("phone", "box")
    }
    camera = tuple(replace(s, km=1.0, passes=min(s.passes, 4)) for s in camera_sets(True))
    for one in (*small["phone"], *small["box"], *camera):
        assert ground(["--out", str(root / one.name), *one.arguments()]) == 0
    patch = pytest.MonkeyPatch()
    patch.setattr(BENCHMARK, "benchmark_sets", lambda device, _quick: small[device])
    patch.setattr(BENCHMARK, "camera_sets", lambda _quick: camera)
    patch.setattr("defects.research.evaluate.COST_S", 0.0)
    models = {k: load_model(shipped_models() / f"{k}.json") for k in ("box", "phone")}
    simulated = run(root, city, models, True, lambda _: None, jobs=1)
    patch.undo()
    assert sets_module.benchmark_sets("box", True) != small["box"]
    return {"simulated": simulated, "real": None, "keys": keys(simulated, None)}


def test_every_key_of_the_simulated_part_has_a_figure(figures: dict[str, dict[str, float]]) -> None:
    missing = [k for k in SIMULATED if figures["keys"][k] is None]
    assert missing == []
    shares = [k for k in SIMULATED if k.startswith(("recall", "f1_super", "lookalike"))]  # 16 passes would take minutes
    assert [k for k in shares if not 0 <= figures["keys"][k] <= 1] == []


def test_the_figures_survive_json_and_make_a_page(figures: dict[str, object]) -> None:
    told = json.loads(json.dumps(figures))
    text = page(told)
    assert text == page(told)
    assert "A quick run" in text
    assert all(f"`{k}`" in text for k in KEYS)


def test_what_is_not_reached_is_said() -> None:
    assert reached("recall_severe_box", 0.7499) is False
    assert reached("recall_severe_box", 0.75) is True
    assert reached("drop_unseen", 0.2001) is False
    assert reached("meszaros_f1", 0.9) is None
    rows = {r["key"]: r for r in summary({"recall_severe_box": 0.5})}
    assert rows["recall_severe_box"]["reached"] == "NO"
    assert rows["recall_severe_phone"]["figure"] is None


def test_the_published_page_is_what_its_figures_say() -> None:
    figures = json.loads((ROOT / "docs" / "evaluation.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8") == page(figures)
    assert figures["simulated"]["quick"] is False
    for kind in ("box", "phone"):
        shipped = load_model(shipped_models() / f"{kind}.json")
        assert figures["simulated"]["models"][kind] == shipped.digest, (
            "the models changed: run roadcode evaluate --write docs"
        )
    healthy = [figures["simulated"][c]["first"]["healthy_km"] for c in ("phone", "box", "box_laser")]
    assert min(healthy) >= 1000
    assert all(v is None or math.isfinite(v) for v in figures["keys"].values())
