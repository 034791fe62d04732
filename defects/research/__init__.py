"""The researcher's bench: training, the benchmark on simulated drives, and the score on real recordings. The running
platform needs none of it, and it alone needs scikit-learn."""

from .benchmark import KEYS, benchmark, keys, summary
from .drives import DrivesError
from .extra import ResearchExtraMissing
from .fusion import FULL as FULL_STREETS
from .fusion import QUICK as QUICK_STREETS
from .fusion import bench_fusion
from .fusion import summary as fusion_summary
from .fusion_e2e import end_to_end
from .real import RealScores, score_real
from .real_clips import FULL, QUICK, Effort, sim_only
from .real_data import RealDataError, read_recordings
from .report import page, plots
from .sets import DriveSet, benchmark_sets, camera_sets, training_sets
from .train import TrainOptions
from .training import trained

__all__ = [
    "FULL",
    "FULL_STREETS",
    "KEYS",
    "QUICK",
    "QUICK_STREETS",
    "DriveSet",
    "DrivesError",
    "Effort",
    "RealDataError",
    "RealScores",
    "ResearchExtraMissing",
    "TrainOptions",
    "bench_fusion",
    "benchmark",
    "benchmark_sets",
    "camera_sets",
    "end_to_end",
    "fusion_summary",
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
