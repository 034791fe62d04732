"""Scores on real recordings: inside one folder by leaving whole groups, trips and drives out, or from one folder
to another.

How the models are set was chosen on the folder of the project's README by a handful of looks, which docs/evaluation.md
counts; a test folder is only ever read to be scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .real_clips import FULL, ClipScores, Effort, cross_validated, fitted_and_scored
from .real_data import RealDataError, Recordings, read_recordings
from .real_roads import DriveScores, TripScores, score_drives, score_trips

_Scores = TypeVar("_Scores", ClipScores, TripScores, DriveScores)


@dataclass(frozen=True, eq=False)
class RealScores:
    """What recordings gave. clips, trips, drives: None where a folder lacks them, or where ``notes`` says why they
    could not be scored. split: "cross-validated" or "train-test". leak: some of the test was learnt from."""

    split: str
    leak: bool
    clips: ClipScores | None
    trips: TripScores | None
    drives: DriveScores | None
    notes: tuple[str, ...]

    @property
    def key_figures(self) -> dict[str, float | None]:
        """The figures by their keys; None where there is none."""
        return {
            "gonzalez_grouped_f1": self.clips.whole_f1 if self.clips else None,
            "gonzalez_crop_f1": self.clips.crop_f1 if self.clips else None,
            "pittsburgh_ap": self.trips.ap if self.trips else None,
            "meszaros_f1": self.drives.f1 if self.drives else None,
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, of types that JSON has; what is not a number (NaN) is None."""
        parts = {name: _plain(asdict(part)) if part else None for name, part in self._parts().items()}
        return {
            **{key: _plain(value) for key, value in self.key_figures.items()},
            "split": self.split,
            "leak": self.leak,
            "notes": list(self.notes),
            **parts,
        }

    def _parts(self) -> dict[str, ClipScores | TripScores | DriveScores | None]:
        return {"clips": self.clips, "trips": self.trips, "drives": self.drives}


def score_real(train: Path, test: Path | None, seed: int, effort: Effort = FULL) -> RealScores:
    """Scores of the recordings below ``train``, each by models that never saw its group, trip or drive; or, with
    ``test``, of those there, by models that learnt from all of ``train``. Both are laid out as read_recordings says.

    A part that a folder lacks, or that is too small to be scored, gives None and a note. Raises RealDataError where
    recordings cannot be read or labels of the test were never learnt, ResearchExtraMissing.
    """
    learnt = read_recordings(train)
    asked = None if test is None else read_recordings(test)
    notes: list[str] = []
    same = [] if asked is None else _shared(learnt, asked)
    if same:
        notes.append(
            f"LEAK: {len(same)} recordings of the test are in the training folder too ({', '.join(same[:6])}). The "
            "figures show what was learnt by heart, not what will be recognised: score others."
        )
    clips, trips, drives = None, None, None
    if learnt.clips and (asked is None or asked.clips):
        if asked is None:
            clips = _noted(notes, "clips", lambda: cross_validated(learnt.clips, seed, effort))
        else:
            clips = fitted_and_scored(learnt.clips, asked.clips, seed, effort)
    if learnt.trips and (asked is None or asked.trips):
        held = asked.trips if asked else None
        trips = _noted(notes, "trips", lambda: score_trips(learnt.trips, held, seed, effort.trees))
    if learnt.drives and (asked is None or asked.drives):
        drives = _noted(notes, "drives", lambda: score_drives(learnt.drives, asked.drives if asked else None, seed))
    for name in ("clips", "trips", "drives"):
        for what, folder in (("training", learnt), ("test", asked)):
            if folder is not None and not getattr(folder, name):
                notes.append(f"no {name} in the {what} folder {folder.folder}")
    split = "cross-validated" if asked is None else "train-test"
    return RealScores(split, bool(same), clips, trips, drives, tuple(notes))


def _noted(notes: list[str], part: str, score: Callable[[], _Scores]) -> _Scores | None:
    """The scores, or None and a note where there is too little to score."""
    try:
        return score()
    except RealDataError as error:
        notes.append(f"{part} are not scored: {error}")
        return None


def _shared(learnt: Recordings, asked: Recordings) -> list[str]:
    """Names of the recordings of the second that are in the first too, under whatever name."""
    known, names = _contents(learnt), _contents(asked)
    return sorted(names[digest] for digest in names.keys() & known.keys())


def _contents(recordings: Recordings) -> dict[str, str]:
    """Names of recordings by a digest of what was measured, so that a renamed copy is known."""
    measured: list[tuple[str, NDArray[np.float64]]] = []
    measured += [(f"clip {c.name}", c.acc_mps2) for c in recordings.clips]
    measured += [(t.name, t.acc_g) for t in recordings.trips]
    measured += [(d.drive.name, d.drive.acc_mps2) for d in recordings.drives]
    return {hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest(): name for name, x in measured}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
