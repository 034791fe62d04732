"""Grants with an admin's key that is kept offline: what to sign goes out as JSON, what was signed comes back.

The machine with the key needs no network: the document holds everything that is signed, and says in words what it is.
"""

from pathlib import Path
from typing import Any, Final

import psycopg

from .chain import DEPARTMENT, GRANT_GAS, Chain, artifact, tx_hash_of
from .ethereum import FEE_CAP
from .grants import COLUMNS, GrantRow
from .note import load_secret

# A document somebody has to read before signing: more are not read.
AT_ONCE: Final = 32


_FIELDS: Final = {
    "chainId", "nonce", "gas", "value", "data", "to", "type", "gasPrice", "maxPriorityFeePerGas", "maxFeePerGas",
}  # fmt: skip


class ColdError(ValueError):
    """A document of grants to sign, or of signed ones, is not as it should be; the text says what to do."""


def export_grants(conn: psycopg.Connection[Any], chain: Chain, admin: str, now_s: float) -> list[dict[str, Any]]:
    """The steps that wait for a signature, as transactions of the account `admin` with the nonces that come next.

    Sign them in this order and none beside them, or the nonces are spent and they must be exported again.
    """
    rows = conn.execute(
        f"SELECT {COLUMNS} FROM chain_grant WHERE status = 'waiting' ORDER BY id LIMIT %s",  # noqa: S608 - constant
        (AT_ONCE,),
    ).fetchall()
    conn.commit()
    nonce = chain.nonce_of_account(admin)
    found: list[dict[str, Any]] = []
    for row in (GrantRow(*r) for r in rows):
        if row.step == "grant" and (row.to_s or 0) <= now_s:
            continue
        begin = row.from_s or 0
        # Signing takes a while: what begins within it would be refused as back-dated.
        window = None if row.step == "revoke" else (0 if begin < now_s + 86_400 else begin, row.to_s or 0)
        one = {"grant": row.id, "step": row.step, "account": "0x" + row.account.hex()}
        if window is not None:
            one |= {"from_s": window[0], "to_s": window[1]}
        found.append(one | {"tx": chain.unsigned_grant(row.account, window, nonce + len(found))})
    return found


def sign_grants(key: Path, grants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sign what `export_grants` gave, with the key in a file (0600). Needs no network. Raises ColdError.

    What is signed is first held against the words beside it, which a person has read: the machine that exported them
    may be somebody else's by now. All must be for one contract on one chain; which it is, the person has to compare.
    """
    from eth_account import Account  # noqa: PLC0415 - takes a second that others need not wait for

    if not key.exists():
        raise ColdError(f"there is no key in {key}: name the file that holds the admin's key in hexadecimal")
    account = Account.from_key(load_secret(key))
    try:
        grants = grants[:AT_ONCE]
        if len({(one["tx"]["to"], one["tx"]["chainId"]) for one in grants}) > 1:
            raise ColdError("the grants are for more than one contract: export again, and sign those of one")
        for one in grants:
            _as_said(one)
        return [
            {"grant": int(one["grant"]), "raw": bytes(account.sign_transaction(one["tx"]).raw_transaction).hex()}
            for one in grants
        ]
    except ColdError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ColdError(f"this is not what `roadcode chain export-grants` writes: {type(error).__name__}") from None


def _as_said(one: dict[str, Any]) -> None:
    """Whether a transaction does what is said beside it, and nothing else. Raises ColdError, KeyError, TypeError,
    ValueError."""
    from web3 import Web3  # noqa: PLC0415 - takes a second that others need not wait for

    account, tx = Web3.to_checksum_address(one["account"]), one["tx"]
    if one["step"] not in ("grant", "revoke"):
        raise ValueError("a step is grant or revoke")
    values = [one["from_s"], one["to_s"]] if one["step"] == "grant" else []
    contract = Web3().eth.contract(abi=artifact()["abi"])
    data = contract.encode_abi(one["step"], [DEPARTMENT, account, *values])
    if str(tx["data"]).lower() != data.lower() or tx["value"] != 0 or not tx["to"] or set(tx) - _FIELDS:
        raise ColdError(f"grant {one['grant']} would sign something else than it says: look at who gave you this file")
    prices = [tx[name] for name in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas") if name in tx]
    if tx["gas"] > GRANT_GAS or max(prices) > FEE_CAP:
        raise ColdError(f"grant {one['grant']} would pay more than any grant costs: look at who gave you this file")


def import_grants(conn: psycopg.Connection[Any], chain: Chain, signed: list[dict[str, Any]], now_s: float) -> int:
    """Take signed grants back; the anchorer sends them. Gives how many. In the caller's transaction.

    Each must be for this contract and say what its row says. Raises ColdError, and then none is taken.
    """
    for one in signed:
        try:
            number, raw = int(one["grant"]), bytes.fromhex(str(one["raw"]).removeprefix("0x"))
        except (KeyError, TypeError, ValueError):
            raise ColdError("this is not what `roadcode chain sign-grants` writes") from None
        row = conn.execute(
            f"SELECT {COLUMNS} FROM chain_grant WHERE id = %s AND status = 'waiting' FOR UPDATE",  # noqa: S608
            (number,),
        ).fetchone()
        if row is None:
            raise ColdError(f"grant {number} does not wait for a signature (any more): export again")
        grant = GrantRow(*row)
        _check(chain, grant, raw, number)
        conn.execute(
            "UPDATE chain_grant SET raw_tx = %s, tx_hash = %s, nonce = %s, signed_s = %s, reason = NULL WHERE id = %s",
            (raw, tx_hash_of(raw), chain.nonce_of(raw), int(now_s), number),
        )
    return len(signed)


def _check(chain: Chain, grant: GrantRow, raw: bytes, number: int) -> None:
    if chain.place_of(raw) != (chain.chain_id, chain.address):
        raise ColdError(f"grant {number} is signed for another chain or contract: export again")
    allowed = [None] if grant.step == "revoke" else [(0, grant.to_s or 0), (grant.from_s or 0, grant.to_s or 0)]
    said = chain.data_of(raw)
    if said not in [bytes.fromhex(chain.grant_data(grant.account, window)[2:]) for window in allowed]:
        raise ColdError(f"grant {number} is signed for something else than its row says: export again")
