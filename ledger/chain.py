"""The seam to an Ethereum chain, embedded or a consortium's: RoadLedger over web3's JSON-RPC.

Two keys: the admin's deploys the contract and grants rights (offline in production), the anchorer's may anchor and
nothing else. web3 is imported when a Chain is made, because it takes two seconds that other users of this room
need not wait for.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .note import load_secret, sync_folder

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ANCHORER: Final = 2
EMPTY: Final = bytes(32)
# Anchors measured 93k to 125k; a proof of 64 hashes more than doubles that. Far above, a faulty contract could burn the
# anchorer's coins; below, a tree beyond 2**40 leaves could no longer be anchored.
ANCHOR_GAS: Final = 600_000
GRANT_GAS: Final = 300_000
DEPLOY_GAS: Final = 4_000_000
CONTRACT_FILE: Final = "contract.json"
ANCHORER_KEY: Final = "anchorer.key"


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
class Anchor:
    """An anchored head: `root` (32 bytes) of `size` leaves, number `seq` (0: none yet), unix `time`, `block` number."""

    seq: int
    root: bytes
    size: int
    time: int
    block: int | None = None


@dataclass(frozen=True)
class Receipt:
    """A mined transaction. `seq` is the anchor it made, None for one that changed nothing or failed."""

    ok: bool
    block_number: int
    block_hash: bytes
    block_time: int
    gas_used: int
    seq: int | None


@cache
def artifact() -> dict[str, Any]:
    """The committed RoadLedger.json: abi, bytecode, bytecode_runtime, compiler, source_sha256."""
    content: dict[str, Any] = json.loads((Path(__file__).parent / "contracts" / "RoadLedger.json").read_text())
    return content


def tx_hash_of(raw: bytes) -> bytes:
    """Hash of a signed transaction's bytes (Keccak-256)."""
    from eth_hash.auto import keccak  # noqa: PLC0415 - see the module's docstring

    return keccak(raw)


class Chain:
    """RoadLedger at a JSON-RPC `url`. `folder` keeps the contract's address and the anchorer's key (0600).

    Every method may raise ChainAway; nothing is asked of the chain before the first call.
    """

    def __init__(self, url: str, folder: Path, timeout_s: float = 10.0) -> None:
        """`timeout_s` bounds each request."""
        from eth_account import Account  # noqa: PLC0415 - see the module's docstring
        from web3 import HTTPProvider, Web3  # noqa: PLC0415
        from web3.middleware import ExtraDataToPOAMiddleware  # noqa: PLC0415

        # web3's own retries with growing pauses would hide an absent chain for half a minute; the pump comes again.
        provider = HTTPProvider(url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None)
        self._web3 = Web3(provider)
        # Chains of validators (QBFT, clique) put their seals into a longer extra field.
        self._web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self._folder = folder
        self._accounts = Account()
        folder.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        """Without the URL, which holds a token."""
        return "Chain()"

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

    @cached_property
    def anchorer(self) -> "LocalAccount":
        """The account that may anchor."""
        return self._account(self._folder / ANCHORER_KEY)

    def _account(self, path: Path) -> "LocalAccount":
        account: LocalAccount = self._accounts.from_key(load_secret(path))
        return account

    @cached_property
    def chain_id(self) -> int:
        """The chain's id, asked once."""
        with self._asking():
            return int(self._web3.eth.chain_id)

    @cached_property
    def address(self) -> str:
        """Where the contract stands (checksummed); raises WrongContract before `deploy`."""
        try:
            known = json.loads((self._folder / CONTRACT_FILE).read_text())
            return str(self._web3.to_checksum_address(known["address"]))
        except FileNotFoundError:
            raise WrongContract("no contract is known here: deploy it, or write its address down") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WrongContract(f"{CONTRACT_FILE} cannot be read: {type(error).__name__}") from error

    @cached_property
    def _contract(self) -> Any:
        return self._web3.eth.contract(address=self._web3.to_checksum_address(self.address), abi=artifact()["abi"])

    def deploy(self, admin_key: Path) -> str:
        """Deploy RoadLedger once and give the anchorer its right; gives the address. Safe to repeat after any crash.

        The signed transaction is written to CONTRACT_FILE before it is sent. Raises WrongContract, AnchorRefused.
        """
        admin = self._account(admin_key)
        path = self._folder / CONTRACT_FILE
        if not path.exists():
            self._sign_deployment(admin, path)
        self.__dict__.pop("address", None)
        if not self.code_is_ours():
            raw = bytes.fromhex(json.loads(path.read_text()).get("raw", ""))
            if not raw:
                raise WrongContract(f"no RoadLedger of this version stands at {self.address}")
            try:
                self.send(raw)
            except AnchorRefused as error:
                raise WrongContract(
                    f"the contract is not on this chain and cannot be deployed there again ({error.reason}):"
                    f" restore the chain's folder, or remove {CONTRACT_FILE} to begin a new contract"
                ) from error
            receipt = self.receipt(tx_hash_of(raw), wait_s=60.0)
            if receipt is None:
                raise ChainAway("the deployment is sent and not yet mined")
            if not receipt.ok or not self.code_is_ours():
                raise WrongContract("the deployment failed on chain")
        if not self.may_anchor():
            data = self._contract.encode_abi("grant", [ANCHORER, self.anchorer.address, 0, 0])
            raw = self._sign(admin, self.address, data, GRANT_GAS, self._nonce(admin.address))
            self.send(raw)
            receipt = self.receipt(tx_hash_of(raw), wait_s=60.0)
            if receipt is None or not receipt.ok:
                raise AnchorRefused("the anchorer was not given its right")
        return self.address

    def _sign_deployment(self, admin: "LocalAccount", path: Path) -> None:
        from web3.types import Nonce  # noqa: PLC0415
        from web3.utils import get_create_address  # noqa: PLC0415

        nonce = self._nonce(admin.address)
        raw = self._sign(admin, "", artifact()["bytecode"], DEPLOY_GAS, nonce)
        content = {
            "chain_id": self.chain_id,
            "address": get_create_address(admin.address, Nonce(nonce)),
            "raw": raw.hex(),
        }
        fresh = path.with_name(f"{path.name}.new")
        with fresh.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)

    def code_is_ours(self) -> bool:
        """Whether the code at the address is the committed artifact's."""
        with self._asking():
            code = bytes(self._web3.eth.get_code(self._web3.to_checksum_address(self.address)))
        return code == bytes.fromhex(artifact()["bytecode_runtime"].removeprefix("0x"))

    def may_anchor(self) -> bool:
        """Whether the anchorer's right is valid now."""
        return bool(self._view("has_role", ANCHORER, self.anchorer.address))

    def _view(self, name: str, *values: Any) -> Any:
        contract = self._contract
        with self._asking():
            return contract.functions[name](*values).call()

    def _nonce(self, account: str) -> int:
        with self._asking():
            return int(self._web3.eth.get_transaction_count(self._web3.to_checksum_address(account)))

    def nonce(self) -> int:
        """The anchorer's next nonce."""
        return self._nonce(self.anchorer.address)

    def _sign(self, account: "LocalAccount", to: str, data: str, gas: int, nonce: int) -> bytes:
        with self._asking():
            base_fee = self._web3.eth.get_block("latest").get("baseFeePerGas")
            tip = self._web3.eth.max_priority_fee if base_fee is not None else self._web3.eth.gas_price
        fields: dict[str, Any] = {"chainId": self.chain_id, "nonce": nonce, "gas": gas, "value": 0, "data": data}
        fields["to"] = to
        if base_fee is None:
            fields["gasPrice"] = int(tip)
        else:
            fields |= {"type": 2, "maxPriorityFeePerGas": int(tip), "maxFeePerGas": 2 * int(base_fee) + int(tip)}
        return bytes(account.sign_transaction(fields).raw_transaction)

    def check_anchor(self, prev_root: bytes, root: bytes, size: int, proof: Sequence[bytes]) -> None:
        """Ask the contract, without sending, whether it would take this head. Raises AnchorRefused."""
        contract = self._contract
        with self._asking():
            contract.functions.anchor(prev_root, root, size, list(proof)).call({"from": self.anchorer.address})

    def sign_anchor(self, prev_root: bytes, root: bytes, size: int, proof: Sequence[bytes], nonce: int) -> bytes:
        """The signed transaction, as raw bytes, that makes (root, size) the new head after `prev_root`."""
        data = self._contract.encode_abi("anchor", [prev_root, root, size, list(proof)])
        return self._sign(self.anchorer, self.address, data, ANCHOR_GAS, nonce)

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

    def nonce_of(self, raw: bytes) -> int | None:
        """The nonce inside a transaction this room signed, None if the bytes are not such a transaction."""
        import rlp  # type: ignore[import-untyped]  # noqa: PLC0415

        try:
            typed = raw[:1] == b"\x02"
            fields = rlp.decode(raw[1:] if typed else raw)
            return int.from_bytes(fields[1 if typed else 0], "big")
        except (rlp.exceptions.RLPException, IndexError, TypeError):
            return None

    def receipt(self, tx_hash: bytes, wait_s: float = 0.0) -> Receipt | None:
        """What became of a transaction; None if it is not mined within `wait_s` seconds."""
        from web3.exceptions import TimeExhausted, TransactionNotFound  # noqa: PLC0415

        with self._asking():
            try:
                if wait_s > 0:
                    found = self._web3.eth.wait_for_transaction_receipt(tx_hash, wait_s, 0.1)  # type: ignore[arg-type]
                else:
                    found = self._web3.eth.get_transaction_receipt(tx_hash)  # type: ignore[arg-type]
            except (TimeExhausted, TransactionNotFound):
                return None
            block = self._web3.eth.get_block(found["blockHash"])
        topic = self._anchored_topic
        seqs = [int.from_bytes(log["topics"][1], "big") for log in found["logs"] if bytes(log["topics"][0]) == topic]
        return Receipt(
            ok=found["status"] == 1,
            block_number=int(found["blockNumber"]),
            block_hash=bytes(found["blockHash"]),
            block_time=int(block["timestamp"]),
            gas_used=int(found["gasUsed"]),
            seq=seqs[0] if seqs else None,
        )

    @cached_property
    def _anchored_topic(self) -> bytes:
        return tx_hash_of(b"Anchored(uint256,bytes32,uint256,uint256)")

    def head(self) -> Anchor:
        """The newest anchor on chain; seq 0 with an empty root when there is none."""
        root, size, seq, time = self._view("head")
        return Anchor(int(seq), bytes(root), int(size), int(time))

    def anchor_at(self, seq: int) -> Anchor | None:
        """Anchor number `seq` on chain, None if there is none."""
        if not 0 < seq < 1 << 63:
            return None
        root, size, time, block = self._view("anchors", seq)
        return Anchor(seq, bytes(root), int(size), int(time), int(block)) if size else None

    def verify(self, seq: int, leaf: bytes, index: int, proof: Sequence[bytes]) -> int | None:
        """The contract's own answer: unix time at which a head with `leaf` at `index` was anchored, or None."""
        time = int(self._view("verify", seq, leaf, index, list(proof)))
        return time or None
