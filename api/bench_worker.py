"""A worker for `roadcode bench ingest`: everything of the real one but recognition, which is measured apart.

A chunk is decoded, checked, deduplicated, positioned and placed on squares; it leaves which blocks it passed, its raw
bytes and its verdict, and no evidence. Run as a process of its own: `python -m api.bench_worker [recognise]`.
"""

from __future__ import annotations

import sys

from defects import EvidenceOptions, Observation, observe, place
from grid import locate
from ingest import Chunk, City

from .loops import run_worker
from .settings import Settings


def positioned(chunk: Chunk, kind: str, _slot: int, city: City, options: EvidenceOptions) -> Observation:
    """Where the chunk passed, and nothing of what it felt; arguments as those of `observe`."""
    return place(chunk, locate(chunk, city), kind, city, options)


def main() -> None:
    """The process."""
    run_worker(Settings(), observe if "recognise" in sys.argv[1:] else positioned)


if __name__ == "__main__":
    main()
