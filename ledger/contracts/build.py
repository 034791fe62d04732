"""Compile RoadLedger.vy into the committed RoadLedger.json: `python -m ledger.contracts.build PATH-TO-VYPER`.

Vyper is a development tool locked apart; nothing at run time needs it.
"""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def compiled(vyper: str) -> dict[str, Any]:
    """The artifact as the given compiler makes it now."""
    source = HERE / "RoadLedger.vy"
    # Run beside the source, so that no path of this machine gets into the compiler's integrity hash.
    output = subprocess.run(
        [vyper, "-f", "abi,bytecode,bytecode_runtime", source.name],
        cwd=HERE,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    version = subprocess.run([vyper, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    return {
        "contract": "RoadLedger",
        "compiler": f"vyper {version}",
        "source_sha256": sha256(source.read_bytes()).hexdigest(),
        "abi": json.loads(output[0]),
        "bytecode": output[1],
        "bytecode_runtime": output[2],
    }


if __name__ == "__main__":
    (HERE / "RoadLedger.json").write_text(json.dumps(compiled(sys.argv[1]), indent=1) + "\n")
