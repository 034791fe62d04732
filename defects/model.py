"""A trained model on disk: arrays in NAME.npz, and a card NAME.json beside it that says what it was made of.

Nothing is unpickled: the arrays are plain numbers, and they are read only where their hash is the one in the card. The
card's own hash goes into the day's context, so that it is on record which model spoke on which day.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forest import Forest
from .gate import GateOptions
from .senses import feature_names
from .taxonomy import BY_KEY, Leaf
from .told import SPEED_EDGES_MPS

SCHEMA = "rhc-model/1"
MOST_BYTES = 32 * 1024 * 1024
"""Of a file of arrays: the largest so far has 2 MB. More is not ours, and would be read whole into memory."""
_FORESTS = ("detect", "kinds", "size")


class ModelError(ValueError):
    """A model cannot be used; the text says which file, why, and what to do."""


@dataclass(frozen=True, eq=False)
class Model:
    """What a kind of device needs to recognise.

    leaves: what the classes are, type and subtype. detect: raw score of "a defect"; knots float64 (2, k): raw score ->
    log-odds at the natural share of defects, by isotonic regression. prior: that share among candidates. kinds: raw
    scores of the leaves, given a defect; temperature: what they are divided by; shares (L,): of the leaves in training.
    size: log of 1 mm + height, given a defect. fire: least probability of a finding (one false one a km on healthy
    simulated road). quiet (types + 1, speeds, roughness): chance that a severe defect of the type under a wheel gives
    no candidate; row 0: that healthy road gives none in the time a defect takes. rough (r,): edges of the roughness
    bins.
    """

    kind: str
    gate: GateOptions
    leaves: tuple[Leaf, ...]
    detect: Forest
    knots: NDArray[np.float64]
    prior: float
    kinds: Forest
    temperature: float
    shares: NDArray[np.float64]
    size: Forest
    fire: float
    quiet: NDArray[np.float64]
    rough: NDArray[np.float64]
    per_m: float
    digest: str = ""

    def log_odds(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated log-odds of a defect at the natural share, of raw scores (n,)."""
        return np.asarray(np.interp(raw, self.knots[0], self.knots[1]))


def arrays_of(model: Model) -> dict[str, NDArray[Any]]:
    """What goes into the file of arrays."""
    out: dict[str, NDArray[Any]] = {
        "knots": model.knots, "shares": model.shares, "quiet": model.quiet, "rough": model.rough,
    }  # fmt: skip
    for name in _FORESTS:
        forest: Forest = getattr(model, name)
        out |= {f"{name}.{field}": getattr(forest, field) for field in Forest.FIELDS}
    return out


def save(folder: Path, name: str, model: Model, card: dict[str, Any]) -> Path:
    """Writes NAME.npz and NAME.json into ``folder``; gives the card's path. ``card``: what people should know of it:
    data, seeds, figures, limits. The same model gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    data = _packed(arrays_of(model))
    (folder / f"{name}.npz").write_bytes(data)
    tree = {
        "schema": SCHEMA,
        "kind": model.kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "gate": asdict(model.gate),
        "features": list(feature_names(model.kind)),
        "leaves": [[leaf.key, leaf.subtype] for leaf in model.leaves],
        "prior": model.prior,
        "temperature": model.temperature,
        "fire": model.fire,
        "per_m": model.per_m,
        **card,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(tree, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    return path


def _packed(arrays: dict[str, NDArray[Any]]) -> bytes:
    """An .npz with fixed times, so that it hangs on the numbers alone."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted(arrays.items()):
            one = io.BytesIO()
            np.lib.format.write_array(one, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), one.getvalue(), zipfile.ZIP_DEFLATED
            )
    return out.getvalue()


def load(card_path: Path) -> Model:
    """The model of a card. Raises ModelError where card or arrays are missing, altered, or of another version."""
    try:
        text = card_path.read_bytes()
        card = json.loads(text)
        if card["schema"] != SCHEMA:
            raise ModelError(f"{card_path} is of schema {card['schema']}, this version reads {SCHEMA}: train it again")
        kind = card["kind"]
        if kind not in ("box", "phone") or tuple(card["features"]) != feature_names(kind):
            raise ModelError(f"{card_path} was trained on other features than this version computes: train it again")
        data = _read(card_path.with_suffix(".npz"))
        if hashlib.sha256(data).hexdigest() != card["sha256"]:
            raise ModelError(f"{card_path.with_suffix('.npz')} is not the file its card names: fetch both again")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        model = _built(card, found, len(feature_names(kind)), hashlib.sha256(text).hexdigest())
    except ModelError:
        raise
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{card_path} cannot be read as a model ({error}): fetch it again or train one") from None
    return model


def _read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ModelError(f"{path} has more than {MOST_BYTES >> 20} MB: that is no model of ours")
    return path.read_bytes()


def _built(card: dict[str, Any], arrays: dict[str, NDArray[Any]], columns: int, digest: str) -> Model:
    forests = {}
    for name in _FORESTS:
        forest = Forest(**{field: arrays[f"{name}.{field}"] for field in Forest.FIELDS}, features=columns)
        forest.check()
        forests[name] = forest
    said: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in card["gate"].items()}
    gate = GateOptions(**said)
    leaves = tuple(Leaf(key, subtype) for key, subtype in card["leaves"])
    if unknown := [leaf.key for leaf in leaves if leaf.key not in BY_KEY]:
        raise ModelError(f"the card names types that there are not: {', '.join(unknown)}")
    model = Model(
        kind=card["kind"], gate=gate, leaves=leaves, knots=arrays["knots"], prior=float(card["prior"]),
        temperature=float(card["temperature"]), shares=arrays["shares"], fire=float(card["fire"]),
        quiet=arrays["quiet"], rough=arrays["rough"], per_m=float(card["per_m"]), digest=digest, **forests,
    )  # fmt: skip
    whole = (
        len(model.kinds.base) == len(leaves) == len(model.shares)
        and len(model.detect.base) == len(model.size.base) == 1
        and model.knots.ndim == 2
        and bool((np.diff(model.knots[0]) > 0).all() and (np.diff(model.knots[1]) >= 0).all())
        and model.quiet.shape == (len(BY_KEY), len(SPEED_EDGES_MPS), len(model.rough) + 1)
        and bool(((model.quiet > 0) & (model.quiet <= 1)).all())
        and 0 < model.prior < 1
        and 0 < model.per_m < 1
        and 0 < model.fire < 1
        and math.isfinite(model.temperature)
        and model.temperature > 0
    )
    if not whole:
        raise ModelError("its parts do not fit together: train it again")
    return model
