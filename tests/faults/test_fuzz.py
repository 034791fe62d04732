"""The decoders under random broken chunks: a chunk or a refusal, within 50 ms and 50 MB each, and nothing else. Two
seconds in `make test`; `make faults` takes FUZZ_S seconds, and prints the seed."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable

import pytest

from ingest import Refused, decode, decode_json, encode, encode_json, peek

from ..ingest.chunks import box_chunk
from ..ingest.make_vectors import accepted
from ..ingest.test_wire_fuzz import SEEDS
from .conftest import Toll
from .fuzz import mutants
from .stage import LONG

FUZZ_S = float(os.environ.get("FUZZ_S") or (120 if LONG else 2))
FUZZ_SEED = int(os.environ.get("FUZZ_SEED") or (random.SystemRandom().randrange(2**32) if LONG else 20261124))
MOST_S, MOST_BYTES = 0.05, 50_000_000
"""Of one payload. A worker that a device can hold up for longer, or fill, is one that a few devices can stop."""


def whole(payload: bytes) -> None:
    """Everything that is done with a payload before it is known to be a chunk."""
    peek(payload)
    with contextlib.suppress(Refused):
        decode(payload)


def twin(payload: bytes) -> None:
    """The same for the JSON form."""
    with contextlib.suppress(Refused):
        decode_json(payload.decode(errors="replace"))


def cost_s(work: Callable[[bytes], None], payload: bytes) -> float:
    """Processor seconds, the best of three where the first was over: a first time may pay for what is made once."""
    best_s = float("inf")
    for _ in range(3):
        started_s = time.thread_time()
        work(payload)
        best_s = min(best_s, time.thread_time() - started_s)
        if best_s <= MOST_S:
            break
    return best_s


def peak_bytes(work: Callable[[bytes], None], payload: bytes) -> int:
    """The most memory that it held at once, numpy's included."""
    tracemalloc.start()
    try:
        work(payload)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["cbor", "json"])
def test_no_payload_is_anything_but_taken_or_refused_soon_and_cheaply(form: str, toll: Toll) -> None:
    work = whole if form == "cbor" else twin
    twins = [encode_json(chunk).encode() for chunk in accepted().values()]
    seeds = [*SEEDS, encode(box_chunk())] if form == "cbor" else twins
    sys.stdout.write(f"FUZZ_SEED={FUZZ_SEED} {form}\n")
    end_s = time.monotonic() + FUZZ_S / 2
    n, slowest_s, largest = 0, 0.0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for payload in mutants(seeds, FUZZ_SEED):
            if time.monotonic() > end_s:
                break
            n += 1
            try:
                took_s = cost_s(work, payload)
                # Tracing makes it several times slower: not of each.
                held = peak_bytes(work, payload) if n % 10 == 0 or took_s > MOST_S / 5 else 0
            except Exception as error:
                raise AssertionError(f"{type(error).__name__} at mutant {n} of seed {FUZZ_SEED}: {error}") from error
            slowest_s, largest = max(slowest_s, took_s), max(largest, held)
            assert took_s <= MOST_S, f"mutant {n} of seed {FUZZ_SEED} took {took_s:.3f} s: {payload[:200]!r}"
            assert held <= MOST_BYTES, f"mutant {n} of seed {FUZZ_SEED} held {held} bytes: {payload[:200]!r}"
    toll.add(f"fuzzed: {form}", payloads=n, seconds=FUZZ_S / 2, fuzz_seed=FUZZ_SEED,
             slowest_ms=round(slowest_s * 1000, 2), largest_mb=round(largest / 1e6, 2))  # fmt: skip
    assert n > 50
