"""Recordings as chunks: a drive is owned once from its first fix to its last, and damage is named."""

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ingest import Reason, admit, decode, encode, recordings

RATE_HZ = 50.0
END_S = datetime(2026, 3, 2, 4, 0, tzinfo=UTC).timestamp()  # noon in Hangzhou


def write_drive(folder, *, seconds=32.0, fix_t=None, speed=8.0, packed=True):
    """A drive of 32 s as the app writes it: times from 0, 8 m/s due north from a place in Hungary."""
    folder.mkdir(parents=True, exist_ok=True)
    t = np.arange(0, seconds, 1 / RATE_HZ)
    fix_t = np.arange(0.5, seconds, 1.0) if fix_t is None else np.asarray(fix_t, dtype=np.float64)
    acc = np.stack([t, np.sin(t), np.cos(t), 9.81 + 0.1 * np.sin(9 * t)], axis=1)
    gyro = np.stack([t + 0.003, 0.1 * np.sin(t), 0.1 * np.cos(t), 0 * t], axis=1)
    lat = 47.5 + fix_t * 8.0 / 111_320
    known = np.broadcast_to(speed, fix_t.shape)
    location = np.stack(
        [fix_t, lat, 19.0 + 0 * fix_t, 120 + 0 * fix_t, known, 0 * fix_t, 4 + 0 * fix_t, 9 + 0 * fix_t], axis=1
    )
    for name, table in (("Accelerometer", acc), ("Gyroscope", gyro), ("Location", location)):
        text = "\n".join(["h" + ",h" * (table.shape[1] - 1), *(",".join(map(repr, row)) for row in table.tolist()), ""])
        path = folder / f"{name}.csv"
        if packed:
            Path(f"{path}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
    return folder


def all_of(drive, city, end_s):
    """The drive's chunks before its ends are cut off."""
    return list(recordings.recorded(drive, city, end_s))


def owned(chunks):
    return [(c.start_s, c.end_s) for c in chunks]


@pytest.mark.parametrize("packed", [True, False])
def test_a_drive_is_read(tmp_path, packed):
    drive = recordings.read_drive(write_drive(tmp_path / "short", packed=packed))
    assert (drive.name, drive.rate_hz, drive.t0_s) == ("short", RATE_HZ, 0.0)
    assert drive.duration_s == pytest.approx(32.0, abs=0.05)
    assert drive.acc_mps2.shape == drive.gyro_radps.shape
    assert drive.acc_mps2[:, 2].mean() == pytest.approx(9.81, abs=0.02)
    t = np.arange(len(drive.acc_mps2)) / RATE_HZ  # the gyroscope's clock ran 3 ms behind
    assert np.abs(drive.gyro_radps[1:-1, 0] - 0.1 * np.sin(t - 0.003)[1:-1]).max() < 1e-4
    assert len(drive.fixes.t_s) == 32
    assert set(drive.fixes.accuracy_m) == {4}


def test_chunks_own_the_drive_without_gap_or_overlap(tmp_path, city):
    drive = recordings.read_drive(write_drive(tmp_path))
    chunks = all_of(drive, city, END_S)
    spans = owned(chunks)
    assert all(a[1] == pytest.approx(b[0], abs=1e-6) for a, b in pairwise(spans))
    shift_s = END_S - drive.duration_s
    assert spans[0][0] == pytest.approx(shift_s + 0.5, abs=1e-6)  # the first fix
    assert spans[-1][1] > shift_s + 31.5 - recordings.OWNED_S  # less than a chunk is left at the end
    assert [c.seq for c in chunks] == list(range(len(chunks)))
    assert len({c.trip for c in chunks}) == 1
    assert END_S - 10 < spans[-1][1] <= END_S


def test_chunks_carry_context_where_the_drive_has_it(tmp_path, city):
    drive = recordings.read_drive(write_drive(tmp_path))
    chunks = all_of(drive, city, END_S)
    for c in chunks[1:-1]:
        last_s = c.t0_s + len(c.acc_counts) / c.rate_hz
        assert c.start_s - c.t0_s >= 1.5
        assert last_s - c.end_s >= 1.5
        assert c.start_s - c.fixes.t_s[0] >= 1.5
        assert c.fixes.t_s[-1] - c.end_s >= 1.5


def test_samples_and_places_are_those_of_the_drive(tmp_path, city):
    drive = recordings.read_drive(write_drive(tmp_path))
    first, *_, last = all_of(drive, city, END_S)
    a = round((last.t0_s - (END_S - drive.duration_s)) * RATE_HZ)
    assert np.abs(last.acc_mps2 - drive.acc_mps2[a : a + len(last.acc_counts)]).max() <= 0.5 / 256 + 1e-9
    lon0, lat0 = city.centre_deg
    assert (first.fixes.lat_deg[0] - lat0) * 111_320 == pytest.approx(400, abs=1)
    assert first.fixes.lon_deg[0] == lon0
    step_m = np.diff(last.fixes.lat_deg) * 111_320
    assert np.allclose(step_m, 8.0, atol=0.01)


def test_the_ends_of_a_drive_are_not_sent(tmp_path, city):
    """At 8 m/s 60 s are 480 m: time decides."""
    drive = recordings.read_drive(write_drive(tmp_path, seconds=180.0))
    chunks = list(recordings.chunks_of(drive, city, END_S, "phone-1"))
    begun_s = END_S - drive.duration_s
    assert 20 <= sum(c.end_s - c.start_s for c in chunks) <= 60
    assert min(min(c.t0_s, c.fixes.t_s[0]) for c in chunks) >= begun_s + 60
    assert max(max(c.measured_until_s, c.fixes.t_s[-1]) for c in chunks) <= END_S - 60
    assert [c.seq for c in chunks] == list(range(len(chunks)))
    assert not list(recordings.chunks_of(recordings.read_drive(write_drive(tmp_path)), city, END_S, "phone-1"))


def test_every_chunk_goes_over_the_wire_and_is_taken(tmp_path, city):
    drive = recordings.read_drive(write_drive(tmp_path, seconds=180.0))
    for c in recordings.chunks_of(drive, city, END_S, "phone-1"):
        assert c.origin == "replay"
        admit(decode(encode(c)), "phone", city, END_S)


def test_the_same_replay_is_the_same_trip_and_another_device_is_not(tmp_path, city):
    drive = recordings.read_drive(write_drive(tmp_path, seconds=180.0))
    once, again, other = (
        [encode(c) for c in recordings.chunks_of(drive, city, END_S, device)] for device in ("a", "a", "b")
    )
    assert once == again != []
    assert not set(once) & set(other)


def test_a_drive_over_four_in_the_morning_becomes_two_trips(tmp_path, city):
    drive = recordings.read_drive(write_drive(tmp_path, seconds=200.0))
    four_s = city.day_bounds_s(city.service_day(END_S))[0]
    chunks = list(recordings.chunks_of(drive, city, four_s + 100, "phone-1"))
    days = [c.trip[:8] for c in chunks]
    assert days == sorted(days)
    assert set(days) == {"20260301", "20260302"}
    assert [c.seq for c in chunks if c.trip[:8] == "20260302"] == list(range(days.count("20260302")))
    for c in chunks:
        admit(c, "phone", city, four_s + 100)


def test_shuffled_has_the_same_samples_in_another_order(tmp_path):
    drive = recordings.read_drive(write_drive(tmp_path))
    mixed = recordings.shuffled(drive, 1)
    assert not np.array_equal(mixed.acc_mps2, drive.acc_mps2)
    assert np.array_equal(np.sort(mixed.acc_mps2, axis=0), np.sort(drive.acc_mps2, axis=0))
    assert np.array_equal(recordings.shuffled(drive, 1).acc_mps2, mixed.acc_mps2)


def test_a_fix_without_speed_is_kept_with_speed_unknown(tmp_path):
    speed = np.full(32, 8.0)
    speed[[3, 7]] = [-1.0, np.nan]
    fixes = recordings.read_drive(write_drive(tmp_path, speed=speed)).fixes
    assert len(fixes.t_s) == 32
    assert fixes.speed_mps[[2, 3, 7]].tolist() == [8, -1, -1]


def test_a_hole_in_the_fixes_costs_only_the_chunks_in_it(tmp_path, city):
    """A tunnel of 20 s: no fix is near the middle of it."""
    drive = recordings.read_drive(
        write_drive(tmp_path, seconds=60.0, fix_t=[*np.arange(0.5, 20), *np.arange(40.5, 60)])
    )
    chunks = all_of(drive, city, END_S)
    shift_s = END_S - drive.duration_s
    starts = [c.start_s - shift_s for c in chunks]
    assert sum(s < 15 for s in starts) >= 2
    assert sum(s > 40 for s in starts) >= 2


def test_drives_are_found_below_a_folder(tmp_path):
    for name in ("b", "a"):
        write_drive(tmp_path / name)
    (tmp_path / "notes").mkdir()
    assert [p.name for p in recordings.drives_in(tmp_path)] == ["a", "b"]
    assert recordings.drives_in(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(recordings.RecordingError, match="no drive"):
        recordings.drives_in(tmp_path / "notes")


def _bytes(change):
    """A damage of the fixes' file: other bytes, or a change of its own."""

    def spoil(folder):
        path = folder / "Location.csv.gz"
        path.write_bytes(change if isinstance(change, bytes) else change(path.read_bytes()))

    return spoil


def _text(change, name="Location"):
    """A damage of what a file holds: another text, or a change of its own."""

    def spoil(folder):
        path = folder / f"{name}.csv.gz"
        text = change if isinstance(change, str) else change(gzip.decompress(path.read_bytes()).decode())
        path.write_bytes(gzip.compress(text.encode()))

    return spoil


DAMAGE = {
    "missing": lambda folder: (folder / "Location.csv.gz").unlink(),
    "not gzip": _bytes(b"t,lat\n1,2\n"),
    "cut": _bytes(lambda data: data[: len(data) // 2]),
    "flipped": _bytes(lambda data: data[:40] + bytes(b ^ 0xFF for b in data[40:60]) + data[60:]),
    "empty": _text(""),
    "head only": _text(lambda text: text.split("\n")[0]),
    "one row": _text(lambda text: "\n".join(text.split("\n")[:2])),
    "words": _text(lambda text: text.replace("47.5", "north", 3)),
    "ragged": _text(lambda text: text + "1,2,3\n"),
    "too few columns": _text("a,b\n1,2\n3,4\n"),
    "binary": _bytes(gzip.compress(bytes(range(256)) * 20)),
    "endless field": _text("a\n" + "1" * 200_000),
    "all nan": _text("t\n" + "nan,nan,nan,nan,nan,nan,nan\n" * 5),
    "acceleration all nan": _text("t\n" + "nan,nan,nan,nan\n" * 5, "Accelerometer"),
    "a clock that stands": _text("t\n" + "1.0,0,0,9.8\n" * 5, "Accelerometer"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_named(tmp_path, what):
    folder = write_drive(tmp_path / "drive-7")
    DAMAGE[what](folder)
    with pytest.raises(recordings.RecordingError) as error:
        recordings.read_drive(folder)
    name = "Accelerometer" if what in ("acceleration all nan", "a clock that stands") else "Location"
    assert name in str(error.value)
    assert "drive-7" in str(error.value)


@pytest.mark.recordings
def test_real_drives_become_chunks_that_are_taken(recordings, city):
    from ingest import recordings as reading  # noqa: PLC0415 (the fixture of that name is the folder)

    folders = reading.drives_in(recordings)
    assert folders
    drive = reading.read_drive(folders[0])
    assert 90 < drive.rate_hz < 110
    chunks = list(reading.chunks_of(drive, city, END_S, "phone-1"))
    covered_s = sum(c.end_s - c.start_s for c in chunks)
    assert drive.duration_s - 15 - 2 * 60 - 60 < covered_s < drive.duration_s - 2 * 60
    refused = []
    for c in chunks:
        back = decode(encode(c))
        try:
            admit(back, "phone", city, END_S)
        except Exception as refusal:
            refused.append(refusal)
    assert [r for r in refused if getattr(r, "reason", None) is not Reason.NOT_COVERED] == []
    assert len(refused) <= 0.02 * len(chunks)
    moved = replace(drive, t0_s=drive.t0_s + 1_000, fixes=replace(drive.fixes, t_s=drive.fixes.t_s + 1_000))
    again = owned(reading.chunks_of(moved, city, END_S, "phone-1"))
    assert np.array(again) == pytest.approx(np.array(owned(chunks)), abs=1e-5)
