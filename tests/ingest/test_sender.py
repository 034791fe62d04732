"""A device's side, against the real broker: what it says when it cannot get in, and what it keeps until the verdict."""

from __future__ import annotations

import dataclasses
import socket
import threading
from pathlib import Path

import pytest

from ingest import MAX_BYTES, Credential, Sender, SenderError, read_credential, write_credential

from ..roads import just_driven
from ..street import Street, until


@pytest.fixture(scope="module")
def credential(street: Street) -> Credential:
    return street.platform.enrol([("sender-box", "box")], "sender")[1][0]


def payloads(street: Street, n: int, seed: int) -> list[bytes]:
    """``n`` chunks of a trip of its own, on a street of its own, so that no other test meets them."""
    return just_driven(street.city, n, tail=f"5e{seed:06x}", north_m=1500.0)


def kept(street: Street, sent: list[bytes]) -> int:
    """How many of the payloads are stored, counted with repeats."""
    with street.connect() as conn:
        row = conn.execute("SELECT count(*) FROM chunk WHERE raw = ANY(%s)", (sent,)).fetchone()
    return int(row[0]) if row else 0


# ---------------------------------------------------------------- getting in


def test_a_wrong_password_is_said_with_the_device_and_the_broker(credential: Credential) -> None:
    wrong = dataclasses.replace(credential, client_id="not-the-real-one", password="guess")
    with pytest.raises(SenderError, match=r"127\.0\.0\.1:\d+ does not let sender-box in: .*ot authori"), Sender(wrong):
        pass


def test_a_device_that_nobody_enrolled_is_not_let_in(credential: Credential) -> None:
    stranger = dataclasses.replace(credential, device="stranger", client_id="stranger")
    with pytest.raises(SenderError, match="does not let stranger in"), Sender(stranger):
        pass


def test_no_broker_is_said_with_the_address(credential: Credential) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there, and nobody else can come
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        nowhere = dataclasses.replace(credential, port=port)
        with pytest.raises(SenderError, match=f"no broker at 127.0.0.1:{port}"), Sender(nowhere):
            pass


def test_a_host_without_a_name_is_no_broker_either(credential: Credential) -> None:
    with pytest.raises(SenderError, match="no broker at"), Sender(dataclasses.replace(credential, host="a b")):
        pass


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"device": "x"}', "null", "\x00"])
def test_a_file_that_is_no_credential_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "box.json"
    path.write_text(text)
    with pytest.raises(SenderError, match=r"box\.json is not a device's credential"):
        read_credential(path)


def test_a_credential_is_for_its_owner_alone_and_hides_its_password(tmp_path: Path, credential: Credential) -> None:
    write_credential(tmp_path / "box.json", credential)
    assert (tmp_path / "box.json").stat().st_mode & 0o777 == 0o600
    assert read_credential(tmp_path / "box.json") == credential
    assert credential.password not in repr(credential)


# ---------------------------------------------------------------- until the verdict


def test_each_chunk_gets_one_verdict_and_its_latency(street: Street, credential: Credential) -> None:
    sent = payloads(street, 6, 1)
    with Sender(credential) as sender:
        for payload in [*sent, sent[0]]:
            sender.send(payload)
        report = sender.finish(30)
    assert (report.accepted, report.refused, report.waiting) == (6, {}, 0)
    assert (report.sent, len(report.latency_s)) == (7, 6)
    assert all(0 < s < 30 for s in report.latency_s)
    assert kept(street, sent) == 6


def test_a_refusal_is_counted_by_its_reason(street: Street, credential: Credential) -> None:
    with Sender(credential) as sender:
        sender.send(b"\xff no chunk \x01")
        sender.send(b"\xff no chunk \x02")
        report = sender.finish(30)
    assert (report.refused, report.accepted, report.waiting) == ({"malformed": 2}, 0, 0)


def test_a_chunk_whose_verdict_was_lost_is_sent_again_and_counts_once(street: Street, credential: Credential) -> None:
    """The device goes away after the broker has its chunk and before the verdict; nobody keeps verdicts for it."""
    sent = payloads(street, 1, 2)
    with Sender(credential) as sender:
        sender.send(sent[0])
        until(lambda: not sender._client._out_messages, 10, "the broker has the chunk")
    until(lambda: kept(street, sent) == 1, 30, "the chunk is stored")
    with Sender(credential, resend_s=0.3) as sender:
        sender.send(sent[0])
        assert sender.finish(30).accepted == 1
    assert kept(street, sent) == 1


def test_a_chunk_is_sent_again_by_itself_when_the_verdict_does_not_come(
    street: Street, credential: Credential
) -> None:
    """While somebody else holds the device's session the verdict goes there: the chunk stays waiting, and is told."""
    sent = payloads(street, 3, 3)
    with Sender(credential, resend_s=0.4) as sender:
        sender._client.unsubscribe(f"rhc/v1/{credential.device}/verdict")
        for payload in sent:
            sender.send(payload)
        until(lambda: kept(street, sent) == 3, 30, "the chunks are stored")
        assert sender.finish(1.2).waiting == 3
        assert sender.report.resent >= 3
        sender._client.subscribe(f"rhc/v1/{credential.device}/verdict", qos=1)
        report = sender.finish(30)
    assert (report.accepted, report.waiting) == (3, 0)
    assert kept(street, sent) == 3


def test_the_window_holds_back_who_sends_faster_than_verdicts_come(street: Street, credential: Credential) -> None:
    sent = payloads(street, 5, 4)
    with Sender(credential, window=2, resend_s=60) as sender:
        sender._client.unsubscribe(f"rhc/v1/{credential.device}/verdict")
        done = threading.Event()

        def send_all() -> None:
            for payload in sent:
                sender.send(payload)
            done.set()

        thread = threading.Thread(target=send_all, daemon=True)
        thread.start()
        until(lambda: kept(street, sent) == 2, 30, "two are on their way")
        assert not done.wait(0.5)
        assert (sender.report.sent, sender.report.waiting) == (2, 2)
        sender._client.subscribe(f"rhc/v1/{credential.device}/verdict", qos=1)
        sender._resend_s = 0.2
        assert done.wait(30)
        thread.join(10)
        report = sender.finish(30)
    assert (report.accepted, report.waiting) == (5, 0)


def test_what_the_broker_would_never_take_is_refused_at_once_and_stops_nothing(
    street: Street, credential: Credential
) -> None:
    """Published it would end the session, and be published again by the next one: nothing would ever arrive."""
    sent = payloads(street, 2, 5)
    with Sender(credential) as sender:
        sender.send(sent[0])
        sender.send(bytes(MAX_BYTES + 1))
        sender.send(sent[1])
        report = sender.finish(30)
    assert (report.accepted, report.refused, report.waiting) == (2, {"too_large": 1}, 0)


def test_the_largest_payload_that_is_allowed_gets_a_verdict(credential: Credential) -> None:
    with Sender(credential) as sender:
        sender.send(b"\xff" * MAX_BYTES)
        report = sender.finish(10)
    assert (report.refused, report.waiting) == ({"malformed": 1}, 0)
