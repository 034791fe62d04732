"""The embedded chain as a service: `python -m ledger.node`, JSON-RPC at an address that holds a secret."""

import contextlib
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

from .folder import HOST, DataFolder
from .processes import DIRECT, Process, ServiceError, last_lines, launch, pause, started_with

START_S = 60.0  # importing the EVM takes 2 s here, ten times that on a small or loaded machine
STOP_S = 10.0


class ChainNode:
    """The chain of one data folder."""

    name = "chain"

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.log = folder.logs / "chain.log"
        self._token_file = folder.secret_file("chain")

    def rpc_url(self, port: int) -> str:
        """The address; whoever knows it may send transactions, so it goes into environments and files only."""
        return f"http://{HOST}:{port}/{self._token_file.read_text().strip()}"

    def found(self) -> Process | None:
        """The node that runs on our folder, by whomever it was started."""
        running = started_with(["ledger.node", str(self.folder.chain), str(self._token_file)])
        return running[0] if running else None

    def answers(self, port: int) -> bool:
        """Whether a node there knows our token and speaks JSON-RPC."""
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
        request = urllib.request.Request(  # noqa: S310 - http, ours
            self.rpc_url(port), call, {"Content-Type": "application/json"}
        )
        with contextlib.suppress(OSError, ValueError), DIRECT.open(request, timeout=5) as answer:
            return "result" in json.load(answer)
        return False

    def start(self, port: int) -> str:
        """Use the node that runs on our folder, or start one on `port`; returns its address."""
        node = self.found()
        if node is None:
            command = [
                sys.executable, "-m", "ledger.node", "--data", str(self.folder.chain), "--port", str(port),
                "--token-file", str(self._token_file),
            ]  # fmt: skip
            project = Path(__file__).resolve().parents[2]  # importable also where no .pth names it
            node = launch(command, self.log, self.folder.chain, {**os.environ, "PYTHONPATH": str(project)})
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            if not node.alive():
                raise ServiceError(f"The chain ended at its start. Its log says:\n{last_lines(self.log)}")
            if self.answers(port):
                return self.rpc_url(port)
            pause(0.1)
        raise ServiceError(
            f"The chain (pid {node.pid}) does not answer on port {port}, or not to this folder's token. If it is "
            f"yours, stop it with kill {node.pid} and try again. Its log says:\n{last_lines(self.log)}"
        )

    def stop(self) -> None:
        """Stop after the request in hand."""
        if (node := self.found()) is not None:
            node.stop(signal.SIGTERM, STOP_S)
