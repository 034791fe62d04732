"""The researcher's bench: training, the benchmark on simulated drives, and the score on real recordings. The running
platform needs none of it, and it alone needs scikit-learn."""

from .benchmark import KEYS, benchmark, keys, summary
from .drives import DrivesError
from .extra import ResearchExtraMissing
from .real import RealScores, score_real
from .real_clips import FULL, QUICK, Effort, sim_only
from .real_data import RealDataError, read_recordings
from .report import page, plots
from .sets import CONFUSION_SET, DriveSet, benchmark_sets, training_sets
from .train import TrainOptions
from .training import trained

__all__ = [
    "CONFUSION_SET",
    "FULL",
    "KEYS",
    "QUICK",
    "DriveSet",
    "DrivesError",
    "Effort",
    "RealDataError",
    "RealScores",
    "ResearchExtraMissing",
    "TrainOptions",
    "benchmark",
    "benchmark_sets",
    "keys",
    "page",
    "plots",
    "read_recordings",
    "score_real",
    "sim_only",
    "summary",
    "trained",
    "training_sets",
]
