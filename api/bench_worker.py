"""A worker for `roadcode bench ingest`: everything of the real one but recognition, which is measured apart.

A chunk is decoded, checked, deduplicated, positioned and placed on squares; it leaves which blocks it passed, its raw
bytes and its verdict, and no evidence. Run as a process of its own: `python -m api.bench_worker [recognise]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from defects import Told, listen, observe, place

from .loops import run_worker
from .settings import Settings


def deaf(chunks: Sequence[Any], *_: Any) -> list[Told | None]:
    """Nothing told of any chunk, with the arguments of `listen`."""
    return [None] * len(chunks)


def main() -> None:
    """The process."""
    see, hear = (observe, listen) if "recognise" in sys.argv[1:] else (place, deaf)
    run_worker(Settings(), see, hear)


if __name__ == "__main__":
    main()
