"""What an attacker does, tried: each line of docs/security.md names a test of this folder or of tests/flow."""

from __future__ import annotations

import hashlib
import json
import socket
import stat
import time
import urllib.error

import pytest

from api.embedded import open_folder
from api.embedded.monitor import monitor
from ingest import Credential, Sender

from ..street import until
from .fort import WAIT_S, Fort, let_in, session

DAY_S = 86_400.0


def send(credential: Credential, *payloads: bytes, within_s: float = 30.0, resend_s: float = 10.0) -> dict[str, int]:
    """What became of payloads: accepted, and each reason of refusal; all of them must have a verdict."""
    with Sender(credential, resend_s=resend_s) as sender:
        for payload in payloads:
            sender.send(payload)
        report = sender.finish(within_s)
    assert report.waiting == 0
    return {"accepted": report.accepted, **report.refused}


# ---------------------------------------------------------------- topics and verdicts


def test_a_device_publishes_nowhere_but_on_its_own_topic(fort: Fort) -> None:
    thief, victim = fort.enrol("topic-thief"), fort.enrol("topic-victim")
    (payload, own) = fort.chunks(2)
    topics = (
        f"rhc/v1/{victim.device}/chunk", "rhc/v1/topic-nobody/chunk", "rhc/v1/topic-thief/chunk/x", "rhc/v1//chunk",
        f"$MQTT/msgs/rhc/v1/{victim.device}/chunk", "$SYS/x", "$JS/API/STREAM/PURGE/$MQTT_msgs", "rhc/v1/+/chunk",
    )  # fmt: skip
    for topic in topics:
        with session(thief) as one:
            assert one.connected.get(timeout=WAIT_S)
            one.publish(topic, payload) if "+" not in topic else None
    # What came before on the same way has come by now.
    assert send(thief, own) == {"accepted": 1}
    assert fort.kept(payload) == 0
    assert fort.one("SELECT count(*) FROM dead_letter WHERE sha256 = %s", hashlib.sha256(payload).digest()) == 0


def test_a_device_reads_no_verdict_and_no_chunk_but_its_own_verdicts(fort: Fort) -> None:
    thief, victim = fort.enrol("reading-thief"), fort.enrol("reading-victim")
    (payload,) = fort.chunks()
    with session(thief) as one:
        assert one.connected.get(timeout=WAIT_S)
        theirs = f"rhc/v1/{victim.device}"
        for topic in (f"{theirs}/verdict", f"{theirs}/chunk", "rhc/#", "#", "rhc/v1/+/verdict", "$MQTT/#", "$SYS/#",
                      "rhc/v1/reading-thief/chunk"):  # fmt: skip
            assert not one.subscribe(topic), topic
        assert one.subscribe(f"rhc/v1/{thief.device}/verdict")
        assert send(victim, payload) == {"accepted": 1}
        assert one.messages.empty()


def test_nobody_forges_a_verdict(fort: Fort) -> None:
    """Not for another, not for itself; and a device believes only what it is waiting for."""
    thief, victim = fort.enrol("forging-thief"), fort.enrol("forging-victim")
    (payload,) = fort.chunks()
    lie = [None, "internal", hashlib.sha256(payload).hexdigest()]
    forged = {"v": 1, "trip": None, "accepted": [], "refused": [lie]}
    with session(victim) as reading, session(thief) as one, session(thief, "second") as own:
        for each in (reading, one, own):
            assert each.connected.get(timeout=WAIT_S)
        assert reading.subscribe(f"rhc/v1/{victim.device}/verdict")
        assert own.subscribe(f"rhc/v1/{thief.device}/verdict")
        for qos in (0, 1):
            for to in (victim, thief):
                one.client.publish(f"rhc/v1/{to.device}/verdict", json.dumps(forged), qos=qos)
        own.publish(f"rhc/v1/{thief.device}/chunk", b"\xff")  # answered: so what was sent before it has come through
        _, told = own.messages.get(timeout=WAIT_S)
        assert [reason for _, reason, _ in told["refused"]] == ["malformed"]
        assert own.messages.empty()
        assert reading.messages.empty()


def test_what_is_published_with_qos_2_and_never_released_fills_no_store(fort: Fort) -> None:
    """It would lie in the broker's store for good, where no worker and no budget sees it."""
    device = fort.enrol("qos2-box")
    with session(device) as one:
        assert one.connected.get(timeout=WAIT_S)
        one.client.publish(f"rhc/v1/{device.device}/chunk", fort.chunks()[0], qos=2)
        assert one.ended.wait(WAIT_S), "the broker ends the session"
    assert send(device, fort.chunks()[0]) == {"accepted": 1}


# ---------------------------------------------------------------- who is who


def test_a_stolen_client_id_without_the_password_is_worth_nothing(fort: Fort) -> None:
    thief, victim = fort.enrol("id-thief"), fort.enrol("id-victim")
    forger = Credential(victim.device, "box", victim.client_id, thief.password, victim.host, victim.port, victim.ca)
    with session(victim, clean=False) as honest:
        assert honest.connected.get(timeout=WAIT_S)
        with session(forger) as one:
            assert not one.connected.get(timeout=WAIT_S)
        assert not honest.ended.wait(0.5)


def test_a_stolen_client_id_with_the_thief_s_own_password_reads_and_loses_nothing(fort: Fort) -> None:
    """It ends the honest session for a moment: that is why client ids are secret, and why devices come back and keep
    what has no verdict."""
    thief, victim = fort.enrol("sid-thief"), fort.enrol("sid-victim")
    sent = fort.chunks(6)
    with Sender(victim, resend_s=1.0) as sender:
        for number, payload in enumerate(sent):
            sender.send(payload)
            if number % 2:
                with session(thief, victim.client_id) as one:
                    if one.connected.get(timeout=WAIT_S):
                        assert not one.subscribe(f"rhc/v1/{victim.device}/verdict")
                        one.publish(f"rhc/v1/{victim.device}/chunk", b"forged")
        report = sender.finish(40)
    assert (report.accepted, report.refused, report.waiting) == (6, {}, 0)
    assert fort.kept(*sent) == 6
    assert fort.one("SELECT count(*) FROM dead_letter WHERE device = 'sid-victim'") == 0


def test_who_steals_a_whole_credential_is_shut_out_at_once(fort: Fort) -> None:
    """By a new password, or for good; in both cases a session that is open ends."""
    device = fort.enrol("stolen-box")
    (before, after, late, later) = fort.chunks(4)
    assert send(device, before) == {"accepted": 1}
    with session(device) as one:
        assert one.connected.get(timeout=WAIT_S)
        renewed = fort.rotate("stolen-box")
        assert one.ended.wait(1), "when the command ends, the session has"
        one.publish("rhc/v1/stolen-box/chunk", late)
    assert not let_in(device)
    assert send(renewed, after) == {"accepted": 1}
    with session(renewed) as one:
        assert one.connected.get(timeout=WAIT_S)
        assert fort.disable("stolen-box") == ["stolen-box"]
        one.publish("rhc/v1/stolen-box/chunk", later)
        assert one.ended.wait(1)
    assert not let_in(renewed)
    assert (fort.kept(late), fort.kept(later)) == (0, 0)
    assert fort.disable("stolen-box") == [], "once is enough"


def test_the_worker_refuses_a_disabled_device_even_where_the_broker_was_not_told(fort: Fort) -> None:
    device = fort.enrol("late-box")
    (payload,) = fort.chunks()
    with session(device) as one:
        assert one.connected.get(timeout=WAIT_S)
        assert one.subscribe("rhc/v1/late-box/verdict")
        with fort.connect() as conn:
            conn.execute("UPDATE device SET disabled_at = now() WHERE id = 'late-box'")
        one.publish("rhc/v1/late-box/chunk", payload)
        _, told = one.messages.get(timeout=WAIT_S)
    assert [(reason, sha) for _, reason, sha in told["refused"]] == [
        ("unknown_device", hashlib.sha256(payload).hexdigest())
    ]
    assert fort.kept(payload) == 0


# ---------------------------------------------------------------- what is sent


def test_a_key_that_comes_again_counts_once_whatever_it_carries(fort: Fort) -> None:
    """The same (day, device, trip, seq): the same bytes, and others under the number of the first."""
    device, other = fort.enrol("replay-box"), fort.enrol("replay-other")
    first, second = fort.chunks(2)
    now_s = time.time()  # of one moment: or the border of a day comes between them, and makes two trips of it
    (one,) = fort.chunks(tail="0123456789ab", now_s=now_s)
    (forged,) = fort.chunks(tail="0123456789ab", now_s=now_s, speed_mps=14.0)
    assert send(device, first, second, first, second, one) == {"accepted": 3}
    for _ in range(2):  # a new session: whoever recorded it sends it again
        assert send(device, first, forged) == {"accepted": 2}
    assert (fort.kept(first), fort.kept(second), fort.kept(one), fort.kept(forged)) == (1, 1, 1, 0)
    assert send(other, first) == {"accepted": 1}, "what another device says is its own word, one more witness"
    assert fort.kept(first) == 2


def test_a_wrong_clock_is_named_and_opens_no_day(fort: Fort) -> None:
    device = fort.enrol("clock-box")
    days = fort.one("SELECT count(*) FROM day_context")
    (ahead,) = fort.chunks(ago_s=-600.0)
    (years,) = fort.chunks(ago_s=-3000 * DAY_S)
    (late,) = fort.chunks(ago_s=49 * 3600.0)
    (epoch,) = fort.chunks(ago_s=time.time() - 30 * DAY_S)
    told = send(device, ahead, years, late, epoch)
    assert told == {"accepted": 0, "clock": 2, "too_late": 2}
    assert fort.one("SELECT count(*) FROM day_context") == days
    (lying,) = fort.chunks(trip=f"{fort.city.service_day(time.time() - 3 * DAY_S):%Y%m%d}-00000001")
    assert send(device, lying) == {"accepted": 0, "bad_trip": 1}


def test_a_flood_from_one_device_is_held_back_loses_nothing_and_holds_up_nobody(fort: Fort) -> None:
    flooder, neighbour = fort.enrol("flood-box"), fort.enrol("calm-box")
    flood, calm = fort.chunks(70), fort.chunks(5)
    with Sender(flooder, window=1000, resend_s=1.0) as wild, Sender(neighbour) as mild:
        for payload in flood:
            wild.send(payload)
        for payload in calm:
            mild.send(payload)
        fine = mild.finish(20)
        report = wild.finish(40)
    assert (fine.accepted, fine.refused, fine.resent) == (5, {}, 0), "the neighbour feels nothing"
    assert (report.accepted, report.refused, report.waiting) == (70, {}, 0), "in the end all of it counts"
    assert fort.kept(*flood) == 70
    assert fort.one("SELECT n FROM tally WHERE name = 'refused' AND label = 'too_fast'") > 0
    assert fort.one("SELECT count(*) FROM dead_letter WHERE device = 'flood-box'") == 0, "it was good, only too much"


def test_an_oversize_payload_ends_its_sender_s_session_alone(fort: Fort) -> None:
    large, neighbour = fort.enrol("oversize-box"), fort.enrol("calm-box")
    with session(large) as one, session(neighbour) as other:
        assert one.connected.get(timeout=WAIT_S)
        assert other.connected.get(timeout=WAIT_S)
        one.publish("rhc/v1/oversize-box/chunk", bytes(300_000))
        assert one.ended.wait(WAIT_S)
        assert not other.ended.is_set()
    assert fort.one("SELECT count(*) FROM dead_letter WHERE device = 'oversize-box'") == 0


# ---------------------------------------------------------------- the machine


def test_broker_and_monitor_stay_on_loopback_and_the_monitor_below_a_secret(fort: Fort) -> None:
    folder = open_folder(fort.platform.settings.home)
    ports = folder.ports()
    for name in ("nats", "monitor", "postgres", "chain"):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", ports[name]), timeout=5)
    for path in ("", "connz?subs=1", "varz", "x/connz"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            monitor(f"http://127.0.0.1:{ports['monitor']}", path)
    assert monitor(fort.platform.services.broker.address(ports).monitor_url, "varz")["version"]


def test_files_of_the_data_folder_are_for_their_owner_alone(fort: Fort) -> None:
    home = fort.platform.settings.home
    fort.enrol("file-box")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    kept = [*(home / "secrets").iterdir(), *(home / "devices").rglob("*.json"), *(home / "tls").iterdir()]
    kept += [*(home / "broker").glob("*.*"), *(home / "logs").iterdir()]
    assert len(kept) > 10
    assert not [path for path in kept if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_no_secret_stands_in_a_log_or_in_the_arguments_of_a_process(fort: Fort) -> None:
    device = fort.enrol("log-box")
    fort.phone()
    assert not let_in(Credential(device.device, "box", "x", "wrong-password-01", device.host, device.port, device.ca))
    home = fort.platform.settings.home
    secrets = [path.read_text().strip() for path in (home / "secrets").iterdir()]
    secrets += [device.password, device.client_id, "wrong-password-01"]
    logs = b"".join(path.read_bytes() for path in (home / "logs").iterdir())
    assert not [text for text in secrets if text.encode() in logs]
    until(lambda: fort.platform.services.broker.found() is not None, 5, "the broker runs")
    from ..faults.stream import processes_of  # noqa: PLC0415

    for pid in processes_of(home):
        arguments = (home.__class__("/proc") / str(pid) / "cmdline").read_bytes()
        assert not [text for text in secrets if text.encode() in arguments]


# ---------------------------------------------------------------- guessing


def test_guessing_a_password_over_http_is_slowed_and_locks_nobody_out_at_the_broker(fort: Fort) -> None:
    device = fort.phone()
    told = []
    auth = (device.device, device.password)
    # As a proxy on this machine tells from where it was asked; from anywhere else that would not be believed.
    with fort.http(headers={"X-Forwarded-For": "203.0.113.9"}) as client:
        for number in range(12):
            answer = client.get("/api/v1/me", auth=(device.device, f"guess-{number}"))
            told.append(answer.status_code)
        assert told == [401] * 10 + [429] * 2
        assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/api/v1/me", auth=auth).status_code == 429, "from there, for now, the right one too"
    with fort.http() as client:
        assert client.get("/api/v1/me", auth=auth).status_code == 200, "who was guessed at is not locked out"
    assert let_in(device), "but its session is its own"
    assert not let_in(Credential(device.device, "phone", "x", "guess", device.host, device.port, device.ca))
