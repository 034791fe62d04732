"""Chunks for the tests of this room: whole ones to start from, and a strategy for all that the format holds."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ingest import (
    CARRIERS,
    DATUMS,
    DEFECT_KEYS,
    ORIGINS,
    Bands,
    Chunk,
    Detection,
    Fixes,
    Laser,
    Quiet,
    Trimmed,
)

START_S = datetime(2026, 3, 2, 0, 0, tzinfo=UTC).timestamp()  # 08:00 in Hangzhou
TRIP = "20260302-00c0ffee"
LAST_S = 4_102_444_800.0


def fixes_at(t_s, lat=30.2790, lon=120.1655, *, accuracy=0.5, speed=10.0, course=90.0):
    """Fixes along a parallel, 1e-4 degrees of longitude (9.6 m here) a second."""
    t_s = np.asarray(t_s, dtype=np.float64)
    return Fixes(
        t_s=t_s,
        lat_deg=np.full(len(t_s), lat),
        lon_deg=lon + (t_s - t_s[0]) * 1e-4,
        accuracy_m=np.full(len(t_s), accuracy, dtype=np.float32),
        speed_mps=np.full(len(t_s), speed, dtype=np.float32),
        course_deg=np.full(len(t_s), course, dtype=np.float32),
    )


def box_chunk(**changes):
    """A chunk that the example city takes: 5 s owned and 2 s on each side, 100 Hz, 1 Hz fixes."""
    chunk = Chunk(
        trip=TRIP,
        seq=3,
        start_s=START_S,
        end_s=START_S + 5,
        t0_s=START_S - 2,
        rate_hz=100.0,
        carrier="bus",
        origin="simulated",
        datum="cgcs2000",
        acc_scale_mps2=1 / 256,
        acc_counts=np.tile(np.array([[0, 0, 2511]], dtype=np.int16), (900, 1)),
        fixes=fixes_at(START_S + np.arange(-2.0, 8.0)),
        trimmed=Trimmed(200.0, 60.0),  # a box need not say it; so it is a phone's as well
    )
    return replace(chunk, **changes)


def same(a, b):
    """Whether two values of the wire are equal to the bit, arrays and their types included."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if is_dataclass(a) and type(a) is type(b):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def _numbers(low, high):
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


def _column(dtype, rows, low, high):
    width = np.dtype(dtype).itemsize * 8
    return hnp.arrays(dtype, rows, elements=st.floats(low, high, width=width, allow_subnormal=width == 64))


_TIMES = _numbers(0, LAST_S)


@st.composite
def fixes_of(draw):
    """Any fixes that the format holds."""
    t_s = np.array(sorted(draw(st.sets(_TIMES, min_size=1, max_size=6))), dtype=np.float64)
    m = len(t_s)
    unknown_or = [
        np.where(draw(hnp.arrays(bool, m)), np.float32(-1), draw(_column("<f4", m, 0, high))).astype("<f4")
        for high in (100, 360)
    ]
    return Fixes(
        t_s,
        draw(_column("<f8", m, -84, 84)),
        draw(_column("<f8", m, -180, 180)),
        draw(_column("<f4", m, 0, 10_000)),
        *unknown_or,
    )


def _grid(dtype, columns):
    elements = None if dtype == "<i2" else st.floats(-200, 200, width=32)
    return st.integers(1, 5).flatmap(lambda rows: hnp.arrays(dtype, (rows, columns), elements=elements))


_LASERS = st.integers(1, 5).flatmap(
    lambda p: st.builds(
        Laser, t0_s=_TIMES, rate_hz=_numbers(0.1, 20_000), width_m=_numbers(0.1, 10), scale_m=_numbers(1e-7, 0.1),
        height_counts=_grid("<i2", p),
    )
)  # fmt: skip
_BANDS = st.integers(1, 5).flatmap(
    lambda b: st.builds(
        Bands, t0_s=_TIMES, step_s=_numbers(1e-3, 60), centre_hz=_column("<f4", b, 1, 20_000), level_db=_grid("<f4", b)
    )
)
_DETECTIONS = st.builds(
    Detection, t_s=_TIMES, kind=st.sampled_from(DEFECT_KEYS), score=_numbers(0, 1), lat_deg=_numbers(-84, 84),
    lon_deg=_numbers(-180, 180), accuracy_m=_numbers(0, 10_000), area_m2=_numbers(0, 10_000) | st.just(-1.0),
    depth_mm=_numbers(0, 5_000) | st.just(-1.0),
)  # fmt: skip


@st.composite
def _quiets(draw):
    rows, bands = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    counts = st.integers(0, 32_767)
    return Quiet(
        step_s=draw(_numbers(0.1, 10)),
        scale_mps2=draw(_numbers(1e-6, 1)),
        centre_hz=draw(_column("<f4", bands, 1, 200)),
        level_counts=draw(hnp.arrays("<i2", (rows, bands), elements=counts)),
        peak_counts=draw(hnp.arrays("<i2", rows, elements=counts)),
    )


@st.composite
def chunks(draw):
    """Any chunk that the format holds; whether a city takes it is another question."""
    start_s = draw(_numbers(0, LAST_S - 61))
    quiet = draw(st.none() | _quiets())
    acc = draw(_grid("<i2", 3)) if quiet is None else np.zeros((0, 3), dtype="<i2")
    gyro = draw(st.none() | hnp.arrays("<i2", acc.shape)) if quiet is None else None
    return Chunk(
        trip=draw(st.from_regex(r"[0-9]{8}-[0-9a-f]{8,32}", fullmatch=True)),
        seq=draw(st.integers(0, 2**31 - 1)),
        start_s=start_s,
        end_s=start_s + draw(_numbers(0.51, 59.9)),
        t0_s=draw(_TIMES),
        rate_hz=draw(_numbers(1, 2_000)),
        carrier=draw(st.sampled_from(CARRIERS)),
        origin=draw(st.sampled_from(ORIGINS)),
        datum=draw(st.sampled_from(DATUMS)),
        acc_scale_mps2=draw(_numbers(1e-6, 1)) if quiet is None else 0.0,
        acc_counts=acc,
        fixes=draw(fixes_of()),
        gyro_scale_radps=0.0 if gyro is None else draw(_numbers(1e-7, 1)),
        gyro_counts=gyro,
        laser=draw(st.none() | _LASERS),
        bands=draw(st.none() | _BANDS),
        detections=tuple(draw(st.lists(_DETECTIONS, max_size=3))),
        trimmed=draw(st.none() | st.builds(Trimmed, _numbers(0, 100_000), _numbers(0, 86_400))),
        quiet=quiet,
    )
