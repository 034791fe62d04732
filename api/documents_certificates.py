"""The generated tables of docs/road-code-standard.md: fields of a certificate, and test vectors."""

from __future__ import annotations

import json

from ledger import CERTIFICATE_FIELDS

from .code_text import ROOT, table


def certificate_fields() -> str:
    """Fields of the code's map, with their ranges."""
    rows = []
    for f in CERTIFICATE_FIELDS:
        size = f"{f.low:,} to {f.high:,}" if f.low != f.high else f"{f.low}"
        where = {"both": "", "square": " of a square", "section": " of a section"}[f.of]
        there = f"always{where}" if f.always else f"perhaps{where}"
        if not f.always and f.absent not in (None, ""):
            there += f", unless {f.absent}"
        kind = f"{f.type}, {size}" + (" bytes of UTF-8" if f.type == "text" else "")
        rows.append((str(f.key), f"`{f.name}`", kind, there, f.en, f.zh))
    return table(("key", "name", "type and range", "there", "meaning", "含义"), rows)


def certificate_vectors() -> str:
    """Test vectors with their verdicts."""
    rows = []
    for path in sorted((ROOT / "docs" / "vectors" / "certificate").glob("*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))
        rows.append((f"`{path.stem}`", said["what"], "holds" if said["ok"] else f"refused: `{said['failed']}`"))
    return table(("file", "case", "verdict"), rows)
