"""What only training and evaluation need: real recordings, and models of scikit-learn. The running
platform has none of it."""

from .extra import ResearchExtraMissing
from .real import RealScores, score_real
from .real_clips import FULL, QUICK, Effort, sim_only
from .real_data import RealDataError, read_recordings

__all__ = [
    "FULL",
    "QUICK",
    "Effort",
    "RealDataError",
    "RealScores",
    "ResearchExtraMissing",
    "read_recordings",
    "score_real",
    "sim_only",
]
