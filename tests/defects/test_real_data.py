"""Recordings as strangers lay them out: read, or refused by name; and scores that never learn from what they score."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from defects.research import Effort, RealDataError, ResearchExtraMissing, read_recordings, score_real, sim_only
from defects.research.clip_features import CROP, centre_crop, clip_features, crop_features
from defects.research.drive_features import drive_pieces, speed_law
from defects.research.figures import average_precision, grouped_folds, macro_f1
from defects.research.real_data import read_clips, read_drives, read_trips, spread_seconds
from defects.research.trip_features import trip_pieces

SMALL = Effort(folds=3, splits=1, pieces=1, trees=20)
SENSORS = "timestamp,latitude,longitude,speed,accelerometerX,accelerometerY,accelerometerZ,gyroX,gyroY,gyroZ"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def clip_rows(seed: int, groups: int = 6, name: str = "c") -> str:
    """Two kinds of clips: a bump in calm, and noise; two clips a group."""
    rng = np.random.default_rng(seed)
    rows = ["clip,label,group,i,acc_z"]
    for k in range(2 * groups):
        n = int(rng.integers(60, 120))
        bump = 6 * np.sin(np.arange(n) * 0.5) * np.exp(-(((np.arange(n) - n / 2) / 8) ** 2))
        acc = 9.8 + (bump + 0.1 * rng.standard_normal(n) if k % 4 < 2 else rng.standard_normal(n))
        rows += [f"{name}{k},{'bumps' if k % 4 < 2 else 'worn'},{k // 2},{i},{a:.3f}" for i, a in enumerate(acc)]
    return "\n".join(rows)


def put_trip(folder: Path, name: str, seed: int, gz: str = ".gz", whole_seconds: bool = False) -> None:
    rng = np.random.default_rng(seed)
    n = 600
    t = 1_000_000.0 + np.arange(n) / 5
    acc = np.array([0.02, -1.0, 0.1]) + 0.02 * rng.standard_normal((n, 3))
    hits = np.arange(40, n - 20, 60) + rng.integers(0, 20, 9 if n == 600 else 0)
    acc[hits, 1] -= 0.5
    shown = np.floor(t) if whole_seconds else t
    rows = [SENSORS]
    for k in range(n):
        at = f"{shown[k]:.1f}" if not whole_seconds else f"{shown[k]:.0f}"
        rows.append(f"{at},40.4,-79.9,9.5,{','.join(f'{a:.5f}' for a in acc[k])},0.01,0.02,0.01")
    write(folder / "pittsburgh" / f"{name}_sensors.csv{gz}", "\n".join(rows))
    marks = [f"{t[h] + 0.3:.1f}" for h in hits]
    write(folder / "pittsburgh" / f"{name}_potholes.csv{gz}", "\n".join(["timestamp", *marks]))


def put_drive(folder: Path, name: str, level: float, seed: int, speed_mps: float = 10.0) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(0, 60, 0.01)
    acc = np.array([0.1, -0.1, 9.8]) + level * rng.standard_normal((len(t), 3))
    spin = 0.02 * level * rng.standard_normal((len(t), 3))
    below = folder / "meszaros" / name
    for file, table in (("Accelerometer", acc), ("Gyroscope", spin)):
        samples = (f"{a:.3f},{','.join(f'{x:.5f}' for x in b)}" for a, b in zip(t, table, strict=True))
        rows = ["\ufeffTime (s),X,Y,Z", *samples]
        write(below / f"{file}.csv", "\n".join(rows) + "\n\n")
    rows = [f"{s},{47.6 + s * 1e-4},17.6,110,{speed_mps},0,5,3" for s in range(61)]
    write(below / "Location.csv.gz", "\n".join(["t,lat,lon,h,v,d,acc,vacc", *rows]))


def test_a_folder_of_other_recordings_is_read_plain_or_gzipped_with_mark_and_blank_lines(tmp_path: Path) -> None:
    rows = clip_rows(1).split("\n")
    rows[5] = rows[5].rsplit(",", 1)[0] + ",NaN"
    write(tmp_path / "gonzalez2017" / "clips.csv", "\ufeff" + "\n\n".join(rows))
    put_trip(tmp_path, "tour7", 1, "", whole_seconds=True)
    put_drive(tmp_path, "rsq_q2_07", 0.3, 1)
    found = read_recordings(tmp_path)
    assert len(found.clips) == 12
    assert all(np.isfinite(c.acc_mps2).all() for c in found.clips)
    assert len(found.clips[0].acc_mps2) >= 60  # the sample without a value lies between its neighbours
    (trip,) = found.trips
    assert trip.name == "tour7"
    assert np.allclose(np.diff(trip.t_s), 0.2)
    assert [d.grade for d in found.drives] == [2]


def test_whole_seconds_are_spread_evenly_and_finer_times_are_left_alone() -> None:
    assert spread_seconds(np.array([5.0, 5, 5, 5, 6, 6])).tolist() == [5, 5.25, 5.5, 5.75, 6, 6.5]
    fine = np.array([5.0, 5.0, 5.2])
    assert spread_seconds(fine).tolist() == fine.tolist()


def _no_column(folder: Path) -> None:
    write(folder / "gonzalez2017" / "clips.csv", "clip,label,i,acc_z\na,b,0,9.8")


def _no_number(folder: Path) -> None:
    write(folder / "gonzalez2017" / "clips.csv", "clip,label,group,i,acc_z\na,b,1,0,fast")


def _two_labels(folder: Path) -> None:
    write(folder / "gonzalez2017" / "clips.csv", "clip,label,group,i,acc_z\na,b,1,0,9.8\na,c,1,1,9.8")


def _no_gzip(folder: Path) -> None:
    write(folder / "gonzalez2017" / "clips.csv", "").rename(folder / "gonzalez2017" / "clips.csv.gz")


def _torn_gzip(folder: Path) -> None:
    path = write(folder / "gonzalez2017" / "clips.csv.gz", clip_rows(1))
    path.write_bytes(path.read_bytes()[:300])


def _half_a_trip(folder: Path) -> None:
    put_trip(folder, "trip9", 1)
    (folder / "pittsburgh" / "trip9_potholes.csv.gz").unlink()


def _no_grade(folder: Path) -> None:
    put_drive(folder, "tuesday", 0.3, 1)


def _no_gyroscope(folder: Path) -> None:
    put_drive(folder, "rsq_q3_05", 0.3, 1)
    (folder / "meszaros" / "rsq_q3_05" / "Gyroscope.csv").unlink()


def _nothing(folder: Path) -> None:
    (folder / "gonzalez2017").mkdir()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_no_column, "clips.csv lacks the column group"),
        (_no_number, "clips.csv, line 2: 'fast' is not a number"),
        (_two_labels, "clips.csv, line 3: clip a has two labels"),
        (_no_gzip, "clips.csv.gz is empty"),
        (_torn_gzip, "clips.csv.gz cannot be read"),
        (_half_a_trip, "no trip9_potholes.csv"),
        (_no_grade, "tuesday: its name tells no grade"),
        (_no_gyroscope, "rsq_q3_05.*no Gyroscope"),
        (_nothing, "holds no recordings"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    spoil(tmp_path)
    with pytest.raises(RealDataError, match=says):
        read_recordings(tmp_path)


def test_a_grouped_split_never_splits_a_group_and_spreads_labels() -> None:
    rng = np.random.default_rng(3)
    groups = np.array([f"g{k}" for k in rng.integers(0, 40, 300)])
    labels = np.array(["abc"[int(g[1:]) % 3] for g in groups])
    for seed in range(5):
        fold_of = grouped_folds(labels, groups, 5, seed)
        assert all(len(set(fold_of[groups == g])) == 1 for g in set(groups))
        assert all(8 <= ((labels == kind) & (fold_of == k)).sum() <= 35 for kind in "abc" for k in range(5))
    assert (grouped_folds(labels, groups, 5, 1) != grouped_folds(labels, groups, 5, 2)).any()


def test_figures_of_merit_by_hand() -> None:
    assert average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([True, False]), np.array([0.5, 0.5])) == pytest.approx(0.5)
    assert macro_f1(np.array(["a", "a", "b"]), np.array(["a", "b", "b"])) == pytest.approx(2 / 3)


def test_crops_know_neither_the_level_nor_without_strength_the_scale() -> None:
    crops = np.random.default_rng(1).standard_normal((4, CROP)) * 2
    assert np.allclose(crop_features(crops), crop_features(crops + 9.8))
    shapes = crop_features(crops, absolute=False)
    assert np.allclose(shapes, crop_features(3 * crops, absolute=False), atol=0.02)
    assert not np.allclose(crop_features(crops), crop_features(3 * crops), atol=0.02)


def test_the_length_of_an_even_road_cannot_be_told_from_its_clip() -> None:
    # Crops start each eight samples, the road's period: all of them are the same, however many there are.
    road = np.tile([0.0, 3, 1, -2, 4, -1, -3, 2], 50)
    assert np.allclose(clip_features(road[: CROP + 72]), clip_features(road[: CROP + 336]))
    assert len(centre_crop(road[:20])) == CROP


def test_a_mark_that_trails_an_impact_marks_the_piece_of_the_impact(tmp_path: Path) -> None:
    put_trip(tmp_path, "trip1", 4)
    pieces = trip_pieces(read_trips(tmp_path)[0])
    assert pieces.marked.sum() == 9
    assert set(np.flatnonzero(pieces.peak_g > 0.3)) == set(np.flatnonzero(pieces.marked))


def test_speed_is_taken_out_as_it_acts_inside_drives(tmp_path: Path) -> None:
    put_drive(tmp_path, "rsq_q1_00", 0.3, 1, 20.0)
    put_drive(tmp_path, "rsq_q3_00", 0.9, 2, 8.0)
    drives = [drive_pieces(d.drive) for d in read_drives(tmp_path)]
    law = speed_law(drives)
    # Speed never changes inside these drives: nothing is learnt from the difference between them.
    assert np.allclose(law.slopes, 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write(folder / "gonzalez2017" / "clips.csv.gz", clip_rows(1))
    for k in range(2):
        put_trip(folder, f"trip{k}", k)
    for k, level in enumerate((0.3, 0.35, 0.8, 0.9)):
        put_drive(folder, f"rsq_q{1 + 2 * (k > 1)}_0{k % 2}", level, k)
    return folder


def test_a_folder_is_scored_by_leaving_out_and_the_same_seed_gives_the_same(folder: Path) -> None:
    scores = score_real(folder, None, 1, SMALL)
    assert scores.split == "cross-validated"
    assert not scores.leak
    assert scores.key_figures["gonzalez_grouped_f1"] == pytest.approx(1.0, abs=0.1)
    assert all(value is not None and value > 0.8 for value in scores.key_figures.values())
    assert scores.as_json() == score_real(folder, None, 1, SMALL).as_json()


def test_a_test_folder_that_was_learnt_from_is_called_a_leak(folder: Path) -> None:
    scores = score_real(folder, folder, 1, SMALL)
    assert scores.leak
    assert any("LEAK" in note for note in scores.notes)


def test_other_recordings_are_scored_without_a_leak_and_missing_parts_are_none(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "gonzalez2017" / "clips.csv", clip_rows(9, 4, "other"))
    scores = score_real(folder, tmp_path, 1, SMALL)
    assert not scores.leak
    assert scores.key_figures["gonzalez_crop_f1"] is not None
    assert scores.key_figures["pittsburgh_ap"] is None
    assert scores.key_figures["meszaros_f1"] is None
    assert any("no trips in the test folder" in note for note in scores.notes)


def test_labels_of_the_test_do_not_reach_what_is_learnt(folder: Path, tmp_path: Path) -> None:
    rows = clip_rows(9, 4, "other")
    write(tmp_path / "a" / "gonzalez2017" / "clips.csv", rows)
    swapped = rows.replace("bumps", "?").replace("worn", "bumps").replace("?", "worn")
    write(tmp_path / "b" / "gonzalez2017" / "clips.csv", swapped)
    right, wrong = (score_real(folder, tmp_path / name, 1, SMALL).clips for name in "ab")
    assert right is not None
    assert wrong is not None
    assert right.crop_confusion.tolist() == wrong.crop_confusion[::-1].tolist()


def test_a_label_never_learnt_is_named(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "gonzalez2017" / "clips.csv", clip_rows(9, 4).replace("worn", "cobbles"))
    with pytest.raises(RealDataError, match="cobbles"):
        score_real(folder, tmp_path, 1, SMALL)


def test_too_little_to_leave_out_is_a_note_not_an_end(tmp_path: Path) -> None:
    put_trip(tmp_path, "trip1", 1)
    scores = score_real(tmp_path, None, 1, SMALL)
    assert scores.trips is None
    assert any("two are needed" in note for note in scores.notes)


def test_training_on_other_clips_alone_scores_all_of_a_folder(folder: Path, tmp_path: Path) -> None:
    assert sim_only(write(tmp_path / "simulated.csv.gz", clip_rows(5)), folder) > 0.8


def test_without_the_extra_one_is_told_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(ResearchExtraMissing, match="make research"):
        score_real(folder, None, 1, SMALL)


@pytest.mark.recordings
def test_the_recordings_are_read_whole(recordings: Path) -> None:
    root = recordings.parent if recordings.name == "meszaros" else recordings
    if not (root / "gonzalez2017").is_dir():
        pytest.skip(f"{root} holds no gonzalez2017")
    clips = read_clips(root)
    assert len({c.label for c in clips}) == 5
    assert min(len(c.acc_mps2) for c in clips) >= CROP
    for trip in read_trips(root):
        assert 0.15 < np.median(np.diff(trip.t_s)) < 0.25
        assert (np.diff(trip.t_s) >= 0).all()
