"""What somebody tries who reads the source of the purse: signs that steer a clerk's terminal, photos and accounts that
slip behind an erasure, places that stay beside an account."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from api import consent, teaching
from api.commands.printing import show
from api.erasure import ask_to_erase, erase_asked, leave_points
from ingest import devices as own
from ledger import points_settle, points_store, reports

from ..street import until
from .purse import AT, DAY, PLACE, Conn, Phone, Purse, account, jpeg, one, open_purse, refused

SQUARE = 1 << 53


@pytest.fixture(scope="module")
def purse(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purse]:
    with open_purse(postgres, tmp_path_factory.mktemp("hostile")) as opened:
        yield opened


def reported(phone: Phone, note: str = "") -> str:
    answer = phone.post("reports", {**PLACE, "kind": "pothole", "note": note})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"]).replace("-", "")


def test_a_note_or_an_appeal_steers_no_terminal(purse: Purse, capsys: pytest.CaptureFixture[str]) -> None:
    phone = purse.phone()
    number = reported(phone, "a\x1b[2Jhole\x9b31m 坑洞\u202eeloh")
    kept = reports.report(purse.conn, number).note
    assert kept == "a [2Jhole 31m 坑洞 eloh"
    day = (DAY + timedelta(days=30)).isoformat()
    refused(phone.post("credits/appeals", {"day": day, "text": "\x1b\x9b"}), 422, "bad_request")
    show([{"note": "\x1b]0;owned\x07 hole"}], False)
    shown = capsys.readouterr().out
    assert "hole" in shown
    assert "\x1b]" not in shown


def test_a_photo_that_is_laid_while_its_owner_leaves_goes_too(purse: Purse) -> None:
    phone = purse.phone()
    number, mine = reported(phone), phone.account
    with psycopg.connect(purse.url) as laying, psycopg.connect(purse.url, autocommit=True) as leaving:
        reports.put_photo(laying, number, mine, jpeg(), AT)

        def leave() -> None:
            with leaving.transaction():
                leave_points(leaving, phone.name)

        thread = threading.Thread(target=leave)
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        until(lambda: bool(one(purse.conn, waits, leaving.info.backend_pid)), 10, "who leaves waits")
        laying.commit()
        thread.join(10)
    assert one(purse.conn, "SELECT count(*) FROM citizen_photo WHERE report = %s", number) == 0


def test_who_is_erased_meanwhile_joins_no_more(purse: Purse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password was right when the request came; the erasure is done before it is answered."""
    phone = purse.phone(joined=False)
    before = own.still_let_in

    def erased_just_now(conn: Conn, names: list[str]) -> tuple[set[str], set[str]]:
        ask_to_erase(purse.conn, phone.name)
        erase_asked(purse.conn)
        return before(conn, names)

    monkeypatch.setattr(own, "still_let_in", erased_just_now)
    refused(phone.post("points", {"consent": consent.POINTS_VERSION}), 403, "not_a_phone")
    assert one(purse.conn, "SELECT count(*) FROM account WHERE device = %s", phone.name) == 0


def paid_report(conn: Conn, owner: str, number: str, cell: int) -> int:
    """A report of an account, confirmed and paid."""
    reports.add_report(conn, number, owner, "photo", DAY, cell, "pothole", "", AT)
    claim = reports.confirm(conn, number, "clerk", "so", AT, None)
    assert claim is not None
    newest = points_settle.settlement(conn)
    day = DAY if newest is None else newest.day + timedelta(days=1)
    with conn.transaction():
        due = points_settle.Due(owner, "report", DAY, 7, {"claim": claim}, f"claim:{claim}", claim)
        points_settle.settle(conn, day, [due], {}, 100, bytes(32), AT, "simulated", lambda n: claim.to_bytes(n, "big"))
    return claim


@pytest.mark.parametrize("how", ["age", "leaving"])
def test_no_account_keeps_the_place_of_a_report_and_none_is_paid_again(purse: Purse, how: str) -> None:
    conn = purse.conn
    phone = purse.phone()
    owner = phone.account
    cell = SQUARE + ["age", "leaving"].index(how)
    other = account(conn)
    theirs = paid_report(conn, other, f"OTHER{how}", cell + 10)
    claim = paid_report(conn, owner, f"MINE{how}", cell)
    if how == "age":
        reports.expire(conn, AT + timedelta(days=reports.LINK_DAYS + 200))
    else:
        with conn.transaction():
            leave_points(conn, phone.name)
        assert one(conn, "SELECT cell FROM points_claim WHERE id = %s", theirs) == cell + 10, "not another's"
    row = conn.execute("SELECT cell, kind, why, outcome FROM points_claim WHERE id = %s", (claim,)).fetchone()
    assert row == (None, None, {}, "paid")
    assert conn.execute("SELECT account, claim FROM citizen_report WHERE id = %s", (f"MINE{how}",)).fetchone() == (
        None, None,
    )  # fmt: skip
    assert {cell, cell + 10} <= set(points_store.paid_cells(conn, DAY))
    assert one(conn, "SELECT sum(points) FROM points_entry WHERE account = %s AND what = 'report'", owner) == 7
    assert teaching.leave(conn, "nobody-of-that-name") == 0
