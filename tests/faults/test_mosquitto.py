"""The same promises on a plain broker: Mosquitto, worker and PostgreSQL killed and frozen in mid-work. Nothing that has
a verdict is lost, nothing counts twice, the evidence is bitwise that of an undisturbed run; what the broker forgets
although it acknowledged it, the devices' resend brings."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from api import wiring
from api.embedded import Process, PumpOptions, Pumps, supervising
from api.embedded.processes import process
from api.migrate import migrate
from api.plain_broker import Listener, tell, write_files
from api.platform import PUMPS, Platform, _free_port, pump_command
from api.recount import recount
from api.settings import Settings
from defects import store as defects_store
from ingest import Credential, Sender, encode
from ingest import store as ingest_store

from ..mosquitto import WORKER, Mosquitto, mosquitto_with, needs_mosquitto
from ..roads import straight
from ..street import until
from .stream import KINDS, Device, codes, evidence, history, open_days_like, undisturbed

pytestmark = needs_mosquitto
ROOT = Path(__file__).resolve().parents[2]
VICTIMS = ("worker", "mosquitto", "postgres")
KILLS = int(os.environ.get("KILLS") or 0)
SEED = int(os.environ.get("KILLS_SEED") or 20261125)
ROUNDS = max(1, KILLS // len(VICTIMS)) if KILLS else 2
A_KILL = 24
FREEZE_S = 10.0 if KILLS else 3.0


class Site:
    """A platform of our own whose broker is a Mosquitto outside."""

    def __init__(self, platform: Platform, broker: Mosquitto) -> None:
        self.platform, self.broker = platform, broker

    def enrol(self, devices: list[tuple[str, str]], group: str) -> list[Credential]:
        """Lets devices in, by the files that the command writes, and tells Mosquitto."""
        _, credentials = self.platform.enrol(devices, group)
        with wiring.database(self.platform.settings) as conn:
            changed, _, without = write_files(
                conn, self.broker.folder, (WORKER, self.broker.password), Listener("127.0.0.1", self.broker.port)
            )
        assert changed
        assert without == []
        tell(self.broker.folder / "pid")
        return credentials

    def look(self) -> list[str]:
        """Brings back what died, the broker too."""
        back = self.platform.look()
        if self.broker.process is None or self.broker.process.poll() is not None:
            self.broker.start()
            back.append("mosquitto")
        return back

    def victim(self, name: str) -> Process | None:
        if name == "mosquitto":
            return process(self.broker.process.pid) if self.broker.process else None
        return {**self.platform.services.running(), **self.platform.pumps.running()}.get(name)

    def well(self) -> bool:
        self.look()
        parts = self.platform.health()
        return bool(parts) and set(parts.values()) == {"ok"}

    def chunks(self) -> int:
        """How many chunks are kept; -1 while the database is away."""
        try:
            with wiring.database(self.platform.settings) as conn:
                row = conn.execute("SELECT count(*) FROM chunk").fetchone()
        except psycopg.Error:
            return -1
        return int(row[0]) if row else -1

    def folded(self) -> bool:
        self.look()
        try:
            with wiring.database(self.platform.settings) as conn:
                return not defects_store.journal_rows(conn)
        except psycopg.Error:
            return False

    def exact(self) -> None:
        """Nothing lost, nothing doubled."""
        until(self.folded, 60, "everything is folded")
        with wiring.database(self.platform.settings) as conn:
            assert recount(conn, self.platform.settings.read_city(), wiring.EVIDENCE).exact

    def drive(self, n: int, north_m: float, first: int = 0) -> list[bytes]:
        """Chunks ``first`` to ``first + n`` of one drive that has just ended."""
        city = self.platform.settings.read_city()
        start_s = time.time() - 5.0 * (first + n) - 30
        return [
            encode(straight(city, seq=seq, start_s=start_s, north_m=north_m, jolts=((8.0, 2.0, 1.0),)))
            for seq in range(first, first + n)
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Database and chain are ours, the broker is not. Dead pumps come back at once: it will have to start many."""
    folder = tmp_path_factory.mktemp("mosquitto")
    with mosquitto_with(folder / "broker", []) as broker:
        given = Settings(
            home=folder / "home", port=0, fold_every_s=0.05, batch_most=8, batch_age_s=0.02,
            keep_every_s=3600,  # as on the stage: drives may lie before 04:00
            broker_url=SecretStr(broker.address),
        )  # fmt: skip
        assert wiring.embedded_names(given) == ("postgres", "chain")
        with supervising(given.home, names=wiring.embedded_names(given)) as services:
            full = wiring.resolved(given, services.services())
            wiring.check_outside(full, given)
            assert (full.mqtt_host, full.mqtt_port) == ("127.0.0.1", broker.port)
            full = full.model_copy(update={"port": _free_port(full.host, 0)})
            with wiring.database(full) as conn:
                migrate(conn)
            options = PumpOptions(first_wait_s=0.1, longest_wait_s=0.5)
            commands = [pump_command(name, full) for name in PUMPS]
            pumps = Pumps(commands, services.folder.logs, options, random.Random(SEED))
            try:
                pumps.start()
                started = Site(Platform(full, services, pumps), broker)
                until(started.well, 60, "everything runs")
                yield started
            finally:
                pumps.stop()


def test_kill_9_in_mid_work_loses_nothing_and_doubles_nothing(site: Site, database: str, tmp_path: Path) -> None:
    city = site.platform.settings.read_city()
    rng = random.Random(SEED)
    order = [name for _ in range(ROUNDS) for name in rng.sample(VICTIMS, len(VICTIMS))]
    sys.stdout.write(f"seed {SEED}, kills in this order: {' '.join(order)}\n")
    now_s = time.time()
    sent = history(city, now_s, passes=math.ceil((len(order) + 1) * A_KILL / 100))
    share = len(sent) // (len(order) + 1) // len(KINDS)
    mine = {name: [a.payload for a in sent if a.device == name] for name in KINDS}
    devices = [Device(c, mine[c.device]) for c in site.enrol(list(KINDS.items()), "kill")]
    for device in devices:
        device.start()
    dead: set[Process] = set()
    restarted: list[str] = []

    def at_work(name: str, more_than: int = -1) -> bool:
        restarted.extend(site.look())
        return site.victim(name) not in {None, *dead} and site.chunks() > more_than

    def all_told() -> bool:
        restarted.extend(site.look())
        return not any(device.is_alive() for device in devices)

    try:
        for name in order:
            until(partial(at_work, name), 60, f"{name} runs, and the database answers")
            before = site.chunks()
            for device in devices:
                device.let(share)
            until(partial(at_work, name, before), 60, f"chunks flow while {name} runs")
            threading.Event().wait(rng.uniform(0, 0.06))
            victim = site.victim(name)
            assert victim is not None
            os.kill(victim.pid, signal.SIGKILL)
            dead.add(victim)
        for device in devices:
            device.let(len(sent))
        until(all_told, 100, "every chunk has its verdict")
    finally:
        for device in devices:
            device.let(len(sent))
    assert [device.error for device in devices] == [None] * len(devices)
    reports = [device.sender.report for device in devices]
    assert [(r.waiting, r.refused) for r in reports] == [(0, {})] * len(devices)
    assert sum(r.accepted for r in reports) == len(sent)
    until(site.folded, 60, "everything is folded")

    with wiring.database(site.platform.settings) as conn:
        kept = {(d, bytes(raw)) for d, raw in conn.execute("SELECT device, raw FROM chunk").fetchall()}
        lost = sum((a.device, a.payload) not in kept for a in sent)
        counted = recount(conn, city, wiring.EVIDENCE)
        repeated = sum(n for name, _, n in ingest_store.tallies(conn) if name == "repeated")
        disturbed, its_codes = evidence(conn), codes(conn)
        with psycopg.connect(database, autocommit=True) as other:
            open_days_like(other, conn)
    with contextlib.closing(undisturbed(database, city, sent, lambda: 50, now_s, fold_between=False)) as quiet:
        same = evidence(quiet) == disturbed
        same_codes = codes(quiet) == its_codes
    figures = {
        "broker": "mosquitto", "seed": SEED, "chunks": len(sent), "kills": dict(Counter(order)),
        "restarts": dict(Counter(restarted)), "resent": sum(r.resent for r in reports), "repeated": repeated,
        "lost": lost, "doubled": counted.doubled, "bitwise_equal": same, "codes_equal": same_codes,
        "longest_verdict_s": round(max(max(r.latency_s) for r in reports), 2),
    }  # fmt: skip
    out = ROOT if KILLS else tmp_path
    (out / "faults-mosquitto.json").write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(json.dumps(figures) + "\n")
    assert (lost, counted.lost, counted.doubled) == (0, 0, 0)
    assert counted.exact
    assert counted.chunks == len(kept) == len(sent)
    assert same, "the evidence differs from that of an undisturbed run"
    assert same_codes, "the codes differ from those of an undisturbed run"


def test_what_mosquitto_acknowledged_and_forgot_is_brought_by_the_devices_resend(site: Site) -> None:
    """It saves its store every 30 s: what came since is gone when it is killed, although it said PUBACK."""
    until(site.well, 60, "everything runs")
    n = 60
    credential, marker = site.enrol([("forget-box", "box"), ("marker-box", "box")], "forget")
    before = site.chunks()
    worker = site.victim("worker")
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)  # nobody brings it back for now: chunks wait at the broker
    assert worker.wait_gone(10)
    with Sender(credential, resend_s=3600) as sender:
        for payload in site.drive(n, 2000.0):
            sender.send(payload)
        until(lambda: not sender._client._out_messages, 20, "the broker acknowledged every one")
        assert (site.chunks(), sender.report.waiting) == (before, n)
        site.broker.kill()
        site.broker.start()
        until(lambda: site.look() is not None and site.victim("worker") not in {None, worker}, 60, "a new worker runs")
        # One chunk behind all that the broker still has for the worker: with its verdict the rest is worked on.
        with Sender(marker, resend_s=2.0) as last:
            last.send(site.drive(1, 2100.0)[0])
            assert last.finish(30).accepted == 1
        forgotten = n - (site.chunks() - before - 1)
        sys.stdout.write(f"{forgotten} of {n} acknowledged chunks were forgotten by Mosquitto at a kill\n")
        assert 0 < forgotten <= n
        assert sender.report.waiting == forgotten
        sender._resend_s = 0.5
        report = sender.finish(60)
    assert (report.accepted, report.waiting, report.refused) == (n, 0, {})
    assert site.chunks() == before + n + 1
    site.exact()


def family(pid: int) -> list[int]:
    """A process and its children: PostgreSQL's sessions are processes of their own."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("name", VICTIMS)
def test_what_freezes_and_thaws_goes_on_and_counts_nothing_twice(site: Site, name: str) -> None:
    until(site.well, 60, "everything runs")
    (credential,) = site.enrol([(f"freeze-{name}", "box")], "freeze")
    before = site.chunks()
    device = Device(credential, site.drive(40, 2200.0 + 100 * VICTIMS.index(name)))
    device.start()
    device.let(20)
    until(lambda: device.sender.report.accepted > 4, 30, "chunks flow")
    victim = site.victim(name)
    assert victim is not None
    frozen = family(victim.pid)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        device.let(20)
        threading.Event().wait(FREEZE_S)  # longer than the device's 2 s: it sends again into the frozen
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    until(lambda: not device.is_alive(), 60, "every chunk has its verdict")
    assert device.error is None
    report = device.sender.report
    assert (report.accepted, report.waiting, report.refused) == (40, 0, {})
    assert report.resent > 0
    assert site.chunks() == before + 40
    assert site.victim(name) == victim, "it went on, and was not replaced"
    site.exact()


@pytest.mark.parametrize(("away", "part"), [("postgres", "database"), ("mosquitto", "broker")])
def test_what_is_away_for_a_while_is_named_waited_for_and_used_again(site: Site, away: str, part: str) -> None:
    until(site.well, 60, "everything runs")
    (credential,) = site.enrol([(f"away-{part}", "box")], "away")
    pumps = site.platform.pumps.running()
    with Sender(credential, resend_s=2.0) as sender:
        payloads = site.drive(12, 2600.0 if away == "postgres" else 2700.0)
        for payload in payloads[:4]:
            sender.send(payload)
        assert sender.finish(30).accepted == 4
        # Nobody looks after anything from here on, so that what is away stays away.
        if away == "postgres":
            site.platform.services.postgres.stop()
        else:
            site.broker.end()
        for payload in payloads[4:8]:
            sender.send(payload)
        until(lambda: site.platform.health().get(part, "ok") != "ok", 30, f"/healthz names the {part}")
        answer = httpx.get(f"{site.platform.url}/healthz", timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
        services = {name: said for name, said in answer.json()["parts"].items() if name not in PUMPS}
        assert {name for name, said in services.items() if said != "ok"} == {part}
        if away == "mosquitto":
            until(lambda: "is away" in site.platform.health().get("worker", ""), 30, "the worker says why it waits")
        assert sender.finish(1.5).waiting == 4
        assert site.platform.pumps.running() == pumps, "a pump died of what it should wait for"
        until(site.well, 60, f"/healthz is well again after the {part} came back")
        for payload in payloads[8:]:
            sender.send(payload)
        report = sender.finish(60)
    assert (report.accepted, report.waiting, report.refused) == (12, 0, {})
    assert site.platform.pumps.running() == pumps, "all of them outlived it"
    site.exact()


def test_a_dead_worker_is_named(site: Site) -> None:
    until(site.well, 60, "everything runs")
    worker = site.victim("worker")
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: "no sign of life" in site.platform.health().get("worker", ""), 40, "/healthz names the worker")
    assert site.platform.health()["broker"] == "ok"
    until(site.well, 60, "the next one is well")


def test_a_disabled_device_is_thrown_out_and_a_second_write_changes_nothing(site: Site) -> None:
    until(site.well, 60, "everything runs")
    gone, stays = site.enrol([("gone-box", "box"), ("stays-box", "box")], "gone")
    settings = site.platform.settings
    write: Callable[[psycopg.Connection[object]], tuple[bool, int, list[str]]] = lambda conn: write_files(  # noqa: E731
        conn, site.broker.folder, (WORKER, site.broker.password), Listener("127.0.0.1", site.broker.port)
    )
    with Sender(gone, resend_s=2.0) as leaving, Sender(stays, resend_s=2.0) as staying:
        with wiring.database(settings) as conn:
            assert write(conn)[0] is False
            conn.execute("UPDATE device SET disabled_at = now() WHERE id = 'gone-box'")
            # A rotation that forgot the other hash: the old password must not stay in force.
            conn.execute("UPDATE device SET password_hash = 'rotated' WHERE id = 'marker-box'")
            changed, _, without = write(conn)
        assert changed
        assert without == (["marker-box"] if site.chunks() else [])
        tell(site.broker.folder / "pid")
        until(lambda: not leaving._ready, 10, "the disabled device's session is ended")
        assert staying._ready, "the other's is not"
        staying.send(site.drive(1, 2800.0)[0])
        assert staying.finish(20).accepted == 1
    wrong = replace(gone, client_id="another")
    with pytest.raises(Exception, match="does not let gone-box in"), Sender(wrong):
        pass
