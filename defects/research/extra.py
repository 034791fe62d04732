"""The door to scikit-learn, which the platform runs without: only research asks for it."""

from __future__ import annotations

import importlib
from typing import Any


class ResearchExtraMissing(ImportError):
    """scikit-learn or scipy is not installed; the text says what to do."""


def research(module: str) -> Any:
    """A module of the research extra by its name. Raises ResearchExtraMissing where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ResearchExtraMissing(
            f"{module} is not installed, and training and evaluation need it: run `make research`"
        ) from error
