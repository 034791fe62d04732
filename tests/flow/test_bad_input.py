"""Bad input over real MQTT, beside good input: named in the verdict, buried, counted, and the flow goes on."""

from __future__ import annotations

import hashlib
import json
import queue
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cbor2
import httpx
import numpy as np
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from api import wiring
from api.recount import recount
from ingest import MAX_BYTES, Credential, Sender, encode
from sensors_sim import BAD_KINDS

from ..roads import just_driven, straight
from ..street import Street, settled, until


@contextmanager
def session(
    device: Credential, client_id: str, *, clean: bool = True
) -> Iterator[tuple[mqtt.Client, queue.Queue[str]]]:
    """A plain MQTT client with a device's password and any client id; and what happens to it, word by word."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=clean, protocol=mqtt.MQTTv311)
    client.username_pw_set(device.device, device.password)
    news: queue.Queue[str] = queue.Queue()
    client.on_connect = lambda _c, _u, _f, code, _p: news.put("refused" if code.is_failure else "in")
    client.on_disconnect = lambda *_: news.put("out")
    client.connect(device.host, device.port)
    client.loop_start()
    try:
        yield client, news
    finally:
        client.disconnect()
        client.loop_stop()


def good(street: Street, n: int, trip: str) -> list[bytes]:
    return just_driven(street.city, n, tail=trip, north_m=2500.0)


def metric(street: Street, name: str) -> float:
    text = httpx.get(f"{street.url}/metrics", timeout=30).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def consistent(street: Street) -> bool:
    """Nothing lost and nothing doubled on the platform that all tests share."""
    until(lambda: settled(street.platform), 60, "everything folded, recorded and anchored")
    with street.connect() as conn:
        return recount(conn, street.city, wiring.EVIDENCE).exact


def hostile(street: Street) -> dict[bytes, str]:
    """Payloads that are wrong in every way that has a name, with the name."""
    chunk = straight(street.city, start_s=time.time() - 60)
    payload = encode(chunk)
    tree = cbor2.loads(payload)
    rng = np.random.default_rng(5)
    made = {
        make(payload, f"{chunk.trip[:8]}-{n:08x}", rng): str(reason)
        for n, (make, reason, _) in enumerate(BAD_KINDS.values(), start=0xBAD0)
    }
    changes: list[tuple[dict[str, object], str]] = [
        ({"v": 10**5000}, "malformed"),
        ({"trip": "20260101-00000000"}, "bad_trip"),
        ({"trip": "../../etc/passwd"}, "bad_trip"),
        ({"seq": -1}, "out_of_range"),
        ({"rate": float("nan")}, "not_finite"),
        ({"start": float("inf")}, "not_finite"),
        ({"acc": cbor2.CBORTag(40, [[3, 3], cbor2.CBORTag(77, bytes(10))])}, "wrong_length"),
        ({"datum": "unknown"}, "unknown_datum"),
        ({"origin": "live"}, "origin_not_taken"),
        ({"surprise": 1}, "unknown_field"),
        ({"rate": 20.0}, "rate_too_low"),
    ]
    made |= {cbor2.dumps({**tree, **change}): reason for change, reason in changes}
    del tree["fixes"]
    made[cbor2.dumps(tree)] = "missing_field"
    # A list that holds itself, and one of 2**40 lists by reference.
    made[b"\xa1\x61v\xd8\x1c\x81\xd8\x1d\x00"] = "malformed"
    references = b"".join(b"\xd8\x1d" + cbor2.dumps(n) for n in range(40, 0, -1))
    made[b"\xa1\x61v" + b"\xd8\x1c\x82" * 40 + b"\xd8\x1c\x80" + references] = "malformed"
    return made


def test_every_kind_of_bad_payload_is_named_buried_and_counted_while_good_ones_pass(street: Street) -> None:
    _, (villain, neighbour) = street.platform.enrol([("bad-box", "box"), ("good-box", "box")], "bad")
    bad = hostile(street)
    sent = good(street, 12, "0000600d")
    before = {reason: metric(street, f'roadcode_refused_total{{reason="{reason}"}}') for reason in set(bad.values())}
    with Sender(villain) as vile, Sender(neighbour) as nice:
        for i, payload in enumerate(bad):
            vile.send(payload)
            nice.send(sent[i % len(sent)])
        report, fine = vile.finish(30), nice.finish(30)
    assert report.waiting == fine.waiting == 0
    assert report.refused == Counter(bad.values())
    assert report.accepted == 0
    assert (fine.accepted >= len(sent), fine.refused) == (True, {})
    with street.connect() as conn:
        rows = conn.execute("SELECT sha256, reason, bytes FROM dead_letter WHERE device = 'bad-box'").fetchall()
    assert {(bytes(sha), reason, n) for sha, reason, n in rows} == {
        (hashlib.sha256(payload).digest(), reason, len(payload)) for payload, reason in bad.items()
    }
    for reason, n in Counter(bad.values()).items():
        assert metric(street, f'roadcode_refused_total{{reason="{reason}"}}') == before[reason] + n
    assert httpx.get(f"{street.url}/healthz", timeout=30).status_code == 200
    assert consistent(street)


def test_an_oversize_payload_is_refused_by_the_broker_counted_and_felt_by_nobody_else(street: Street) -> None:
    _, (large, neighbour) = street.platform.enrol([("large-box", "box"), ("good-box", "box")], "bad")
    before = metric(street, "roadcode_oversize_total")
    sent = good(street, 4, "0000a11e")
    with Sender(neighbour) as nice, session(large, "large") as (client, news):
        assert news.get(timeout=10) == "in"
        nice.send(sent[0])
        client.publish(f"rhc/v1/{large.device}/chunk", bytes(MAX_BYTES + 4096), qos=1)
        assert news.get(timeout=10) == "out"
        client.disconnect()
        for payload in sent[1:]:
            nice.send(payload)
        report = nice.finish(30)
    assert (report.accepted, report.resent, report.waiting) == (4, 0, 0)
    until(lambda: metric(street, "roadcode_oversize_total") > before, 10, "the payload is counted")
    with street.connect() as conn:
        row = conn.execute("SELECT count(*) FROM dead_letter WHERE device = 'large-box'").fetchone()
    assert row == (0,), "the broker threw it away: nobody has read it"
    assert consistent(street)


def forged_verdict(payload: bytes) -> str:
    """Says that a payload was refused."""
    refused = [[None, "internal", hashlib.sha256(payload).hexdigest()]]
    return json.dumps({"v": 1, "trip": None, "accepted": [], "refused": refused})


def noted(theirs: Any, lost: list[str]) -> Callable[..., None]:
    """What a client calls when its session ends, and a note of it."""

    def ended(*args: Any) -> None:
        lost.append("out")
        theirs(*args)

    return ended


def test_a_device_that_takes_every_client_id_it_can_know_harms_nobody(street: Street) -> None:
    """It knows names: of devices, of the platform's parts, its own. It does not know client ids, which are random."""
    names = [("victim-box-1", "box"), ("victim-box-2", "box"), ("thief-box", "box")]
    _, (one, two, thief) = street.platform.enrol(names, "bad")
    ids = ["", thief.device, one.device, two.device, "sim-box-1", "worker", "backend", "road", "roadcode", "$MQTT_msgs",
           "$MQTT_sess", "JS", "admin", "nats", f"rhc/v1/{one.device}/chunk"]  # fmt: skip
    sent = good(street, len(ids), "0007411e")
    lost: list[str] = []
    with Sender(one) as first, Sender(two) as second:
        for sender in (first, second):
            sender._client.on_disconnect = noted(sender._client.on_disconnect, lost)
        for client_id, payload in zip(ids, sent, strict=True):
            first.send(payload)
            for clean in (True, False) if client_id else (True,):
                with session(thief, client_id, clean=clean) as (client, news):
                    if news.get(timeout=10) == "in":
                        client.publish(f"rhc/v1/{one.device}/chunk", b"forged", qos=1)
                        client.publish(f"rhc/v1/{one.device}/verdict", forged_verdict(payload), qos=0)
                        for topic in (f"rhc/v1/{one.device}/verdict", "rhc/#", "#", "$MQTT/#"):
                            client.subscribe(topic, qos=1)
            second.send(payload)
        reports = [sender.finish(30) for sender in (first, second)]
        ended = list(lost)
    assert [(r.accepted, r.refused, r.waiting) for r in reports] == [(len(ids), {}, 0)] * 2
    assert sum(r.resent for r in reports) == 0
    assert ended == [], "a legitimate session ended while it lasted"
    with street.connect() as conn:
        row = conn.execute("SELECT count(*) FROM dead_letter WHERE device LIKE 'victim-box-%'").fetchone()
    assert row == (0,), "something forged came through"
    assert consistent(street)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_payload_with_retain_set_or_without_acknowledgement_counts_once_or_not_at_all(
    street: Street, qos: int
) -> None:
    _, (device,) = street.platform.enrol([("odd-box", "box")], "bad")
    (payload,) = good(street, 1, f"0dd0000{qos}")

    def kept() -> int:
        with street.connect() as conn:
            row = conn.execute("SELECT count(*) FROM chunk WHERE raw = %s", (payload,)).fetchone()
        return int(row[0]) if row else 0

    with session(device, device.client_id) as (client, news):
        assert news.get(timeout=10) == "in"
        for _ in range(3):
            client.publish(f"rhc/v1/{device.device}/chunk", payload, qos=qos, retain=True)
        if qos:
            until(lambda: kept() == 1, 20, "the chunk is stored")
    with Sender(device) as sender:
        sender.send(payload)
        assert sender.finish(20).accepted == 1
    assert kept() == 1
    assert consistent(street)
