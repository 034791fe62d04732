"""The embedded chain as a process of its own: `python -m ledger.node --data DIR --port P --token-file F`.

Speaks JSON-RPC at http://127.0.0.1:P/TOKEN, on the loopback only. When it listens it prints one line of JSON
({"ready": true, "port": P}), never the token. SIGTERM and SIGINT stop it after the request in hand.
"""

import argparse
import hmac
import json
import logging
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from .evm import ChainFolderBusy, EmbeddedChain
from .note import NoteError, load_secret
from .rpc import answer

# A deployment is 15 kB of hex; a hundred times that is an accident or an attack.
MAX_BODY: Final = 1 << 20
# Each thread of the web process, the anchorer and the commands keep one connection: a tenth would turn away a busy web
# process, ten times would let one faulty client take a thousand threads.
MAX_CONNECTIONS: Final = 128
# An idle connection is given up after this; clients open a new one. Shorter cuts off a slow writer on a loaded machine.
IDLE_S: Final = 60.0

logger = logging.getLogger(__name__)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A restart must get its port back at once.
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, port: int, chain: EmbeddedChain, token: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.chain, self.path = chain, b"/" + token.encode()
        self.port = int(self.server_address[1])
        self.hosts = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        logger.warning("connection failed: %s", type(sys.exception()).__name__)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    # Without it Nagle and delayed acknowledgement add 40 ms to every call.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            return self._refuse(411)
        if int(length) > MAX_BODY:
            return self._refuse(413)
        # Read before refusing: closing a socket with unread bytes resets it, and the answer may be lost.
        body = self.rfile.read(int(length))
        # The Host check keeps a web page that had its name resolved to 127.0.0.1 from talking to us.
        if self.headers.get("Host") not in self.server.hosts:
            return self._refuse(403)
        if not hmac.compare_digest(self.path.encode("utf-8", "replace"), self.server.path):
            return self._refuse(404)
        if len(body) == int(length):
            self._send(200, answer(self.server.chain, body))
        return None

    def _refuse(self, status: int) -> None:
        self.close_connection = True
        self._send(status, b'{"error":"refused"}')

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "roadcode-chain"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the request line holds the token."""


def serve(data: Path, port: int, token_file: Path) -> int:
    """Serve the chain in `data` until SIGTERM or SIGINT; gives the exit status (2: refused to start)."""
    try:
        token = load_secret(token_file).hex()
        chain = EmbeddedChain(data, time.time)
    except (ChainFolderBusy, NoteError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    with chain:
        try:
            server = _Server(port, chain, token)
        except OSError as error:
            sys.stderr.write(f"port {port} on 127.0.0.1 cannot be used: {error.strerror}\n")
            return 2

        def stop(_number: int, _frame: object) -> None:
            # shutdown() waits for serve_forever, which runs in this thread: ask from another.
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        sys.stdout.write(json.dumps({"ready": True, "port": server.port}) + "\n")
        sys.stdout.flush()
        server.serve_forever(poll_interval=0.2)
        server.server_close()
    return 0


def main() -> int:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m ledger.node", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the chain, made if missing")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--token-file", type=Path, required=True, help="file of the token, made if missing")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    return serve(options.data, options.port, options.token_file)


if __name__ == "__main__":
    raise SystemExit(main())
