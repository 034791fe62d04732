"""An Ethereum chain of one: py-evm over SQLite, one block for each transaction, durable before acknowledged.

It proves nothing against its own operator. It is here so that every part speaks to a chain from the first minute and a
consortium's JSON-RPC address can take its place without a change elsewhere.
"""

import fcntl
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

# eth-hash would otherwise pick a backend that makes anchors 1.5 to 2 times slower; it reads this at import.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

from eth.abc import BlockAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.exceptions import CanonicalHeadNotFound, HeaderNotFound
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_keys.datatypes import PrivateKey
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from .note import load_secret

# py-evm raises the limit to 100,000 for calls 1,024 deep, which our contract never makes. With it, a list nested a
# hundred thousand times, in JSON from anywhere, ends the process where it should be an error. 3,000 is three times what
# Python itself begins with.
sys.setrecursionlimit(3_000)

logger = logging.getLogger(__name__)

# One constant for the CHAINID opcode, eth_chainId and every signature. Not used by a public network.
CHAIN_ID: Final = 860531

GAS_LIMIT: Final = 30_000_000
# Half a block: above it the base fee would rise from zero and accounts without coins could no longer anchor.
TRANSACTION_GAS_LIMIT: Final = GAS_LIMIT // 2
GENESIS_BALANCE: Final = 10**24
# Blocks are stamped in whole seconds, each later than its parent: a burst runs ahead of the clock, never behind it.
AHEAD_WARN_S: Final = 60


class ChainFolderBusy(RuntimeError):
    """Another process has this chain open; two writers would fork it."""


class TransactionRefused(ValueError):
    """The transaction was not mined and changed nothing; the text says why."""


class CallReverted(Exception):
    """A call ran and was reverted; `output` holds what the contract returned."""

    def __init__(self, output: bytes, reason: str) -> None:
        """Keep the returned bytes beside the reason."""
        super().__init__(reason)
        self.output = output


class SqliteDB(BaseDB):
    """py-evm's key-value store in one SQLite table. The caller opens and commits transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use an open connection that has a table kv."""
        self._connection = connection

    def __getitem__(self, key: bytes) -> bytes:
        """The value; KeyError if there is none."""
        row = self._connection.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        value: bytes = row[0]
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        self._connection.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        """Remove a key; KeyError if there is none."""
        if self._connection.execute("DELETE FROM kv WHERE key = ?", (key,)).rowcount == 0:
            raise KeyError(key)

    def _exists(self, key: bytes) -> bool:
        return self._connection.execute("SELECT 1 FROM kv WHERE key = ?", (key,)).fetchone() is not None


class _RoadChain(MiningChain):
    vm_configuration = ((BlockNumber(0), PragueVM),)
    chain_id = CHAIN_ID


@dataclass(frozen=True)
class Mined:
    """Where a transaction came to rest, with what it did. `index` counts within the block (always 0 here)."""

    block: BlockAPI
    transaction: SignedTransactionAPI
    receipt: ReceiptAPI
    index: int
    contract: bytes | None


@dataclass(frozen=True)
class Message:
    """An unsigned call: who, to whom (empty creates a contract), what, with how much gas."""

    sender: bytes
    to: bytes
    data: bytes
    value: int = 0
    gas: int = TRANSACTION_GAS_LIMIT


class EmbeddedChain:
    """The chain in folder `data`. One thread at a time is inside; another process is refused (ChainFolderBusy)."""

    def __init__(self, data: Path, clock_s: Callable[[], float]) -> None:
        """Open or make the chain. `clock_s` gives unix seconds."""
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock_s = clock_s
        self._guard = threading.RLock()
        self._lock = (data / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ChainFolderBusy(f"the chain in {data} is open in another process: stop that one first") from error
        # Transactions are opened and committed by hand, so that a block and its index row are one.
        self._connection = sqlite3.connect(data / "chain.sqlite", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS mined (tx BLOB PRIMARY KEY, block BLOB NOT NULL, number INTEGER NOT NULL,"
            " contract BLOB) WITHOUT ROWID"
        )
        self._db = AtomicDB(SqliteDB(self._connection))
        key = PrivateKey(load_secret(data / "genesis.key"))
        self.genesis_account: bytes = key.public_key.to_canonical_address()
        try:
            self._chain = _RoadChain(self._db)
        except CanonicalHeadNotFound:
            self._chain = self._genesis()

    def _genesis(self) -> _RoadChain:
        self._connection.execute("BEGIN IMMEDIATE")
        chain = _RoadChain.from_genesis(
            self._db,
            {"gas_limit": GAS_LIMIT, "timestamp": int(self._clock_s()), "base_fee_per_gas": 0, "extra_data": b""},
            {
                Address(self.genesis_account): {
                    "balance": GENESIS_BALANCE,
                    "nonce": 0,
                    "code": b"",
                    "storage": {},
                }
            },
        )
        self._connection.execute("COMMIT")
        assert isinstance(chain, _RoadChain)  # noqa: S101 - for the type checker; from_genesis returns cls(...)
        return chain

    def close(self) -> None:
        """Close the database and let the next process in."""
        with self._guard:
            self._connection.close()
            self._lock.close()

    def __enter__(self) -> Self:
        """The open chain."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def mine(self, raw: bytes) -> bytes:
        """Mine a signed transaction into its own block, durable on return; gives its hash.

        The same bytes again give the same hash and change nothing. Raises TransactionRefused.
        """
        with self._guard:
            head = self._chain.get_canonical_head()
            try:
                transaction = self._chain.get_vm(head).get_transaction_builder().decode(raw)
                sender = transaction.sender
            except Exception as error:
                raise TransactionRefused(f"not a signed transaction: {type(error).__name__}") from error
            if self._row(transaction.hash) is not None:
                return transaction.hash
            self._admit(transaction, sender)
            now_s = int(self._clock_s())
            timestamp_s = max(now_s, head.timestamp + 1)
            if timestamp_s - now_s > AHEAD_WARN_S:
                logger.warning("block time runs %d s ahead of the clock: check the clock", timestamp_s - now_s)
            # py-evm stamps its pending header when the block before was mined; after an idle night that would
            # back-date evidence, so the header is made anew for each block.
            self._chain.header = self._chain.create_header_from_parent(head, timestamp=timestamp_s, gas_limit=GAS_LIMIT)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result, _, computations = self._chain.mine_all([transaction])
                block = result.imported_block
                contract = computations[0].msg.storage_address if transaction.to == b"" else None
                self._connection.execute(
                    "INSERT INTO mined VALUES (?, ?, ?, ?)", (transaction.hash, block.hash, block.number, contract)
                )
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:  # SQLite has already rolled back when the disk was full
                    self._connection.execute("ROLLBACK")
                self._chain = _RoadChain(self._db)
                if isinstance(error, ValidationError):
                    raise TransactionRefused(str(error)) from error
                raise
            return transaction.hash

    def _admit(self, transaction: SignedTransactionAPI, sender: Address) -> None:
        if transaction.chain_id != CHAIN_ID:
            raise TransactionRefused(f"signed for chain {transaction.chain_id}, this is {CHAIN_ID}")
        if transaction.gas > TRANSACTION_GAS_LIMIT:
            raise TransactionRefused(f"gas {transaction.gas} is over the limit of {TRANSACTION_GAS_LIMIT}")
        nonce = self.nonce(sender)
        if transaction.nonce < nonce:
            raise TransactionRefused(f"nonce too low: {transaction.nonce}, the next is {nonce}")
        if transaction.nonce > nonce:
            # There is no pool: a transaction that cannot be mined now would have to be remembered durably.
            raise TransactionRefused(f"nonce too high: {transaction.nonce}, the next is {nonce}")

    def _row(self, tx_hash: bytes) -> tuple[bytes, int, bytes | None] | None:
        row: tuple[bytes, int, bytes | None] | None = self._connection.execute(
            "SELECT block, number, contract FROM mined WHERE tx = ?", (tx_hash,)
        ).fetchone()
        return row

    def mined(self, tx_hash: bytes) -> Mined | None:
        """A mined transaction by its hash, from the index."""
        with self._guard:
            row = self._row(tx_hash)
            if row is None:
                return None
            block = self._chain.get_block_by_hash(Hash32(row[0]))
            receipt = block.get_receipts(self._chain.chaindb)[0]
            return Mined(block, block.transactions[0], receipt, 0, row[2])

    def block(self, at: int | bytes | None) -> BlockAPI | None:
        """A block by number or hash; the newest for None."""
        with self._guard:
            try:
                if at is None:
                    return self._chain.get_block_by_header(self._chain.get_canonical_head())
                if isinstance(at, bytes):
                    return self._chain.get_block_by_hash(Hash32(at))
                if at > self.number():
                    return None
                return self._chain.get_canonical_block_by_number(BlockNumber(at))
            except (HeaderNotFound, ValidationError):
                return None

    def number(self) -> int:
        """The newest block's number."""
        with self._guard:
            return int(self._chain.get_canonical_head().block_number)

    def _state(self) -> Any:
        return self._chain.get_vm(self._chain.get_canonical_head()).state

    def nonce(self, account: bytes) -> int:
        """Transactions the account has sent."""
        with self._guard:
            return int(self._state().get_nonce(account))

    def balance(self, account: bytes) -> int:
        """Balance in wei."""
        with self._guard:
            return int(self._state().get_balance(account))

    def code(self, account: bytes) -> bytes:
        """Runtime code at an address, empty for none."""
        with self._guard:
            return bytes(self._state().get_code(account))

    def storage(self, account: bytes, slot: int) -> int:
        """One storage slot of a contract."""
        with self._guard:
            return int(self._state().get_storage(account, slot))

    def call(self, message: Message) -> bytes:
        """Run a call against the newest state without changing it. Raises CallReverted."""
        with self._guard:
            header = self._pending()
            with self._chain.get_vm(header).in_costless_state() as state:
                computation: ComputationAPI = state.costless_execute_transaction(self._spoof(message))
            if computation.is_error:
                raise CallReverted(bytes(computation.output), type(computation.error).__name__)
            return bytes(computation.output)

    def estimate(self, message: Message) -> int:
        """Gas limit with which the message would succeed now, with a tenth to spare. Raises CallReverted."""
        with self._guard:
            self.call(message)
            with self._chain.get_vm(self._pending()).in_costless_state() as state:
                needed = int(self._chain.gas_estimator(state, self._spoof(message)))
            return min(needed + needed // 10, TRANSACTION_GAS_LIMIT)

    def _pending(self) -> Any:
        head = self._chain.get_canonical_head()
        timestamp_s = max(int(self._clock_s()), head.timestamp + 1)
        return self._chain.create_header_from_parent(head, timestamp=timestamp_s, gas_limit=GAS_LIMIT)

    def _spoof(self, message: Message) -> Any:
        unsigned = self._chain.create_unsigned_transaction(
            nonce=self.nonce(message.sender),
            gas_price=0,
            gas=min(message.gas, TRANSACTION_GAS_LIMIT),
            to=Address(message.to),
            value=message.value,
            data=message.data,
        )
        return SpoofTransaction(unsigned, from_=message.sender)
