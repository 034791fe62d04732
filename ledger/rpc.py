"""Ethereum JSON-RPC over the embedded chain: the methods web3.py needs to deploy, call, send and look up.

Total: any request gives a JSON answer, errors included; nothing here touches a socket.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from eth.abc import BlockAPI, ReceiptAPI
from eth_utils.exceptions import ValidationError

from .evm import CHAIN_ID, TRANSACTION_GAS_LIMIT, CallReverted, EmbeddedChain, Message, Mined, TransactionRefused

CLIENT: Final = "roadcode-chain/1 (py-evm)"
# web3.py sends one request at a time; a batch of a thousand would hold the chain for seconds.
MAX_BATCH: Final = 32
MAX_FEE_HISTORY: Final = 16
_REVERT_STRING: Final = bytes.fromhex("08c379a0")  # selector of Error(string)


class RpcError(Exception):
    """An error to answer with: a JSON-RPC code, a text and perhaps data."""

    def __init__(self, code: int, text: str, data: str | None = None) -> None:
        """Codes as in EIP-1474 and geth: -32602 bad argument, -32601 unknown method, -32000 refused, 3 reverted."""
        super().__init__(text)
        self.code, self.text, self.data = code, text, data


def answer(chain: EmbeddedChain, body: bytes) -> bytes:
    """The answer to a request or batch of requests, as JSON."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return _dump(_error(None, RpcError(-32700, "not JSON")))
    if isinstance(request, list):
        if not 0 < len(request) <= MAX_BATCH:
            return _dump(_error(None, RpcError(-32600, f"a batch holds 1 to {MAX_BATCH} requests")))
        return _dump([_one(chain, item) for item in request])
    return _dump(_one(chain, request))


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _error(number: object, error: RpcError) -> dict[str, Any]:
    content: dict[str, Any] = {"code": error.code, "message": error.text}
    if error.data is not None:
        content["data"] = error.data
    return {"jsonrpc": "2.0", "id": number, "error": content}


def _one(chain: EmbeddedChain, request: object) -> dict[str, Any]:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _error(None, RpcError(-32600, "a request is an object with a method"))
    number = request.get("id")
    if not isinstance(number, int | str | None):
        number = None
    params = request.get("params", [])
    method = _METHODS.get(request["method"])
    try:
        if method is None:
            raise RpcError(-32601, f"the method {request['method'][:64]} is not served here")
        if not isinstance(params, list) or len(params) > 8:
            raise RpcError(-32602, "params is a list of at most 8")
        return {"jsonrpc": "2.0", "id": number, "result": method(chain, params)}
    except RpcError as error:
        return _error(number, error)
    except TransactionRefused as error:
        return _error(number, RpcError(-32000, str(error)))
    except CallReverted as error:
        return _error(number, RpcError(3, _revert_text(error), _hex(error.output)))
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, ValidationError) as error:
        return _error(number, RpcError(-32602, f"bad arguments for {request['method']}: {type(error).__name__}"))


def _revert_text(error: CallReverted) -> str:
    output = error.output
    if output[:4] == _REVERT_STRING and len(output) >= 68:
        length = int.from_bytes(output[36:68], "big")
        if length <= len(output) - 68:
            return "execution reverted: " + output[68 : 68 + length].decode(errors="replace")
    return f"execution reverted ({error})" if not output else "execution reverted"


def _hex(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def _bytes(text: object, length: int | None = None) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise RpcError(-32602, "expected 0x and hex digits")
    data = bytes.fromhex(text[2:])
    if length is not None and len(data) != length:
        raise RpcError(-32602, f"expected {length} bytes")
    return data


def _quantity(text: object) -> int:
    if not isinstance(text, str) or not text.startswith("0x") or len(text) > 66:
        raise RpcError(-32602, "expected a quantity as 0x and hex digits")
    return int(text, 16)


def _newest(chain: EmbeddedChain, params: list[Any], position: int) -> None:
    """State is answered for the newest block only; say so instead of answering something else."""
    tag = params[position] if len(params) > position else "latest"
    if tag in ("latest", "pending", "safe", "finalized") or (tag == "earliest" and chain.number() == 0):
        return
    if isinstance(tag, str) and _quantity(tag) == chain.number():
        return
    raise RpcError(-32602, "this chain answers about the newest state only: ask for 'latest'")


def _message(fields: object) -> Message:
    if not isinstance(fields, Mapping):
        raise RpcError(-32602, "expected a call object")
    data = fields.get("input", fields.get("data", "0x"))
    gas = _quantity(fields["gas"]) if "gas" in fields else TRANSACTION_GAS_LIMIT
    return Message(
        sender=_bytes(fields["from"], 20) if fields.get("from") else bytes(20),
        to=_bytes(fields["to"], 20) if fields.get("to") else b"",
        data=_bytes(data),
        value=_quantity(fields.get("value", "0x0")),
        gas=gas,
    )


def _block(block: BlockAPI | None, full: bool) -> dict[str, Any] | None:
    if block is None:
        return None
    header = block.header
    transactions: list[Any] = [_hex(t.hash) for t in block.transactions]
    if full:
        transactions = [_transaction_fields(block, index) for index in range(len(block.transactions))]
    return {
        "number": hex(header.block_number),
        "hash": _hex(header.hash),
        "parentHash": _hex(header.parent_hash),
        "nonce": _hex(header.nonce),
        "sha3Uncles": _hex(header.uncles_hash),
        "logsBloom": _hex(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": _hex(header.transaction_root),
        "stateRoot": _hex(header.state_root),
        "receiptsRoot": _hex(header.receipt_root),
        "miner": _hex(header.coinbase),
        "difficulty": hex(header.difficulty),
        "totalDifficulty": "0x0",
        "extraData": _hex(header.extra_data),
        "mixHash": _hex(header.mix_hash),
        "size": "0x0",
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "baseFeePerGas": hex(header.base_fee_per_gas or 0),
        "transactions": transactions,
        "uncles": [],
    }


def _transaction_fields(block: BlockAPI, index: int) -> dict[str, Any]:
    transaction = block.transactions[index]
    fields: dict[str, Any] = {
        "hash": _hex(transaction.hash),
        "blockHash": _hex(block.hash),
        "blockNumber": hex(block.number),
        "transactionIndex": hex(index),
        "from": _hex(transaction.sender),
        "to": _hex(transaction.to) if transaction.to else None,
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas),
        "value": hex(transaction.value),
        "input": _hex(transaction.data),
        "chainId": hex(CHAIN_ID),
        "type": hex(transaction.type_id or 0),
        "gasPrice": hex(block.header.base_fee_per_gas or 0),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }
    if transaction.type_id is None:
        fields["gasPrice"] = hex(transaction.gas_price)
        fields["v"] = hex(transaction.y_parity + 35 + 2 * CHAIN_ID)
    else:
        fields["v"] = hex(transaction.y_parity)
        fields["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
        fields["accessList"] = []
    return fields


def _receipt(mined: Mined | None) -> dict[str, Any] | None:
    if mined is None:
        return None
    block, receipt, transaction = mined.block, mined.receipt, mined.transaction
    return {
        "transactionHash": _hex(transaction.hash),
        "transactionIndex": hex(mined.index),
        "blockHash": _hex(block.hash),
        "blockNumber": hex(block.number),
        "from": _hex(transaction.sender),
        "to": _hex(transaction.to) if transaction.to else None,
        "cumulativeGasUsed": hex(receipt.gas_used),
        "gasUsed": hex(receipt.gas_used),
        "effectiveGasPrice": hex(block.header.base_fee_per_gas or 0),
        "contractAddress": _hex(mined.contract) if mined.contract and receipt.state_root == b"\x01" else None,
        "logs": _logs(mined, receipt),
        "logsBloom": _hex(receipt.bloom.to_bytes(256, "big")),
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
        "type": hex(transaction.type_id or 0),
    }


def _logs(mined: Mined, receipt: ReceiptAPI) -> list[dict[str, Any]]:
    return [
        {
            "address": _hex(log.address),
            "topics": [_hex(topic.to_bytes(32, "big")) for topic in log.topics],
            "data": _hex(log.data),
            "logIndex": hex(number),
            "blockHash": _hex(mined.block.hash),
            "blockNumber": hex(mined.block.number),
            "transactionHash": _hex(mined.transaction.hash),
            "transactionIndex": hex(mined.index),
            "removed": False,
        }
        for number, log in enumerate(receipt.logs)
    ]


def _by_number(chain: EmbeddedChain, params: list[Any]) -> object:
    tag, full = params[0], len(params) > 1 and params[1] is True
    if tag in ("latest", "pending", "safe", "finalized"):
        return _block(chain.block(None), full)
    return _block(chain.block(0 if tag == "earliest" else _quantity(tag)), full)


def _state_of(question: Callable[[EmbeddedChain, bytes], object]) -> Callable[[EmbeddedChain, list[Any]], object]:
    def ask(chain: EmbeddedChain, params: list[Any]) -> object:
        _newest(chain, params, 1)
        return question(chain, _bytes(params[0], 20))

    return ask


def _call(chain: EmbeddedChain, params: list[Any]) -> object:
    _newest(chain, params, 1)
    return _hex(chain.call(_message(params[0])))


def _storage(chain: EmbeddedChain, params: list[Any]) -> object:
    _newest(chain, params, 2)
    return _hex(chain.storage(_bytes(params[0], 20), _quantity(params[1])).to_bytes(32, "big"))


def _transaction(chain: EmbeddedChain, params: list[Any]) -> object:
    mined = chain.mined(_bytes(params[0], 32))
    return None if mined is None else _transaction_fields(mined.block, mined.index)


def _fee_history(chain: EmbeddedChain, params: list[Any]) -> object:
    wanted = params[0] if isinstance(params[0], int) else _quantity(params[0])
    newest = chain.number()
    count = max(1, min(wanted, MAX_FEE_HISTORY, newest + 1))
    return {
        "oldestBlock": hex(newest - count + 1),
        "baseFeePerGas": ["0x0"] * (count + 1),
        "gasUsedRatio": [0.0] * count,
        "reward": [["0x0"] * len(params[2]) for _ in range(count)] if len(params) > 2 and params[2] else [],
    }


_METHODS: Final[Mapping[str, Callable[[EmbeddedChain, list[Any]], object]]] = {
    "eth_chainId": lambda _chain, _params: hex(CHAIN_ID),
    "net_version": lambda _chain, _params: str(CHAIN_ID),
    "web3_clientVersion": lambda _chain, _params: CLIENT,
    "eth_syncing": lambda _chain, _params: False,
    "eth_accounts": lambda _chain, _params: [],
    "eth_gasPrice": lambda _chain, _params: "0x0",
    "eth_maxPriorityFeePerGas": lambda _chain, _params: "0x0",
    "eth_feeHistory": _fee_history,
    "eth_blockNumber": lambda chain, _params: hex(chain.number()),
    "eth_getBlockByNumber": _by_number,
    "eth_getBlockByHash": lambda chain, params: _block(
        chain.block(_bytes(params[0], 32)), len(params) > 1 and params[1] is True
    ),
    "eth_getTransactionCount": _state_of(lambda chain, account: hex(chain.nonce(account))),
    "eth_getBalance": _state_of(lambda chain, account: hex(chain.balance(account))),
    "eth_getCode": _state_of(lambda chain, account: _hex(chain.code(account))),
    "eth_getStorageAt": _storage,
    "eth_estimateGas": lambda chain, params: hex(chain.estimate(_message(params[0]))),
    "eth_call": _call,
    "eth_sendRawTransaction": lambda chain, params: _hex(chain.mine(_bytes(params[0]))),
    "eth_getTransactionReceipt": lambda chain, params: _receipt(chain.mined(_bytes(params[0], 32))),
    "eth_getTransactionByHash": _transaction,
}
