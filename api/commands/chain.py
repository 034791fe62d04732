"""`roadcode chain`: what stands on the chain, and grants whose key is kept offline."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ..settings import Settings
from .printing import ERR, Json, settings, show

EXAMPLES = """Keys kept offline, in three steps:

roadcode chain export-grants --admin 0x5aAe... > to-sign.json     here

roadcode chain sign-grants admin.key < to-sign.json > signed.json   on the machine with the key, without network

roadcode chain import-signed < signed.json     here; the anchorer sends them
"""
MOST_BYTES = 1 << 20
"""32 signed grants are 20 kB; a file fifty times as large is another file."""

app = typer.Typer(
    help="The contract that keeps the log's heads and the departments' rights.", no_args_is_help=True, epilog=EXAMPLES
)
Home = Annotated[Path | None, typer.Option("--home", help="the data folder")]


def errors() -> tuple[type[BaseException], ...]:
    """Those that say themselves what to do."""
    from ledger import AnchorRefused, ChainAway, ColdError, WrongContract  # noqa: PLC0415

    return AnchorRefused, ChainAway, ColdError, WrongContract


def _resolved(home: Path | None) -> tuple[Settings, Any]:
    from .. import wiring  # noqa: PLC0415

    full = wiring.resolved(settings(home=home))
    chain = wiring.chain(full)
    if chain is None:
        raise wiring.NotConfigured("no chain is configured: set ROADCODE_RPC_URL, or run `roadcode up`")
    return full, chain


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """Say what kind of chain it is, where the contract stands, its newest head, and what is on its way there."""
    from ledger import grants_of  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full, chain = _resolved(home)
    kind, head = chain.kind(), chain.head()
    with wiring.database(full) as conn:
        waiting = [row for row in grants_of(conn) if row.status not in ("mined", "failed")]
        anchors = dict(conn.execute("SELECT status, count(*) FROM anchor GROUP BY status ORDER BY status").fetchall())
    rows = [
        {"what": "chain", "is": str(kind)},
        {"what": "contract", "is": chain.address},
        {"what": "its code", "is": "RoadLedger, as in this version" if chain.code_is_ours() else "ANOTHER ONE"},
        {"what": "anchorer", "is": f"{chain.anchorer.address}, {'may' if chain.may_anchor() else 'may NOT'} anchor"},
        {"what": "newest head", "is": f"number {head.seq}, {head.size} records, {_when(head.time)}"},
        {"what": "anchors here", "is": ", ".join(f"{count} {name}" for name, count in anchors.items()) or "none"},
        {"what": "grants waiting", "is": str(len(waiting))},
    ]
    rows += [{"what": f"grant {r.id}", "is": f"{r.step}, {r.status}: {r.reason or 'its turn'}"} for r in waiting]
    show(rows, as_json, "the chain")


def _when(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat() if time_s else "never"


@app.command()
def grants(home: Home = None, as_json: Json = False) -> None:
    """List each department's right that was given or ended on the chain, and what became of it."""
    from ledger import grants_of  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    with wiring.database(wiring.resolved(settings(home=home))) as conn:
        rows = [
            {
                "grant": row.id, "account": "0x" + row.account.hex(), "step": row.step,
                "from": _when(row.from_s or 0) if row.step == "grant" else None,
                "to": _when(row.to_s or 0) if row.step == "grant" else None,
                "status": "final" if row.final else row.status, "block": row.block_number, "reason": row.reason,
            }
            for row in grants_of(conn)
        ]  # fmt: skip
    show(rows, as_json, "departments' rights on the chain")


@app.command("export-grants")
def export(
    admin: Annotated[str, typer.Option("--admin", help="address (0x...) of the account whose key will sign")],
    home: Home = None,
) -> None:
    """Print, as JSON, the transactions that wait for an admin's key which is kept elsewhere (32 at most)."""
    import time  # noqa: PLC0415

    from ledger import export_grants  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full, chain = _resolved(home)
    with wiring.database(full, autocommit=False) as conn:
        found = export_grants(conn, chain, admin, time.time())
    print(json.dumps(found, indent=1))
    ERR.print(f"{len(found)} to sign, in this order: roadcode chain sign-grants KEYFILE")


@app.command("sign-grants")
def sign(
    key: Annotated[Path, typer.Argument(help="file with the admin's key in hexadecimal, mode 0600")],
) -> None:
    """Sign what export-grants printed, from standard input. Needs no network and no platform: read it first."""
    from ledger import sign_grants  # noqa: PLC0415

    grants = _read()
    signed = sign_grants(key, grants)
    for one in grants[: len(signed)]:
        window = f" from {one['from_s']} to {one['to_s']} (unix seconds)" if one["step"] == "grant" else ""
        where = f"contract {one['tx']['to']} on chain {one['tx']['chainId']}"
        ERR.print(f"signed for {where}: {one['step']} {one['account']}{window}", soft_wrap=True, highlight=False)
    print(json.dumps(signed, indent=1))


@app.command("import-signed")
def import_signed(home: Home = None) -> None:
    """Take signed grants from standard input, checked against what was decided; the anchorer sends them."""
    import time  # noqa: PLC0415

    from ledger import import_grants  # noqa: PLC0415

    from .. import wiring  # noqa: PLC0415

    full, chain = _resolved(home)
    with wiring.database(full, autocommit=False) as conn:
        count = import_grants(conn, chain, _read(), time.time())
        conn.commit()
    ERR.print(f"{count} taken: roadcode chain grants shows what becomes of them")


def _read() -> list[dict[str, Any]]:
    from ledger import ColdError  # noqa: PLC0415

    text = typer.get_text_stream("stdin").read(MOST_BYTES + 1)
    try:
        content = json.loads(text) if len(text) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ColdError("standard input is to be the JSON list that `roadcode chain` printed")
    return content
