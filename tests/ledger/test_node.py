"""The embedded chain: durable, one opener, honest clock, closed to strangers."""

import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from ledger.evm import CHAIN_ID, CallReverted, ChainFolderBusy, EmbeddedChain, Message, TransactionRefused
from ledger.rpc import answer

from .conftest import Node

# Returns CHAINID: PUSH0-free init code that copies `CHAINID PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN`.
CHAINID_CODE = bytes.fromhex("4660005260206000f3")


def ask(chain: EmbeddedChain, method: str, *params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    return json.loads(answer(chain, body))


def signed(key: bytes, nonce: int, **fields: Any) -> bytes:
    plain = {"chainId": CHAIN_ID, "nonce": nonce, "gas": 100_000, "gasPrice": 0, "to": "0x" + "11" * 20, "value": 0}
    return bytes(Account.sign_transaction(plain | fields, key).raw_transaction)


def test_chain_id_of_opcode_and_rpc_agree(tmp_path: Path) -> None:
    with EmbeddedChain(tmp_path, time.time) as chain:
        said = int.from_bytes(chain.call(Message(bytes(20), b"", CHAINID_CODE)), "big")
        assert said == int(ask(chain, "eth_chainId")["result"], 16) == int(ask(chain, "net_version")["result"])


def test_block_time_after_idle_is_now_and_never_goes_back(tmp_path: Path) -> None:
    clock = [1_800_000_000.0]
    with EmbeddedChain(tmp_path, lambda: clock[0]) as chain:
        times = []
        for nonce, now in enumerate((1_800_000_100.9, 1_800_090_000.0, 1_800_090_000.2, 1_700_000_000.0)):
            clock[0] = now
            mined = chain.mined(chain.mine(signed(b"k" * 32, nonce)))
            assert mined is not None
            times.append(mined.block.header.timestamp)
    assert times == [1_800_000_100, 1_800_090_000, 1_800_090_001, 1_800_090_002]


def test_second_opener_is_refused(tmp_path: Path) -> None:
    node = Node(tmp_path).start()
    with pytest.raises(ChainFolderBusy, match="another process"):
        EmbeddedChain(tmp_path, time.time)
    with pytest.raises(RuntimeError, match="ChainFolderBusy"):
        Node(tmp_path).start()
    assert node.stop() == 0


def test_same_bytes_give_the_same_hash_and_bad_ones_a_reason(tmp_path: Path) -> None:
    with EmbeddedChain(tmp_path, time.time) as chain:
        raw = signed(b"k" * 32, 0)
        assert chain.mine(raw) == chain.mine(raw)
        assert chain.number() == 1
        for bad, reason in (
            (b"", "not a signed"),
            (raw[:-1], "not a signed"),
            (b"\x02" + raw, "not a signed"),
            (signed(b"k" * 32, 0, value=1), "nonce too low"),
            (signed(b"k" * 32, 5), "nonce too high"),
            (signed(b"k" * 32, 1, chainId=1), "signed for chain 1"),
            (signed(b"k" * 32, 1, gas=16_000_000), "over the limit"),
            (signed(b"k" * 32, 1, gas=20_000), "."),
            (signed(b"k" * 32, 1, value=10**30), "."),
        ):
            with pytest.raises(TransactionRefused, match=reason):
                chain.mine(bad)
        assert chain.number() == 1
        chain.mine(signed(b"k" * 32, 1))
        assert chain.number() == 2
        with pytest.raises(CallReverted):
            chain.call(Message(bytes(20), b"", b"\xfe"))


def test_kill_9_loses_no_acknowledged_transaction(tmp_path: Path) -> None:
    """Kills the node while transactions stream in; each one that was answered is there afterwards."""
    node, nonce = Node(tmp_path), 0
    acknowledged: list[str] = []
    for life in range(3):
        node.start()
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)

        def rpc(method: str, *params: Any, connection: Any = connection, node: Node = node) -> Any:
            connection.request(
                "POST", f"/{node.token}", json.dumps({"id": 1, "method": method, "params": params}).encode()
            )
            return json.loads(connection.getresponse().read())["result"]

        for tx_hash in acknowledged:
            assert rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
        account = Account.from_key(b"k" * 32).address
        nonce = int(rpc("eth_getTransactionCount", account, "latest"), 16)
        assert nonce in (len(acknowledged), len(acknowledged) + 1)
        if nonce > len(acknowledged):  # mined, but killed before it could say so: sending again tells
            acknowledged.append(rpc("eth_sendRawTransaction", "0x" + signed(b"k" * 32, nonce - 1).hex()))
            assert int(rpc("eth_getTransactionCount", account, "latest"), 16) == nonce
        for step in range(5 + life):
            acknowledged.append(rpc("eth_sendRawTransaction", "0x" + signed(b"k" * 32, nonce + step).hex()))
        # One more is on its way when the process dies.
        last = "0x" + signed(b"k" * 32, nonce + 5 + life).hex()
        body = {"id": 1, "method": "eth_sendRawTransaction", "params": [last]}
        connection.request("POST", f"/{node.token}", json.dumps(body).encode())
        assert node.process is not None
        os.kill(node.process.pid, signal.SIGKILL)
        node._end()
        connection.close()
    node.start()
    assert node.stop() == 0
    assert len(set(acknowledged)) == len(acknowledged) >= 18
    assert node.token not in node.errors
    assert (tmp_path / "genesis.key").read_text().strip() not in node.errors


def test_strangers_are_turned_away(node: Node) -> None:
    request = json.dumps({"id": 1, "method": "eth_chainId", "params": []}).encode()

    def status(path: str, body: bytes = request, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse().status
        connection.close()
        return answer

    assert status(f"/{node.token}") == 200
    assert status("/") == status(f"/{node.token[:-1]}") == status(f"/{node.token}/") == 404
    assert status(f"/{node.token}", Host="evil.example") == 403
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    connection.putrequest("POST", f"/{node.token}")
    connection.putheader("Content-Length", str((1 << 20) + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    connection.request("GET", f"/{node.token}")
    assert connection.getresponse().status == 501
    connection.close()
    for name in ("token", "genesis.key"):
        assert (node.folder / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[1]",
        b"{",
        b"null",
        b"[" * 3000,
        b'{"method":"eth_call"}',
        b'{"method":"eth_call","params":[{"to":"0x1"}]}',
        b'{"method":"eth_getBalance","params":["0x00","latest"]}',
        b'{"method":"eth_getBalance","params":["0x' + b"00" * 20 + b'","0x5"]}',
        b'{"method":"eth_getBlockByNumber","params":["0x' + b"f" * 64 + b'",false]}',
        b'{"method":"eth_getBlockByNumber","params":["-0x1"]}',
        b'{"method":"eth_getBlockByHash","params":["0x' + b"00" * 32 + b'"]}',
        b'{"method":"eth_estimateGas","params":[{"value":"0x' + b"f" * 64 + b'"}]}',
        b'{"method":"eth_call","params":[{"gas":"0x0"},"latest"]}',
        b'{"method":"eth_sendRawTransaction","params":["0x05"]}',
        b'{"method":"eth_sendRawTransaction","params":[7]}',
        b'{"method":"debug_setHead","params":["0x0"]}',
        b'{"method":"eth_feeHistory","params":["0xffffffff","latest",[50]]}',
        b'{"method":"eth_getStorageAt","params":["0x' + b"00" * 20 + b'","0x0","latest"]}',
    ],
)
def test_any_request_gets_an_answer(tmp_path: Path, body: bytes) -> None:
    with EmbeddedChain(tmp_path, time.time) as chain:
        reply = json.loads(answer(chain, body))
        for one in reply if isinstance(reply, list) else [reply]:
            assert ("error" in one) != ("result" in one)
        assert chain.number() == 0


def test_the_chains_library_does_not_let_nested_json_end_the_process() -> None:
    """py-evm raises Python's recursion limit to 100,000; a file of `[[[[...` then overflowed the C stack."""
    assert sys.getrecursionlimit() <= 10_000
    with pytest.raises(RecursionError):
        json.loads("[" * 200_000)
