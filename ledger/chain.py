"""The seam to an Ethereum chain, embedded or a consortium's: RoadLedger over web3's JSON-RPC.

Two keys: the admin's deploys the contract and grants rights (offline in production), the anchorer's may anchor and
nothing else.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .ethereum import AnchorRefused, ChainAway, Kind, Node, Receipt, WrongContract, tx_hash_of
from .note import sync_folder

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

__all__ = [
    "ANCHORER", "DEPARTMENT", "EMPTY", "Anchor", "AnchorRefused", "Chain", "ChainAway", "Kind", "Receipt",
    "Window", "WrongContract", "artifact", "tx_hash_of",
]  # fmt: skip

ANCHORER: Final = 2
DEPARTMENT: Final = 3
EMPTY: Final = bytes(32)
# Anchors measured 93k to 125k; a proof of 64 hashes more than doubles that. Far above, a faulty contract could burn the
# anchorer's coins; below, a tree beyond 2**40 leaves could no longer be anchored.
ANCHOR_GAS: Final = 600_000
GRANT_GAS: Final = 300_000
DEPLOY_GAS: Final = 4_000_000
CONTRACT_FILE: Final = "contract.json"
ANCHORER_KEY: Final = "anchorer.key"


@dataclass(frozen=True)
class Anchor:
    """An anchored head: `root` (32 bytes) of `size` leaves, number `seq` (0: none yet), unix `time`, `block` number."""

    seq: int
    root: bytes
    size: int
    time: int
    block: int | None = None


@dataclass(frozen=True)
class Window:
    """A right's window on the contract, [start, end) in unix seconds, entered at `at`. Revoked: start and end are 0."""

    start: int
    end: int
    at: int


@cache
def artifact() -> dict[str, Any]:
    """The committed RoadLedger.json: abi, bytecode, bytecode_runtime, compiler, source_sha256."""
    content: dict[str, Any] = json.loads((Path(__file__).parent / "contracts" / "RoadLedger.json").read_text())
    return content


class Chain(Node):
    """RoadLedger at a JSON-RPC `url`. `folder` keeps the contract's address and the anchorer's key (0600).

    Every method may raise ChainAway; nothing is asked of the chain before the first call.
    """

    def __init__(self, url: str, folder: Path, timeout_s: float = 10.0) -> None:
        """`timeout_s` bounds each request."""
        super().__init__(url, timeout_s)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        """Without the URL, which holds a token."""
        return "Chain()"

    @cached_property
    def anchorer(self) -> "LocalAccount":
        """The account that may anchor."""
        return self.account(self._folder / ANCHORER_KEY)


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
        path = self._folder / CONTRACT_FILE
        if path.exists() and self.code_is_ours() and self.may_anchor():
            return self.address  # an admin's key that is kept elsewhere is not asked for
        if not admin_key.exists():
            raise WrongContract(f"to deploy the contract or to let the anchorer in takes an admin's key: {admin_key}")
        admin = self.account(admin_key)
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
            raw = self.sign(admin, self.address, data, GRANT_GAS, self.nonce_of_account(admin.address))
            self.send(raw)
            receipt = self.receipt(tx_hash_of(raw), wait_s=60.0)
            if receipt is None or not receipt.ok:
                raise AnchorRefused("the anchorer was not given its right")
        return self.address

    def _sign_deployment(self, admin: "LocalAccount", path: Path) -> None:
        from web3.types import Nonce  # noqa: PLC0415
        from web3.utils import get_create_address  # noqa: PLC0415

        nonce = self.nonce_of_account(admin.address)
        raw = self.sign(admin, "", artifact()["bytecode"], DEPLOY_GAS, nonce)
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

    def nonce(self) -> int:
        """The anchorer's next nonce."""
        return self.nonce_of_account(self.anchorer.address)

    def check_anchor(self, prev_root: bytes, root: bytes, size: int, proof: Sequence[bytes]) -> None:
        """Ask the contract, without sending, whether it would take this head. Raises AnchorRefused."""
        self._check(self.anchorer.address, "anchor", prev_root, root, size, list(proof))

    def sign_anchor(self, prev_root: bytes, root: bytes, size: int, proof: Sequence[bytes], nonce: int) -> bytes:
        """The signed transaction, as raw bytes, that makes (root, size) the new head after `prev_root`."""
        data = self._contract.encode_abi("anchor", [prev_root, root, size, list(proof)])
        return self.sign(self.anchorer, self.address, data, ANCHOR_GAS, nonce)

    def check_grant(self, admin: str, account: bytes, window: tuple[int, int] | None) -> None:
        """Ask whether the contract would take a department's window, or its end (None), from `admin`. AnchorRefused."""
        self._check(admin, *self._granting(account, window))

    def sign_grant(
        self, admin: "LocalAccount", account: bytes, window: tuple[int, int] | None, nonce: int
    ) -> bytes:
        """The signed transaction that gives `account` a department's right in [start, end), or ends it (None).

        A start of 0 is the moment at which it is mined.
        """
        return self.sign(admin, self.address, self.grant_data(account, window), GRANT_GAS, nonce)

    def unsigned_grant(self, account: bytes, window: tuple[int, int] | None, nonce: int) -> dict[str, Any]:
        """The same, for an admin's key that is elsewhere."""
        return self.unsigned(self.address, self.grant_data(account, window), GRANT_GAS, nonce)

    def grant_data(self, account: bytes, window: tuple[int, int] | None) -> str:
        """The call itself, as hexadecimal."""
        name, *values = self._granting(account, window)
        return str(self._contract.encode_abi(name, values))

    def _granting(self, account: bytes, window: tuple[int, int] | None) -> tuple[Any, ...]:
        address = self._web3.to_checksum_address(account)
        return ("revoke", DEPARTMENT, address) if window is None else ("grant", DEPARTMENT, address, *window)

    def _check(self, sender: str, name: str, *values: Any) -> None:
        contract = self._contract
        with self._asking():
            contract.functions[name](*values).call({"from": self._web3.to_checksum_address(sender)})

    def department_windows(self, account: bytes) -> list[Window]:
        """All windows that a department's account ever had, oldest first; the last one is in force."""
        address = self._web3.to_checksum_address(account)
        count = int(self._view("windows_of", DEPARTMENT, address))
        return [Window(*map(int, self._view("window", DEPARTMENT, address, i))) for i in range(count)]

    def had_department(self, account: bytes, time_s: int) -> bool:
        """Whether the account was a department's at `time_s`, by what the list said then."""
        return bool(self._view("had_role", DEPARTMENT, self._web3.to_checksum_address(account), time_s))

    def receipt(self, tx_hash: bytes, wait_s: float = 0.0) -> Receipt | None:
        """What became of a transaction; None if it is not mined within `wait_s` seconds."""
        mined = self._mined(tx_hash, wait_s)
        if mined is None:
            return None
        found, time = mined
        topic = self._anchored_topic
        seqs = [int.from_bytes(log["topics"][1], "big") for log in found["logs"] if bytes(log["topics"][0]) == topic]
        return Receipt(
            ok=found["status"] == 1,
            block_number=int(found["blockNumber"]),
            block_hash=bytes(found["blockHash"]),
            block_time=time,
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
