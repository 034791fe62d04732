"""Points leave for the mall once, whatever repeats and whoever comes at the same time; and the mall hears of it, at
least once and always the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from api import mall as malls
from api.mall import Mall, MallError, deliver_one, new_key, read_key, signature, verify
from ledger import paper, points_store, redemption, reports

from ..databases import fresh_database
from .purse import AT, DAY, KEY, Conn, Listening, account, one, settle, together

NOW_S = AT.timestamp()


@pytest.fixture(scope="module")
def url(postgres: str) -> Iterator[str]:
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture
def conn(url: str) -> Iterator[Conn]:
    with psycopg.connect(url, autocommit=True) as open_conn:
        yield open_conn
        open_conn.execute("DELETE FROM mall_delivery")


def code(n: int) -> str:
    return paper.number_of(n, paper.CODE)


def offered(conn: Conn, n: int, points: int = 30, have: int = 100) -> str:
    """An account with points and an open code for some of them."""
    owner = account(conn)
    settle(conn, {owner: have})
    redemption.offer(conn, owner, points, code(n), AT, DAY)
    return owner


def left(conn: Conn, owner: str) -> int:
    return points_store.balance(conn, owner, DAY).available


# ---------------------------------------------------------------- once


def test_a_code_is_redeemed_once_and_the_same_request_again_gets_the_same_answer(conn: Conn) -> None:
    owner = offered(conn, 1)
    assert left(conn, owner) == 100, "an offer spends nothing"
    first, new = redemption.redeem(conn, code(1), "till-7-0001", "r1", AT, DAY)
    again, newer = redemption.redeem(conn, code(1), "till-7-0001", "r2", AT + timedelta(days=3), DAY)
    assert (new, newer) == (True, False)
    assert first.told() == again.told()
    assert left(conn, owner) == 70
    assert not {owner, "account"} & set(map(str, [*first.told(), *first.told().values()])), "the mall learns of nobody"
    with pytest.raises(redemption.CodeUsed):
        redemption.redeem(conn, code(1), "till-7-0002", "r3", AT, DAY)
    other = offered(conn, 2)
    with pytest.raises(redemption.KeyUsed):
        redemption.redeem(conn, code(2), "till-7-0001", "r4", AT, DAY)
    assert (left(conn, owner), left(conn, other)) == (70, 100)


def test_many_tills_at_once_spend_a_code_once(conn: Conn, url: str) -> None:
    owner = offered(conn, 10, points=60)

    def at_till(n: int) -> object:
        with psycopg.connect(url) as mine:
            return redemption.redeem(mine, code(10), f"at-once-{n:04}", f"once{n}", AT, DAY)

    said = together(8, at_till)
    assert [type(s).__name__ for s in said].count("tuple") == 1
    assert sum(isinstance(s, redemption.CodeUsed) for s in said) == 7
    assert left(conn, owner) == 40
    assert one(conn, "SELECT count(*) FROM points_entry WHERE account = %s AND points < 0", owner) == 1


def test_one_request_sent_many_times_at_once_is_one_redemption(conn: Conn, url: str) -> None:
    owner = offered(conn, 11, points=60)

    def sent(n: int) -> object:
        with psycopg.connect(url) as mine:
            return redemption.redeem(mine, code(11), "the-same-key", f"same{n}", AT, DAY)

    said = together(8, sent)
    assert len({s[0].id for s in said}) == 1
    assert [s[1] for s in said].count(True) == 1
    assert left(conn, owner) == 40


def test_points_that_went_meanwhile_cannot_be_spent_by_an_older_code(conn: Conn) -> None:
    owner = offered(conn, 20, points=80)
    points_store.spend(conn, owner, 50, "elsewhere", {"reason": "test"}, DAY)
    with pytest.raises(points_store.NotEnough):
        redemption.redeem(conn, code(20), "too-little-1", "r20", AT, DAY)
    assert left(conn, owner) == 50
    with pytest.raises(points_store.NotEnough):
        redemption.offer(conn, owner, 51, code(21), AT, DAY)


def test_a_code_ends_is_voided_by_the_next_and_by_its_owner(conn: Conn) -> None:
    owner = offered(conn, 30)
    with pytest.raises(redemption.NoSuchCode):
        redemption.redeem(conn, code(30), "too-late-01", "r30", AT + timedelta(seconds=redemption.CODE_S), DAY)
    redemption.offer(conn, owner, 5, code(31), AT, DAY)
    with pytest.raises(redemption.NoSuchCode):
        redemption.redeem(conn, code(30), "voided-0001", "r31", AT, DAY)
    assert redemption.withdraw(conn, owner)
    with pytest.raises(redemption.NoSuchCode):
        redemption.redeem(conn, code(31), "withdrawn-1", "r32", AT, DAY)
    assert left(conn, owner) == 100


def test_a_refund_gives_back_once_and_to_nobody_who_has_left(conn: Conn, url: str) -> None:
    owner = offered(conn, 40)
    redemption.redeem(conn, code(40), "refund-me-1", "r40", AT, DAY)

    def back(_n: int) -> redemption.Redemption:
        with psycopg.connect(url) as mine:
            return redemption.refund(mine, "refund-me-1", AT, DAY)

    assert {r.told()["state"] for r in together(4, back)} == {"refunded"}
    assert left(conn, owner) == 100
    assert redemption.redeem(conn, code(40), "refund-me-1", "r41", AT, DAY)[0].told()["state"] == "refunded"
    with pytest.raises(redemption.NoSuchRedemption):
        redemption.refund(conn, "never-was-1", AT, DAY)
    gone = offered(conn, 41)
    redemption.redeem(conn, code(41), "refund-me-2", "r42", AT, DAY)
    reports.forget(conn, gone)
    points_store.close_account(conn, gone, AT, DAY)
    with pytest.raises(redemption.CannotRefund):
        redemption.refund(conn, "refund-me-2", AT, DAY)


def test_the_export_of_a_day_is_the_mall_s_books_and_names_nobody(conn: Conn) -> None:
    day = DAY + timedelta(days=300)
    owner = offered(conn, 50, points=7)
    redemption.redeem(conn, code(50), "books-00001", "r50", AT, day)
    redemption.refund(conn, "books-00001", AT + timedelta(minutes=1), day)
    rows = redemption.redemptions_on(conn, day)
    assert [(r["what"], r["key"], r["points"]) for r in rows] == [
        ("redeemed", "books-00001", 7), ("refunded", "books-00001", -7),
    ]  # fmt: skip
    assert owner not in str(rows)


# ---------------------------------------------------------------- the mall is told


def posted(conn: Conn, n: int) -> str:
    offered(conn, n)
    redemption.redeem(conn, code(n), f"webhook-{n}", f"hook{n}", AT, DAY)
    return f"redeemed:hook{n}"


def test_a_mall_that_fails_hangs_drops_and_redirects_is_told_until_it_takes_it(conn: Conn) -> None:
    key = posted(conn, 60)
    with Listening(["500", "hang", "drop", "307", "404"]) as there:
        now_s, waits = NOW_S, []
        for _ in range(5):
            assert deliver_one(conn, there.mall, now_s, wait_s=0.3)
            assert not deliver_one(conn, there.mall, now_s), "not again at once"
            again = one(conn, "SELECT next_at FROM mall_delivery WHERE key = %s", key).timestamp()
            waits.append(again - now_s)
            now_s = again
        assert all(later > 1.15 * sooner for sooner, later in pairwise(waits)), waits
        assert "what the mall says" not in str(redemption.deliveries(conn))
        assert deliver_one(conn, there.mall, now_s)
        assert not deliver_one(conn, there.mall, now_s + 86_400), "it has it"
    assert len(there.got) == 6
    assert there.elsewhere == 0, "a redirect is not followed"
    assert len({body for _, body in there.got}) == 1
    assert {headers["idempotency-key"] for headers, _ in there.got} == {key}
    assert redemption.deliveries(conn)[0]["state"] == "delivered"


def test_every_message_is_signed_for_its_moment_and_says_nothing_of_a_citizen(conn: Conn) -> None:
    posted(conn, 61)
    redemption.refund(conn, "webhook-61", AT, DAY)
    redemption.post_days(conn, AT)
    with Listening([]) as there:
        while deliver_one(conn, there.mall, NOW_S):
            pass
    assert {m["event"] for m in there.told()} == {"redemption.redeemed", "redemption.refunded", "day.settled"}
    for headers, body in there.got:
        said = headers["roadcode-signature"]
        assert verify(KEY.signing, said, body, NOW_S + 200)
        assert not verify(KEY.signing, said, body, NOW_S + 301), "an old one is a replay"
        assert not verify(KEY.signing, said, body + b" ", NOW_S)
        assert not verify("x" * 40, said, body, NOW_S)
        assert not verify(KEY.signing, said.replace(f"t={int(NOW_S)}", f"t={int(NOW_S) + 250}"), body, NOW_S + 250)
        assert b"account" not in body
    assert not verify(KEY.signing, "nonsense", b"", NOW_S)
    assert redemption.post_days(conn, AT) is None
    assert one(conn, "SELECT count(*) FROM mall_delivery WHERE delivered_at IS NULL") == 0, "no day is told twice"


def test_who_dies_while_sending_has_sent_nothing_as_far_as_the_outbox_knows(
    conn: Conn, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted(conn, 62)

    class Killed(BaseException):
        pass

    def sent_and_killed(*given: object) -> str:
        real(*given)  # type: ignore[arg-type]
        raise Killed

    real = malls.send
    with Listening([]) as there:
        monkeypatch.setattr(malls, "send", sent_and_killed)
        with psycopg.connect(url, autocommit=True) as dying, pytest.raises(Killed):
            deliver_one(dying, there.mall, NOW_S)
        monkeypatch.setattr(malls, "send", real)
        assert deliver_one(conn, there.mall, NOW_S)
    assert len(there.got) == 2
    assert there.got[0][1] == there.got[1][1], "the same, twice: the mall knows by the key"


def test_two_senders_do_not_send_the_same_and_what_is_given_up_can_be_sent_again(conn: Conn, url: str) -> None:
    key = posted(conn, 63)
    with psycopg.connect(url) as other:
        assert redemption.due(other, AT) is not None
        assert redemption.due(conn, AT) is None
        other.rollback()
    for attempts in range(redemption.TRIES):
        redemption.not_delivered(conn, one(conn, "SELECT id FROM mall_delivery"), attempts, "status 500", AT, 0.5)
    assert redemption.deliveries(conn)[0]["state"] == "given up"
    assert redemption.due(conn, AT + timedelta(days=9)) is None
    assert redemption.send_again(conn, [], AT) == 1
    waiting = redemption.due(conn, AT)
    assert waiting is not None
    assert waiting.key == key


def test_one_mall_cannot_give_back_or_look_up_what_another_took(conn: Conn) -> None:
    """Keys count up, so the next one is guessed: the goods stay with the customer, and the points would come back."""
    owner = offered(conn, 77)
    redemption.redeem(conn, code(77), "order-000077", "r77", AT, DAY)
    for ask in (
        lambda: redemption.refund(conn, "order-000077", AT, DAY, "another mall"),
        lambda: redemption.redemption(conn, "order-000077", "another mall"),
    ):
        with pytest.raises(redemption.NoSuchRedemption):
            ask()
    with pytest.raises(redemption.KeyUsed):
        redemption.redeem(conn, code(77), "order-000077", "r78", AT, DAY, "another mall")
    assert left(conn, owner) == 70


# ---------------------------------------------------------------- the key and the address


def test_a_key_file_is_for_its_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "mall.json"
    new_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    key = read_key(file)
    assert len(key.token) >= 40
    assert key.token != key.signing
    assert key.token not in repr(Mall(key))
    with pytest.raises(MallError, match="already"):
        new_key(file)
    assert read_key(file) == key
    file.chmod(0o640)
    with pytest.raises(MallError, match="chmod 600"):
        read_key(file)
    for bad in ('{"token": "short", "signing": "short"}', "[]", "{", '{"token": 1, "signing": 2}'):
        file.write_text(bad)
        file.chmod(0o600)
        with pytest.raises(MallError, match="holds no key"):
            read_key(file)


@pytest.mark.parametrize(
    "url",
    [
        "http://mall.example.org/hook", "ftp://mall.example.org", "https://", "https://user:secret@mall.example.org/",
        "file:///etc/passwd", "//mall.example.org", "https://mall.example.org:99999/", "https://mall.example.org/#x",
        "http://127.0.0.1.nip.io/", "http://169.254.169.254/latest",
    ],
)  # fmt: skip
def test_messages_go_to_https_only_or_to_this_machine(url: str) -> None:
    with pytest.raises(MallError):
        malls.check_url(url)
    assert malls.check_url("http://127.0.0.1:9000/hook").endswith("/hook")
    assert malls.check_url("https://mall.example.org/hook").endswith("/hook")


def test_a_signature_is_the_one_that_the_page_for_malls_tells() -> None:
    assert signature("s" * 40, 1_795_000_000, b'{"v": 1}') == (
        "t=1795000000,v1=13f64496da24c0384082fc8dc339f566c1e471c38e15105a4f806766ce5a40d4"
    )
