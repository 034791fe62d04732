"""`roadcode points`: what clerks do (reports, appeals, balances on paper), what operators look at, and the mall."""

from __future__ import annotations

import csv
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from .points_clerk import Home, appeals, now, opened, report, write_private
from .printing import ERR, Json, show

app = typer.Typer(
    help="Points of citizens: reports and appeals that a person decides, balances on paper, settlements, the mall.",
    no_args_is_help=True,
)
app.add_typer(report, name="report")
app.add_typer(appeals, name="appeals")

def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a day is YYYY-MM-DD, for example 2026-11-24") from None


# ---------------------------------------------------------------- balances, settlements


@app.command("show")
def show_account(
    number: Annotated[str | None, typer.Argument(help="a number on paper")] = None,
    account: Annotated[str | None, typer.Option(help="or an account, as an appeal names it")] = None,
    out: Annotated[Path | None, typer.Option("--print", help="write a paper statement here (HTML, A5)")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What an account has, and its days with every reason: to answer who asks at the counter, or appeals."""
    from ..counter import account_on_paper, standing  # noqa: PLC0415
    from ..own_points import credits_of  # noqa: PLC0415
    from ..paper_page import page  # noqa: PLC0415

    if (number is None) == (account is None):
        raise typer.BadParameter("give a number on paper, or --account")
    city, conn = opened(home)
    now_s = time.time()
    with conn:
        one = account if number is None else account_on_paper(conn, number)
        told = credits_of(conn, str(one), city, now_s)
        have = standing(conn, str(one), city.service_day(now_s))
    if out is not None:
        if number is None:
            raise typer.BadParameter("--print is for a number on paper")
        plain = "".join(number.split()).replace("-", "").upper()
        said = {"city": city.name_zh, "banner": city.banner, "paper": plain, "standing": have}
        write_private(out, page(said).encode())
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return
    show([{"what": k, "points": v} for k, v in told["balance"].items()], False, "balance")
    rows = [
        {"day": d["day"], "status": d["status"], "points": d["points"],
         "not earned": ", ".join(f"{r['reason']} {r['n']}" for r in d["refusals"]),
         "waits": ", ".join(c["what"] for c in d["claims"] if c["state"] == "waits")} for d in told["days"]
    ]  # fmt: skip
    show(rows, False, "days")


@app.command()
def settlements(
    most: Annotated[int, typer.Option(help="how many, the newest first", min=1, max=1000)] = 30,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Settled days: budget, what was given out, sums of all days, root in the log. No account is named."""
    from ledger import points_settle  # noqa: PLC0415

    _, conn = opened(home)
    with conn:
        found = points_settle.settlements(conn, most)
    rows = [
        {"day": s.day.isoformat(), "budget": s.budget, "issued that day": s.issued_day, "issued": s.issued,
         "spent": s.spent, "expired": s.expired, "accounts": s.accounts, "root": s.root.hex()} for s in found
    ]  # fmt: skip
    show(rows, as_json, f"{len(rows)} settlements")


@app.command()
def budget(home: Home = None, as_json: Json = False) -> None:
    """What the city owes: points issued, spent, expired and open, and how far the budget of the last days went."""
    from ledger import points_settle  # noqa: PLC0415

    _, conn = opened(home)
    with conn:
        found = points_settle.settlements(conn, 30)
        row = conn.execute(
            "SELECT coalesce(sum(earned), 0), coalesce(sum(spent), 0), coalesce(sum(expired), 0), "
            "count(*) FILTER (WHERE closed_at IS NULL), (SELECT count(*) FROM points_claim WHERE settled_on IS NULL) "
            "FROM account"
        ).fetchone()
    earned, spent, expired, accounts, claims = map(int, row)
    given, could = sum(s.issued_day for s in found), sum(s.budget for s in found)
    show([{
        "issued": earned, "spent": spent, "expired": expired, "open": earned - spent - expired, "accounts": accounts,
        "claims that wait": claims, "settled days (30 at most)": len(found), "their budget": could, "given out": given,
    }], as_json)  # fmt: skip


# ---------------------------------------------------------------- the mall


@app.command()
def code(
    number: Annotated[str, typer.Argument(help="a number on paper")],
    points: Annotated[int, typer.Option(help="for how many points", min=1)],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a code that somebody without a phone takes to the mall: good once, for a day. Nothing is spent yet."""
    from ledger import paper  # noqa: PLC0415

    from ..counter import code_on_paper  # noqa: PLC0415

    city, conn = opened(home)
    at = now()
    with conn:
        made, ends = code_on_paper(conn, number, points, at, city.service_day(at.timestamp()))
    row = {"code": paper.grouped(made), "points": points, "until": ends.astimezone(city.zone).isoformat("T", "minutes")}
    show([row], as_json)


@app.command()
def export(
    day: Annotated[str, typer.Option(help="a service day, YYYY-MM-DD")],
    form: Annotated[str, typer.Option("--format", help="jsonl or csv")] = "jsonl",
    home: Home = None,
) -> None:
    """What was redeemed and given back on a day, for the mall's books: its own keys, our numbers, points, times.

    No account is in it, and nothing that joins two redemptions of one person.
    """
    from ledger import redemption  # noqa: PLC0415

    if form not in ("jsonl", "csv"):
        raise typer.BadParameter("--format is jsonl or csv")
    asked = _day(day)
    _, conn = opened(home)
    with conn:
        rows = redemption.redemptions_on(conn, asked)
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, ["what", "redemption", "key", "points", "at"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return
    for row in rows:
        print(json.dumps(row))


@app.command()
def mall(
    new_key: Annotated[Path | None, typer.Option(metavar="FILE", help="write a fresh key for a mall here")] = None,
    again: Annotated[bool, typer.Option(help="send once more what was given up")] = False,
    key: Annotated[list[str] | None, typer.Option(help="with --again: this message, delivered or not")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What the mall was told, and what it did not take. With --new-key: make the key that both sides hold.

    The key file goes to the mall by a way that others do not read, and into ROADCODE_MALL_KEY here.
    """
    from ledger import redemption  # noqa: PLC0415

    from ..mall import new_key as write  # noqa: PLC0415

    if new_key is not None:
        write(new_key)
        show([{"key file": str(new_key), "setting": f"ROADCODE_MALL_KEY={new_key}"}], as_json)
        return
    _, conn = opened(home)
    with conn:
        if again or key:
            ERR.print(f"{redemption.send_again(conn, key or [], now())} messages go out again")
        rows = redemption.deliveries(conn)
    show(rows, as_json, f"{len(rows)} messages to the mall")


# ---------------------------------------------------------------- a citizen's own check


def verify_statement_file(path: Path, key: str | None) -> list[Any]:
    """The steps of checking a statement that was downloaded; offline. key: the log's public key, as text or in a file.
    Raises OSError."""
    from ledger import Step  # noqa: PLC0415

    from ..statements import verify_document  # noqa: PLC0415

    if path.stat().st_size > 1 << 20:
        return [Step("statement", False, "a statement is some kilobytes: this is something else")]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return [Step("statement", False, "this is no JSON object: download the statement again")]
    if key is not None and Path(key).is_file():
        key = Path(key).read_text(encoding="utf-8").strip()
    return verify_document(content, key)


@app.command()
def check(
    statement: Annotated[Path, typer.Argument(help="a statement that was downloaded")],
    key: Annotated[str | None, typer.Option(help="the log's public key, or a file that holds it")] = None,
    as_json: Json = False,
) -> None:
    """Check a statement of points without asking anybody: leaf, settlement, record, signed checkpoint."""
    steps = verify_statement_file(statement, key)
    mark = {True: "yes", False: "NO", None: "not decided"}
    show([{"step": s.name, "holds": mark[s.ok], "detail": s.detail} for s in steps], as_json, str(statement))
    if any(s.ok is False for s in steps):
        raise typer.Exit(1)
    raise typer.Exit(3 if any(s.ok is None for s in steps) else 0)


def errors() -> tuple[type[Exception], ...]:
    """The errors of these commands that say themselves what to do."""
    from ledger import PointsError, PurseRefused, paper  # noqa: PLC0415

    from ..mall import MallError  # noqa: PLC0415

    return PointsError, PurseRefused, paper.BadNumber, MallError
