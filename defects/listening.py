"""Asking the recogniser, and what its silence is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grid import Trace, Track, sample
from ingest import Chunk

from .options import EvidenceOptions
from .planes import FELT_TYPES
from .taxonomy import ALL_TYPES, BY_KEY
from .told import Told, speed_bins

Series = NDArray[np.float64]
_POTHOLE = BY_KEY["pothole"].number


def listened(
    chunks: Sequence[Chunk], tracks: Sequence[Track], kind: str, options: EvidenceOptions
) -> list[Told] | list[None]:
    """What the model of a kind of device tells of chunks with these tracks; None for each where no model judges it."""
    # Only who recognises wakes the compiler: it takes half a second and 60 MB, and most processes never do.
    name = options.models.get(kind)
    if name is None or not chunks:
        return [None] * len(chunks)
    from .recognise import recognise  # noqa: PLC0415
    from .shipped import shipped  # noqa: PLC0415

    speeds = [np.where(track.usable, track.speed_mps, 0.0) for track in tracks]
    return recognise(chunks, speeds, kind, shipped(name))


def listen(
    chunks: Sequence[Chunk], kinds: Sequence[str], given: Sequence[Trace], options: EvidenceOptions
) -> list[Told | None]:
    """What the recogniser tells of many chunks at once; None for a summary, and where no model judges a kind. For all
    chunks of a batch together it costs a third of what they cost one by one. Arguments in the order of the chunks, as
    `observe` takes them."""
    told: list[Told | None] = [None] * len(chunks)
    for kind in sorted(set(kinds)):
        mine = [i for i, c in enumerate(chunks) if kinds[i] == kind and c.quiet is None]
        tracks = [sample(given[i], chunks[i].sample_t_s) for i in mine]
        for i, one in zip(mine, listened([chunks[i] for i in mine], tracks, kind, options), strict=True):
            told[i] = one
    return told


def shown(told: Told, speed_mps: Series) -> Series:
    """Chance that a severe pothole under the wheel shows as a candidate, less what healthy road shows anyway: 1
    minus it is the likelihood ratio of silence."""
    by_speed = np.array([0.0, *(1 - (1 - told.detect[_POTHOLE]) / (1 - told.detect[0]))])
    return np.asarray(np.clip(by_speed[speed_bins(speed_mps) + 1], 0.0, 0.99))


def most_said(told: Told, chunk: Chunk) -> Series:
    """The most that silence may say at each sample: where a candidate was, no more than the recogniser's own doubt."""
    most = np.full(len(chunk.acc_counts), np.inf)
    reach = int(0.35 * chunk.rate_hz)
    for t_s, ratio in zip(told.t_s.tolist(), told.log_ratio.tolist(), strict=True):
        i = round((t_s - chunk.t0_s) * chunk.rate_hz)
        part = most[max(0, i - reach) : i + reach + 1]
        np.minimum(part, max(0.0, -ratio), out=part)
    return most


def kinds_said(told: Told, candidate: int) -> Series | None:
    """What a candidate says of each type of `FELT_TYPES`, float64 (11,): the log of its probability given a defect,
    over its share of the leaves that the model knows, which are alike before anything is heard. None where it is more
    likely no defect, of which no kind is asked. A type that the model does not know gets 0."""
    if told.log_ratio[candidate] <= 0:
        return None
    said = np.zeros(len(FELT_TYPES))
    for row, number in enumerate(FELT_TYPES):
        mine = [i for i, leaf in enumerate(told.leaves) if leaf.key == ALL_TYPES[number].key]
        if mine:
            p = sum(float(told.kinds[candidate, i]) for i in mine)
            said[row] = np.log(max(p, 1e-9) * len(told.leaves) / len(mine))
    return said
