"""RoadLedger on the real EVM: the same verdicts as the Python tree, rights, and what it costs."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3

from ledger import merkle
from ledger.chain import ANCHOR_GAS, artifact
from ledger.contracts.build import compiled
from ledger.evm import CHAIN_ID, CallReverted, EmbeddedChain, Message
from ledger.rpc import _revert_text

from .test_merkle import bent

ROOT = Path(__file__).parents[2]
ADMIN, ANCHORER, DEPARTMENT, PAUSER = 1, 2, 3, 4
LEAVES = [merkle.leaf_hash(i.to_bytes(2, "big")) for i in range(300)]
GAS = Path(__file__).parent / "gas.json"
# With MACHINE set, thousands of proofs instead of hundreds.
ROUNDS = 120 if os.environ.get("MACHINE") else 8
# Gas depends on zero bytes in hashes and on how a proof zigzags; more than this is another contract or another EVM.
GAS_TOLERANCE = 0.05


class Ledger:
    """The contract on a chain in this process, with a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000.0
        self.chain = EmbeddedChain(folder, lambda: self.now)
        self.keys = {name: Account.from_key(name.encode().ljust(32, b".")) for name in ("admin", "anchorer", "other")}
        self.functions: Any = Web3().eth.contract(abi=artifact()["abi"])
        mined = self._send("admin", "", artifact()["bytecode"], 4_000_000)
        self.address, self.deploy_gas = mined.contract, mined.receipt.gas_used

    def _send(self, who: str, to: str, data: str, gas: int) -> Any:
        key = self.keys[who]
        fields = {"chainId": CHAIN_ID, "nonce": self.chain.nonce(bytes.fromhex(key.address[2:])), "gas": gas,
                  "gasPrice": 0, "to": to, "value": 0, "data": data}  # fmt: skip
        return self.chain.mined(self.chain.mine(bytes(key.sign_transaction(fields).raw_transaction)))

    def send(self, who: str, name: str, *values: Any) -> int:
        """Send a transaction; gives its gas, raises its reason when reverted."""
        data = self.functions.encode_abi(name, list(values))
        mined = self._send(who, Web3.to_checksum_address(self.address), data, 1_000_000)
        if mined.receipt.state_root != b"\x01":
            self.call(who, name, *values)
            raise AssertionError("reverted, but not as a call")
        return int(mined.receipt.gas_used)

    def call(self, who: str, name: str, *values: Any) -> tuple[Any, ...]:
        """Call; gives the outputs, raises its reason as ValueError."""
        data = bytes.fromhex(self.functions.encode_abi(name, list(values))[2:])
        sender = bytes.fromhex(self.keys[who].address[2:])
        try:
            output = self.chain.call(Message(sender, self.address, data))
        except CallReverted as error:
            raise ValueError(_revert_text(error)) from error
        types = [o["type"] for o in next(f for f in artifact()["abi"] if f.get("name") == name)["outputs"]]
        types = ["(uint64,uint64,uint64)" if t == "tuple" else t for t in types]
        return tuple(Web3().codec.decode(types, output))

    def address_of(self, who: str) -> str:
        """An account's address."""
        return str(self.keys[who].address)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path)
    with made.chain:
        made.send("admin", "grant", ANCHORER, made.address_of("anchorer"), 0, 0)
        yield made


def anchor_to(ledger: Ledger, size: int) -> int:
    root, old, _, _ = ledger.call("other", "head")
    proof = merkle.consistency_proof(merkle.ranges_of(LEAVES), old, size) if 0 < old < size else []
    return ledger.send("anchorer", "anchor", root, merkle.root_of(LEAVES[:size]), size, proof)


def refused(reason: str) -> Any:
    return pytest.raises(ValueError, match=f"execution reverted: {reason}$")


def test_committed_artifact_is_what_the_source_compiles_to() -> None:
    vyper = ROOT / ".venv-contracts" / "bin" / "vyper"
    found = str(vyper) if vyper.exists() else shutil.which("vyper")
    if found is None:
        pytest.skip("vyper is not installed here: it is a development tool, locked apart")
    assert compiled(found) == artifact()


def test_committed_artifact_belongs_to_the_source() -> None:
    source = (ROOT / "ledger" / "contracts" / "RoadLedger.vy").read_bytes()
    assert artifact()["source_sha256"] == sha256(source).hexdigest()


def test_consistency_verdicts_are_pythons(ledger: Ledger) -> None:
    """Random true and bent proofs from several heads: taken where Python takes them, refused where it refuses."""
    rng = random.Random(9162)
    taken = refused_count = 0
    for old in (1, 2, 7, 64, 65, 127, 200):
        anchor_to(ledger, old)
        for _ in range(ROUNDS):
            size = rng.randint(old + 1, 300)
            root1, root2 = merkle.root_of(LEAVES[:old]), merkle.root_of(LEAVES[:size])
            true = merkle.consistency_proof(merkle.ranges_of(LEAVES), old, size)
            wrong = bent(true)
            wrong = [w for w in wrong if all(len(h) == 32 for h in w)]
            tries = [(size, root2, true), (size + 1, root2, true), (size, bytes(32), true)]
            tries += [(size, root2, w) for w in rng.sample(wrong, min(3, len(wrong)))]
            for said, root, proof in tries:
                if merkle.verify_consistency(old, said, root1, root, proof):
                    ledger.call("anchorer", "anchor", root1, root, said, proof)
                    taken += 1
                else:
                    with refused("not consistent"):
                        ledger.call("anchorer", "anchor", root1, root, said, proof)
                    refused_count += 1
    assert taken >= 56
    assert refused_count >= 200


def test_inclusion_verdicts_are_pythons(ledger: Ledger) -> None:
    rng = random.Random(6962)
    for size in (1, 6, 64, 171):
        anchor_to(ledger, size)
        seq, root = ledger.call("other", "head")[2], merkle.root_of(LEAVES[:size])
        time = ledger.call("other", "anchors", seq)[2]
        for _ in range(ROUNDS):
            index = rng.randrange(size)
            true = merkle.inclusion_proof(merkle.ranges_of(LEAVES), index, size)
            wrong = [w for w in bent(true) if all(len(h) == 32 for h in w)]
            tries = [(index, true), (index + 1, true), (size, true), (2**255, true)]
            tries += [(index, w) for w in rng.sample(wrong, min(3, len(wrong)))]
            for said, proof in tries:
                expected = merkle.verify_inclusion(said, size, LEAVES[index], proof, root)
                assert ledger.call("other", "verify", seq, LEAVES[index], said, proof) == (time if expected else 0,)
    assert ledger.call("other", "verify", 99, LEAVES[0], 0, []) == (0,)


def test_forks_shrinking_and_strangers_are_refused(ledger: Ledger) -> None:
    root = {n: merkle.root_of(LEAVES[:n]) for n in (50, 100, 120)}
    proof = merkle.consistency_proof(merkle.ranges_of(LEAVES), 100, 120)
    with refused("no proof expected"):
        ledger.send("anchorer", "anchor", bytes(32), root[100], 100, proof)
    with refused("wrong predecessor"):
        ledger.send("anchorer", "anchor", root[50], root[100], 100, [])
    with refused("bad size"):
        ledger.send("anchorer", "anchor", bytes(32), bytes(32), 0, [])
    anchor_to(ledger, 100)
    head = ledger.call("other", "head")
    with refused("not anchorer"):
        ledger.send("admin", "anchor", root[100], root[120], 120, proof)
    with refused("fork"):
        ledger.send("anchorer", "anchor", root[100], root[50], 100, [])
    with refused("shrinks"):
        ledger.send("anchorer", "anchor", root[100], root[50], 50, [])
    with refused("wrong predecessor"):
        ledger.send("anchorer", "anchor", root[50], root[120], 120, proof)
    ledger.send("anchorer", "anchor", bytes(32), root[100], 100, [])  # the same head: changes nothing
    assert ledger.call("other", "head") == head
    ledger.send("anchorer", "anchor", root[100], root[120], 120, proof)
    assert ledger.call("other", "head")[:3] == (root[120], 120, 2)


def test_rights_have_windows_and_keep_their_history(ledger: Ledger) -> None:
    who = ledger.address_of("other")
    t0 = int(ledger.now) + 1000
    ledger.now = float(t0 - 100)
    ledger.send("admin", "grant", DEPARTMENT, who, t0, t0 + 50)
    for time, has in ((t0 - 1, False), (t0, True), (t0 + 49, True), (t0 + 50, False)):
        assert ledger.call("other", "had_role", DEPARTMENT, who, time) == (has,)
    ledger.now = float(t0 + 20)
    assert ledger.call("other", "has_role", DEPARTMENT, who) == (True,)
    ledger.send("admin", "revoke", DEPARTMENT, who)
    ledger.now += 1
    assert ledger.call("other", "has_role", DEPARTMENT, who) == (False,)
    for time, has in ((t0 - 1, False), (t0 + 19, True), (t0 + 20, False), (t0 + 21, False)):
        assert ledger.call("other", "had_role", DEPARTMENT, who, time) == (has,)
    assert ledger.call("other", "windows_of", DEPARTMENT, who) == (2,)
    assert ledger.call("other", "window", DEPARTMENT, who, 0)[0] == (t0, t0 + 50, t0 - 100)
    for values, reason in (
        ((DEPARTMENT, who, t0 - 1, 0), "back-dated"),
        ((DEPARTMENT, who, t0 + 900, t0 + 900), "empty window"),
        ((0, who, 0, 0), "unknown role"),
        ((5, who, 0, 0), "unknown role"),
        ((DEPARTMENT, "0x" + "00" * 20, 0, 0), "no account"),
    ):
        with refused(reason):
            ledger.send("admin", "grant", *values)
    with refused("not admin"):
        ledger.send("anchorer", "grant", ADMIN, who, 0, 0)
    with refused("not admin"):
        ledger.send("anchorer", "revoke", ADMIN, ledger.address_of("admin"))


def test_the_last_admin_stays(ledger: Ledger) -> None:
    admin, other = ledger.address_of("admin"), ledger.address_of("other")
    soon = int(ledger.now) + 1000
    with refused("last admin"):
        ledger.send("admin", "revoke", ADMIN, admin)
    with refused("last admin"):
        ledger.send("admin", "grant", ADMIN, admin, 0, soon)
    with refused("a lasting admin begins now"):
        ledger.send("admin", "grant", ADMIN, other, soon, 0)
    ledger.send("admin", "grant", ADMIN, other, 0, soon)  # ends some day: does not count
    with refused("last admin"):
        ledger.send("admin", "revoke", ADMIN, admin)
    ledger.send("admin", "grant", ADMIN, other, 0, 0)
    ledger.send("admin", "grant", ADMIN, other, 0, 0)  # twice must not count twice
    ledger.send("other", "revoke", ADMIN, admin)
    with refused("last admin"):
        ledger.send("other", "revoke", ADMIN, other)
    with refused("not admin"):
        ledger.send("admin", "grant", ADMIN, admin, 0, 0)


def test_pause_stops_anchors_only_until_the_admin_ends_it(ledger: Ledger) -> None:
    other = ledger.address_of("other")
    with refused("not pauser"):
        ledger.send("other", "pause")
    ledger.send("admin", "grant", PAUSER, other, 0, 0)
    ledger.send("other", "pause")
    with refused("paused"):
        anchor_to(ledger, 5)
    with refused("not admin"):
        ledger.send("other", "unpause")
    ledger.send("admin", "unpause")
    anchor_to(ledger, 5)


def made_up(first: int, second: int) -> tuple[bytes, bytes, list[bytes]]:
    """Roots of two trees nobody could hold, and a proof that the second contains the first (RFC 9162 2.1.4.2)."""
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    proof = [sha256(b"start").digest()]
    fr = sr = proof[0]
    while sn:
        node = sha256(len(proof).to_bytes(2, "big")).digest()
        proof.append(node)
        if fn & 1 or fn == sn:
            fr, sr = (sha256(b"\x01" + node + x).digest() for x in (fr, sr))
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\x01" + sr + node).digest()
        fn, sn = fn >> 1, sn >> 1
    return fr, sr, proof


def anchor_made_up(ledger: Ledger, first: int, second: int) -> int:
    """Gas of the second anchor."""
    root1, root2, proof = made_up(first, second)
    assert merkle.verify_consistency(first, second, root1, root2, proof)
    ledger.send("anchorer", "anchor", bytes(32), root1, first, [])
    return ledger.send("anchorer", "anchor", root1, root2, second, proof)


def test_a_tree_larger_than_any_city_can_still_be_anchored(ledger: Ledger) -> None:
    """The longest proof there is: 64 hashes, all of them on both sides."""
    gas = anchor_made_up(ledger, 2**62 + 1, 2**63 - 1)
    assert len(made_up(2**62 + 1, 2**63 - 1)[2]) >= 63
    assert gas < ANCHOR_GAS


def test_gas_is_as_committed(ledger: Ledger, tmp_path: Path) -> None:
    """The snapshot in git; delete the file and run the test to write it anew."""
    other = Ledger(tmp_path / "other")
    other.send("admin", "grant", ANCHORER, other.address_of("anchorer"), 0, 0)
    department, end = ledger.address_of("other"), int(ledger.now) + 9**8
    measured = {
        "deploy": ledger.deploy_gas,
        "anchor_first": anchor_to(ledger, 100),
        "anchor_next": anchor_to(ledger, 203),
        "anchor_same_head": anchor_to(ledger, 203),
        "verify_as_transaction": ledger.send(
            "other", "verify", 2, LEAVES[0], 0, merkle.inclusion_proof(merkle.ranges_of(LEAVES), 0, 203)
        ),
        "anchor_of_a_million": anchor_made_up(other, 1_000_001, 1_002_001),
        "grant": ledger.send("admin", "grant", DEPARTMENT, department, 0, 0),
        "revoke": ledger.send("admin", "revoke", DEPARTMENT, department),
        "grant_again": ledger.send("admin", "grant", DEPARTMENT, department, 0, end),
        "grant_admin": ledger.send("admin", "grant", ADMIN, department, 0, 0),
        "pause": ledger.send("admin", "pause"),
        "unpause": ledger.send("admin", "unpause"),
    }
    other.chain.close()
    if not GAS.exists():
        GAS.write_text(json.dumps(measured, indent=1) + "\n")
    committed = json.loads(GAS.read_text())
    assert measured.keys() == committed.keys()
    for name, gas in measured.items():
        assert gas == pytest.approx(committed[name], rel=GAS_TOLERANCE), name


def test_the_page_tells_the_gas_of_the_snapshot() -> None:
    rows = [line.split("|")[1:3] for line in (ROOT / "docs" / "chain.md").read_text().splitlines() if "|" in line]
    told = {name.strip(): int(gas) for name, gas in rows if gas.strip().isdigit()}
    assert told == json.loads(GAS.read_text())
