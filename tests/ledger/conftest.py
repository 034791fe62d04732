"""A database, a node and a chain to try the ledger on."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ledger.chain import Chain

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def database_url(postgres: str) -> str:
    """A database with the ledger's tables."""
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute("CREATE DATABASE ledger_first")
    url = psycopg.conninfo.make_conninfo(postgres, dbname="ledger_first")
    _tables(url)
    return url


def _tables(url: str) -> None:
    with psycopg.connect(url) as conn:
        for file in sorted((ROOT / "ledger" / "sql").glob("*.sql")):
            conn.execute(file.read_bytes())


@pytest.fixture(scope="session")
def second_database_url(database_url: str) -> str:
    """Another one, for what is built once and read by many tests."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE DATABASE ledger_second")
    url = psycopg.conninfo.make_conninfo(database_url, dbname="ledger_second")
    _tables(url)
    return url


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to emptied tables."""
    with psycopg.connect(database_url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        tables = sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(tables))
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
