"""A second real chain: anvil of Foundry, in a process. It has a pool, a base fee and blocks of several transactions."""

import itertools
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from ledger.chain import Chain
from ledger.note import load_secret

MODULES = Path(__file__).parents[1] / "anvil" / "node_modules" / "@foundry-rs"
COINS = hex(10**21)


def binary() -> Path:
    """Anvil's own binary; without it the test is left out."""
    found = sorted(MODULES.glob("anvil-*/bin/anvil"))
    if not found:
        pytest.skip("anvil is not installed: python3 bootstrap.py anvil")
    return found[0]


class Clock:
    """Unix seconds; setting them sets the time of the next block."""

    def __init__(self, anvil: "Anvil") -> None:
        self._anvil, self._now = anvil, 0.0

    def __getitem__(self, _index: int) -> float:
        return max(self._now, float(self._anvil.web3.eth.get_block("latest")["timestamp"]))

    def __setitem__(self, _index: int, now: float) -> None:
        self._now = now
        self._anvil.ask("evm_setNextBlockTimestamp", int(now))


@dataclass
class Anvil:
    """The process. `folder` has the admin's key; `save` and `put_back` are its snapshots."""

    folder: Path
    wait_s: float = 5.0
    token: str = "none"
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> "Anvil":
        """Start it on a free port and wait until it listens."""
        self.process = subprocess.Popen(
            [binary(), "--port", "0", "--host", "127.0.0.1", "--chain-id", "860533", "--accounts", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        heard = ""
        for line in itertools.islice(self.process.stdout, 200):
            heard += line
            if found := re.search(r"Listening on 127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise RuntimeError(heard)
        self.url = f"http://127.0.0.1:{found[1]}"
        self.web3 = Web3(Web3.HTTPProvider(self.url))
        self.clock = Clock(self)
        key = self.folder / "genesis.key"
        load_secret(key)
        self.fund(Chain(self.url, self.folder).account(key).address)
        return self

    def ask(self, method: str, *params: Any) -> Any:
        """One request."""
        said = self.web3.provider.make_request(method, list(params))  # type: ignore[arg-type]
        assert "error" not in said, said
        return said["result"]

    def fund(self, address: str) -> None:
        """Give an account coins: here gas costs some."""
        self.ask("anvil_setBalance", address, COINS)

    def save(self) -> None:
        """Remember this moment."""
        self._saved = self.ask("evm_snapshot")

    def put_back(self) -> None:
        """Forget all blocks since."""
        assert self.ask("evm_revert", self._saved)

    def stop(self) -> None:
        """End it."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=10)
