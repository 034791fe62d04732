"""A JSON-RPC node of any Ethereum chain: sign, send, look up. What is said to which contract is chain.py's matter.

web3 is imported when a node is made, because it takes two seconds that other users of this room need not wait for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .note import load_secret

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

# Nodes take a replacement that pays a tenth more; some want an eighth. Less is refused as underpriced, much more is
# paid for nothing.
DEARER: Final = 5, 4
# wei of a unit of gas, 2,000 gwei: public chains asked 500 at their worst hours. Without a limit a node that lies about
# fees could spend the account's coins on one anchor.
FEE_CAP: Final = 2_000 * 10**9


class ChainAway(RuntimeError):
    """The chain does not answer, or not in time; the log goes on and the backlog is anchored later."""


class AnchorRefused(RuntimeError):
    """The chain answered and said no; `reason` is the contract's or the node's."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(f"the chain refused: {reason}")
        self.reason = reason


class WrongContract(RuntimeError):
    """What stands at the contract's address is not RoadLedger, or nothing stands there."""


@dataclass(frozen=True)
class Receipt:
    """A mined transaction. `seq` is the anchor it made, None for one that changed nothing or failed."""

    ok: bool
    block_number: int
    block_hash: bytes
    block_time: int
    gas_used: int
    seq: int | None


@dataclass(frozen=True)
class Kind:
    """What a chain says of itself. `seals`: its blocks carry signatures of validators (QBFT, IBFT, clique)."""

    chain_id: int
    client: str
    block: int
    seals: bool
    base_fee: int | None

    def __str__(self) -> str:
        """In a line."""
        sealed = "blocks sealed by validators" if self.seals else "blocks without validators' seals"
        fee = "no base fee" if self.base_fee is None else f"base fee {self.base_fee} wei"
        return f"chain {self.chain_id}, {self.client}, at block {self.block}, {sealed}, {fee}"


def tx_hash_of(raw: bytes) -> bytes:
    """Hash of a signed transaction's bytes (Keccak-256)."""
    from eth_hash.auto import keccak  # noqa: PLC0415 - see the module's docstring

    return keccak(raw)


class Node:
    """A node at a JSON-RPC `url`. Every method may raise ChainAway; nothing is asked before the first call."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        """`timeout_s` bounds each request."""
        from eth_account import Account  # noqa: PLC0415 - see the module's docstring
        from web3 import HTTPProvider, Web3  # noqa: PLC0415
        from web3.middleware import ExtraDataToPOAMiddleware  # noqa: PLC0415

        # web3's own retries with growing pauses would hide an absent chain for half a minute; the pump comes again.
        provider = HTTPProvider(url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None)
        self._web3 = Web3(provider)
        # Chains of validators (QBFT, clique) put their seals into a longer extra field.
        self._web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self._accounts = Account()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn web3's many exceptions into ours. Texts of connection errors are dropped: they hold the URL's token."""
        from requests.exceptions import RequestException  # noqa: PLC0415
        from web3.exceptions import (  # noqa: PLC0415
            BadFunctionCallOutput,
            ContractLogicError,
            Web3Exception,
            Web3RPCError,
        )

        try:
            yield
        except ContractLogicError as error:
            raise AnchorRefused(str(error.message or "reverted").removeprefix("execution reverted: ")) from None
        except BadFunctionCallOutput:
            raise WrongContract(
                "nothing answers at the contract's address: was the chain replaced? Restore it or deploy again"
            ) from None
        except Web3RPCError as error:
            response = error.rpc_response or {}
            text = response.get("error", {}) if isinstance(response, dict) else {}
            raise AnchorRefused(str(text.get("message", "")) or "an error of the node") from None
        except (RequestException, Web3Exception, OSError, ValueError) as error:
            raise ChainAway(f"the chain does not answer ({type(error).__name__})") from None

    def account(self, path: Path) -> "LocalAccount":
        """The account whose key is in a file (0600), which is made if it is missing."""
        account: LocalAccount = self._accounts.from_key(load_secret(path))
        return account

    @cached_property
    def chain_id(self) -> int:
        """The chain's id, asked once."""
        with self._asking():
            return int(self._web3.eth.chain_id)

    def kind(self) -> Kind:
        """What kind of chain answers. Raises ChainAway, AnchorRefused."""
        with self._asking():
            client = str(self._web3.client_version)[:80]
            block = self._web3.eth.get_block("latest")
            seals = "proofOfAuthorityData" in block and len(bytes(block["proofOfAuthorityData"])) > 32
            fee = block.get("baseFeePerGas")
            return Kind(self.chain_id, client, int(block["number"]), seals, None if fee is None else int(fee))

    def block_number(self) -> int:
        """The newest block's number."""
        with self._asking():
            return int(self._web3.eth.block_number)

    def head_time(self) -> int:
        """The newest block's time in unix seconds."""
        with self._asking():
            return int(self._web3.eth.get_block("latest")["timestamp"])

    def block_hash(self, number: int) -> bytes | None:
        """Hash of the block that the chain has at a height now, None if it is not so high."""
        from web3.exceptions import BlockNotFound  # noqa: PLC0415

        with self._asking():
            try:
                return bytes(self._web3.eth.get_block(number)["hash"])
            except BlockNotFound:
                return None

    def nonce_of_account(self, account: str) -> int:
        """The next nonce of an account: transactions that wait to be mined do not count."""
        with self._asking():
            return int(self._web3.eth.get_transaction_count(self._web3.to_checksum_address(account)))

    def sign(self, account: "LocalAccount", to: str, data: str, gas: int, nonce: int) -> bytes:
        """A signed call of the contract at `to` (empty: makes one), as raw bytes, at the fee that the node advises."""
        return bytes(account.sign_transaction(self.unsigned(to, data, gas, nonce)).raw_transaction)

    def unsigned(self, to: str, data: str, gas: int, nonce: int) -> dict[str, Any]:
        """What `sign` signs, for a key that is elsewhere."""
        base_fee, tip = self._fees()
        fields: dict[str, Any] = {"chainId": self.chain_id, "nonce": nonce, "gas": gas, "value": 0, "data": data}
        fields["to"] = to
        if base_fee is None:
            fields["gasPrice"] = min(tip, FEE_CAP)
        else:
            fields |= {"type": 2, "maxPriorityFeePerGas": min(tip, FEE_CAP)}
            fields |= {"maxFeePerGas": min(2 * base_fee + tip, FEE_CAP)}
        return fields

    def _fees(self) -> tuple[int | None, int]:
        with self._asking():
            base_fee = self._web3.eth.get_block("latest").get("baseFeePerGas")
            tip = self._web3.eth.max_priority_fee if base_fee is not None else self._web3.eth.gas_price
        return (None if base_fee is None else int(base_fee)), int(tip)

    def sign_dearer(self, account: "LocalAccount", raw: bytes) -> bytes:
        """The same call under the same nonce at a higher fee. Raises AnchorRefused where that would be too much."""
        old = self._taken_apart(raw)
        base_fee, tip = self._fees()
        up, down = DEARER
        fields: dict[str, Any] = {"chainId": self.chain_id, "nonce": old["nonce"], "gas": old["gas"], "value": 0}
        fields |= {"data": old["data"], "to": self._web3.to_checksum_address(old["to"])}
        if base_fee is None or old["tip"] is None:
            most = max(old["fee"] * up // down + 1, tip + (base_fee or 0))
            fields["gasPrice"] = most
        else:
            tip = max(old["tip"] * up // down + 1, tip)
            most = max(old["fee"] * up // down + 1, 2 * base_fee + tip)
            fields |= {"type": 2, "maxPriorityFeePerGas": tip, "maxFeePerGas": most}
        if most > FEE_CAP:
            raise AnchorRefused(f"it would take a fee of {most} wei of a unit of gas, over the limit of {FEE_CAP}")
        with self._asking():
            coins = int(self._web3.eth.get_balance(account.address))
        if most * old["gas"] > coins:
            raise AnchorRefused(f"a higher fee needs {most * old['gas']} wei, {account.address} has {coins}")
        return bytes(account.sign_transaction(fields).raw_transaction)

    @staticmethod
    def _taken_apart(raw: bytes) -> dict[str, Any]:
        import rlp  # type: ignore[import-untyped]  # noqa: PLC0415

        if raw[:1] == b"\x02":  # EIP-1559: chain id, nonce, tip, fee, gas, to, value, data, ...
            chain, nonce, tip, fee, gas, to, value, data = rlp.decode(raw[1:])[:8]
        else:
            nonce, fee, gas, to, value, data, chain = rlp.decode(raw)[:7]
            tip = None
        number = int.from_bytes
        chain_id = number(chain, "big")
        return {
            "nonce": number(nonce, "big"), "gas": number(gas, "big"), "fee": number(fee, "big"), "to": to, "data": data,
            "tip": None if tip is None else number(tip, "big"), "value": number(value, "big"),
            # Before EIP-1559 it is hidden in v (EIP-155).
            "chain": (chain_id - 35) // 2 if tip is None else chain_id,
        }  # fmt: skip

    def sender_of(self, raw: bytes) -> str:
        """The account that signed a transaction. Raises ValueError where the bytes are not one."""
        try:
            return str(self._accounts.recover_transaction(raw))
        except Exception as error:
            raise ValueError(f"not a signed transaction: {type(error).__name__}") from None

    def place_of(self, raw: bytes) -> tuple[int, str] | None:
        """The chain's id and the address that a signed transaction is for; None if the bytes are not one."""
        import rlp  # noqa: PLC0415

        try:
            found = self._taken_apart(raw)
            return int(found["chain"]), str(self._web3.to_checksum_address(found["to"]))
        except (rlp.exceptions.RLPException, IndexError, TypeError, ValueError):
            return None

    def data_of(self, raw: bytes) -> bytes | None:
        """The call inside a signed transaction; None if the bytes are not one."""
        return bytes(self._taken_apart(raw)["data"]) if self.place_of(raw) else None

    def nonce_of(self, raw: bytes) -> int | None:
        """The nonce inside a transaction this room signed, None if the bytes are not such a transaction."""
        import rlp  # noqa: PLC0415

        try:
            return int(self._taken_apart(raw)["nonce"])
        except (rlp.exceptions.RLPException, IndexError, TypeError, ValueError):
            return None

    def send(self, raw: bytes) -> bytes:
        """Hand signed bytes to the node; gives their hash. The same bytes again are no error. Raises AnchorRefused."""
        tx_hash = tx_hash_of(raw)
        try:
            with self._asking():
                self._web3.eth.send_raw_transaction(raw)
        except AnchorRefused:
            # Some nodes call known bytes an error ("already known", "nonce too low"): what counts is if they know it.
            if not self._knows(tx_hash):
                raise
        return tx_hash

    def _knows(self, tx_hash: bytes) -> bool:
        from web3.exceptions import TransactionNotFound  # noqa: PLC0415

        with self._asking():
            try:
                self._web3.eth.get_transaction(tx_hash)  # type: ignore[arg-type]
            except TransactionNotFound:
                return False
        return True

    def _mined(self, tx_hash: bytes, wait_s: float) -> tuple[Any, int] | None:
        """The node's receipt and its block's time; None if the transaction is not mined within `wait_s` seconds."""
        from web3.exceptions import BlockNotFound, TimeExhausted, TransactionNotFound  # noqa: PLC0415

        with self._asking():
            try:
                if wait_s > 0:
                    found = self._web3.eth.wait_for_transaction_receipt(tx_hash, wait_s, 0.1)  # type: ignore[arg-type]
                else:
                    found = self._web3.eth.get_transaction_receipt(tx_hash)  # type: ignore[arg-type]
                # By its hash and not its number: a chain that reorganises just now must not lend it another's time.
                return found, int(self._web3.eth.get_block(found["blockHash"])["timestamp"])
            except (BlockNotFound, TimeExhausted, TransactionNotFound):
                return None
