"""Which simulated drives training and benchmark use. The seeds are frozen: who changes one has another benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriveSet:
    """One folder of drives. what: mixed, healthy, look_alikes or passes; physics: first (to learn from) or second
    (never learnt from)."""

    name: str
    physics: str
    what: str
    device: str
    km: float
    seed: int
    equipment: tuple[str, ...] = ()
    passes: int = 0

    def arguments(self) -> list[str]:
        """For `python -m sensors_sim ground`, without the folder."""
        said = [
            "--physics", self.physics, "--what", self.what, "--device", self.device, "--km", f"{self.km:g}", "--seed",
            str(self.seed),
        ]  # fmt: skip
        if self.equipment:
            said += ["--equipment", ",".join(self.equipment)]
        if self.passes:
            said += ["--passes", str(self.passes)]
        return said


_ALL = ("laser", "bands", "camera")


def _set(role: str, physics: str, what: str, device: str, km: float, seed: int, passes: int = 0) -> DriveSet:
    equipment = _ALL if device == "box" else ()
    return DriveSet(f"{role}-{physics}-{what}-{device}", physics, what, device, km, seed, equipment, passes)


def training_sets(device: str, scale: float = 1.0) -> tuple[DriveSet, ...]:
    """To learn from and to calibrate on: the first physics alone."""
    more = scale * (1.5 if device == "phone" else 1.0)  # a phone's drives are a tenth as large
    return (
        _set("learn", "first", "varied", device, 900 * more, 1001),
        _set("learn", "first", "healthy", device, 400 * more, 1002),
        _set("learn", "first", "look_alikes", device, 120 * more, 1003),
        _set("calibrate", "first", "varied", device, 200 * scale, 2001),
        _set("calibrate", "first", "healthy", device, 400 * scale, 2002),
    )


def benchmark_sets(device: str, quick: bool = False) -> tuple[DriveSet, ...]:
    """To be judged on; never seen in training."""
    s = 0.15 if quick else 1.0
    role = "quick" if quick else "judge"
    sets: tuple[DriveSet, ...] = (
        _set(role, "first", "mixed", device, 200 * s, 9001),
        _set(role, "first", "healthy", device, 1000 * s, 9002),
        _set(role, "second", "mixed", device, 200 * s, 9003),
        _set(role, "second", "healthy", device, 400 * s, 9004),
        _set(role, "first", "look_alikes", device, 40 * s, 9005),
        _set(role, "second", "look_alikes", device, 40 * s, 9006),
    )
    if device == "box":
        # A stretch of .6 km has a dozen things; sixteen passes over it are ten km.
        sets += (_set(role, "first", "passes", device, 50 if quick else 200, 9007, 16),)
    return sets


CONFUSION_SET = DriveSet("learn-first-passes-box", "first", "passes", "box", 120, 1004, _ALL, 16)
"""On which the camera's confusions are counted."""
