"""How far one place reaches into the squares beside it."""

from __future__ import annotations

HALO = 3
"""Squares: the other wheel of a vehicle is 1.8 m away, so a ghost is at most three squares from what it is a ghost of.
At 2 ghosts of rotated streets survive, at 4 two real holes hide one another."""
