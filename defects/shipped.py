"""The models that come with the platform: read when first asked for, kept from then on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from .model import Model, ModelError, load

FOLDER = Path(__file__).resolve().parent / "models"


@lru_cache(maxsize=8)
def shipped(name: str) -> Model:
    """The model ``name`` of the folder `models`. Raises ModelError where there is none, or an altered one."""
    if not name.isidentifier():
        raise ModelError(f"{name!r} is no name of a model")
    return load(FOLDER / f"{name}.json")
