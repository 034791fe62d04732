"""What one device can make a real Mosquitto keep in its memory, under the options that we write for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from ingest import Arrived, Verdict, mosquitto

from ..mosquitto import Mosquitto, mosquitto_with, needs_mosquitto
from ..street import until
from .test_mqtt import DEVICES, Device, Taken, Worker, numbers


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto_with(tmp_path / "mosquitto", DEVICES) as started:
        yield started


@needs_mosquitto
def test_verdicts_for_a_device_that_is_away_do_not_stay_in_the_broker(broker: Mosquitto) -> None:
    """One device that subscribes, leaves its session behind and keeps sending would fill the broker's memory."""
    kept: list[bytes] = []

    def come_and_go() -> None:
        away = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="box-1", clean_session=False)
        away.username_pw_set("box-1", broker.passwords["box-1"])
        granted = threading.Event()
        away.on_connect = lambda *_: away.subscribe("rhc/v1/box-1/verdict", 1)
        away.on_subscribe = lambda *_: granted.set()
        away.on_message = lambda _c, _d, message: kept.append(message.payload)
        away.connect("127.0.0.1", broker.port)
        away.loop_start()
        assert granted.wait(10)  # what waited for it came before this
        away.disconnect()
        away.loop_stop()

    come_and_go()
    sent = numbers(0, 60)
    told: list[bytes] = []

    def handle(arrived: list[Arrived]) -> list[Verdict]:
        told.extend(a.payload for a in arrived)
        return [Verdict(name, a.payload) for a in arrived for name in ("box-1", "box-2")]

    with Worker(broker.url, handle) as worker, Device(broker, "box-2") as other:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        for payload in sent:
            other.publish("rhc/v1/box-2/chunk", payload)
        until(lambda: len(other.verdicts) == len(sent), 10, "who is there gets every verdict")
        assert other.verdicts == told
    come_and_go()
    assert len(kept) <= 1, "at most the one that tells us whether we may write verdicts"


@needs_mosquitto
def test_what_waits_for_a_worker_that_is_away_is_bounded_by_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "QUEUED_BYTES", 2_000_000)
    monkeypatch.setattr(mosquitto, "INFLIGHT", 4)
    large, take = os.urandom(200_000), Taken()
    with mosquitto_with(tmp_path / "mosquitto", DEVICES) as small:
        with Worker(small.url, take) as worker:
            until(lambda: worker.well > 0, 10, "it has a session")
        with Device(small, "box-1") as box:
            for _ in range(40):
                box.publish("rhc/v1/box-1/chunk", large)
        with Worker(small.url, take), Device(small, "box-1") as box:
            # Dropped, too, while all of it still waits: sent until it comes.
            until(lambda: box.publish("rhc/v1/box-1/chunk", b"last") and b"last" in take.all, 20, "what waited came")
        waited = take.all.count(large)
        assert 8 <= waited <= 10 + 4 + 1, "as many bytes as it says, and what is on its way"


@needs_mosquitto
def test_who_publishes_at_qos_2_is_disconnected_and_nothing_of_it_is_kept(broker: Mosquitto) -> None:
    take, ended = Taken(), threading.Event()
    with Worker(broker.url, take) as worker:
        until(lambda: worker.well > 0, 10, "the worker is let in")
        with Device(broker, "box-1", version=4) as box:
            box.client.on_disconnect = lambda *_: ended.set()
            box.client.publish("rhc/v1/box-1/chunk", b"never finished", qos=2)
            assert ended.wait(10)
        with Device(broker, "box-2") as other:
            other.publish("rhc/v1/box-2/chunk", b"good")
            until(lambda: b"good" in take.all, 10, "others are served")
        assert take.all == [b"good"]
