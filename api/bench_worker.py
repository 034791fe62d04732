"""A worker for `roadcode bench ingest`: everything of the real one but recognition, which is measured apart.

A chunk is decoded, checked, deduplicated, positioned and placed on squares; it leaves which blocks it passed, its raw
bytes and its verdict, and no evidence. Run as a process of its own: `python -m api.bench_worker [recognise]`.
"""

from __future__ import annotations

import sys

from defects import observe, place

from .loops import run_worker
from .settings import Settings


def main() -> None:
    """The process."""
    run_worker(Settings(), observe if "recognise" in sys.argv[1:] else place)


if __name__ == "__main__":
    main()
