"""A chain in this process, with a clock that the test moves; it can be away, and be put back to an earlier block."""

import json
import shutil
from pathlib import Path
from typing import Any

from requests.exceptions import ConnectionError as NotThere
from web3.providers.base import JSONBaseProvider

from ledger.chain import Chain
from ledger.evm import EmbeddedChain
from ledger.rpc import answer


class Direct(JSONBaseProvider):
    """JSON-RPC without a socket. `clock` is unix seconds; `away`: nobody answers. A receipt is there at once."""

    wait_s = 0.0

    def __init__(self, folder: Path, clock: list[float]) -> None:
        """Open the chain in `folder`."""
        super().__init__()
        self.folder, self.clock, self.away = folder, clock, False
        self.chain = EmbeddedChain(folder, lambda: self.clock[0])

    def make_request(self, method: Any, params: Any) -> Any:
        """Ask the chain, or find nobody there."""
        if self.away:
            raise NotThere("away")
        return json.loads(answer(self.chain, self.encode_rpc_request(method, params)))

    def save(self) -> None:
        """Remember this moment."""
        self.chain.close()
        shutil.copy(self.folder / "chain.sqlite", self.folder / "saved.sqlite")
        self.chain = EmbeddedChain(self.folder, lambda: self.clock[0])

    def put_back(self) -> None:
        """Forget all blocks since the moment remembered: what a reorganisation does."""
        self.chain.close()
        for left in self.folder.glob("chain.sqlite-*"):
            left.unlink()
        shutil.copy(self.folder / "saved.sqlite", self.folder / "chain.sqlite")
        self.chain = EmbeddedChain(self.folder, lambda: self.clock[0])


def chain_of(provider: Direct, keys: Path) -> Chain:
    """A deployed contract on it."""
    made = Chain("http://127.0.0.1:9", keys)
    made._web3.provider = provider
    made.deploy(provider.folder / "genesis.key")
    return made
