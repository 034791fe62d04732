"""The models that come with the platform: read when first asked for, kept from then on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model


def shipped_models() -> Path:
    """The folder of the models that come with the platform."""
    return Path(__file__).resolve().parent / "models"


def load_model(card: Path) -> Model:
    """The model of a card. Raises ModelError (a ValueError) where card or arrays are missing, altered, or of another
    version."""
    from .model import load  # noqa: PLC0415  (wakes the compiler: only who recognises pays for it)

    return load(card)


@lru_cache(maxsize=8)
def shipped(name: str) -> Model:
    """The model ``name`` that comes with the platform. Raises ModelError, as `load_model` does."""
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name of a model")
    return load_model(shipped_models() / f"{name}.json")


def model_digests(names: dict[str, str]) -> dict[str, str]:
    """By kind of device: the hash of the card of the model that judges it, for the day's context."""
    return {kind: shipped(name).digest for kind, name in sorted(names.items())}
