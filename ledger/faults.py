"""What `fsck` finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What is not as it should be: `part` (record, tile, checkpoint, anchor, chain ...), where in it, and why."""

    part: str
    where: str
    text: str
