"""Two districts and a hub: district B reads a code that district A signed, and asks nobody when it reads it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from api import wiring
from api.hub import LIFE_S, Hub, HubError
from api.hub_line import NotUpdated
from api.settings import Settings
from api.trust import Trust
from ledger import (
    DistrictKeys,
    KeyPair,
    NeedsFingerprint,
    StatementError,
    fingerprint,
    issue_certificate,
    read_certificate,
    verify_certificate,
)
from ledger.trust import REASONS

from ..ledger.certificates import SQUARE
from ..street import until

ROOT = Path(__file__).resolve().parents[2]
HOUR, DAY = 3_600, 86_400
NOW = 1_795_500_000.0


@dataclass
class District:
    """One instance's data folder, as its own settings find it."""

    settings: Settings

    @property
    def keys(self) -> DistrictKeys:
        return wiring.district_keys(self.settings)

    @property
    def trust(self) -> Trust:
        return wiring.trust(self.settings)


@dataclass
class Served:
    """A hub as a process of its own, on a port that stays."""

    folder: Path
    port: int
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "hub", "serve", "--folder", str(self.folder), "--port", str(self.port)],
            cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        assert self.process.stderr is not None
        assert "hub at" in self.process.stderr.readline()
        until(self._listens, 30, "the hub listens")

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=10)
            self.process = None


@dataclass
class Union:
    """Districts A and B, and the hub that both know."""

    hub: Hub
    served: Served
    a: District
    b: District


@pytest.fixture
def union(tmp_path: Path) -> Iterator[Union]:
    hub = Hub(tmp_path / "hub")
    hub.init("Union", NOW)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = Served(hub.folder, port)
    city = (ROOT / "city.toml").read_text(encoding="utf-8")
    districts = []
    for code in ("330105", "330106"):
        file = tmp_path / f"{code}.toml"
        file.write_text(re.sub(r'region_code = "\d+"', f'region_code = "{code}"', city), encoding="utf-8")
        settings = Settings(
            home=tmp_path / code, city=file, hub_url=f"http://127.0.0.1:{port}", hub_key=hub.key().public.hex()
        )
        (tmp_path / code).mkdir(mode=0o700)
        districts.append(District(settings))
        join(hub, districts[-1].keys, NOW)
    try:
        served.start()
        yield Union(hub, served, *districts)
    finally:
        served.kill()


def join(hub: Hub, keys: DistrictKeys, now_s: float) -> None:
    """The ceremony: somebody reads the fingerprint aloud, somebody types it in."""
    hub.add(said_by(keys, now_s), now_s, [fingerprint(keys.current(now_s).key)])


def said_by(keys: DistrictKeys, now_s: float) -> bytes:
    keys.current(now_s)  # makes the first
    return keys.statement()


def code(pair: KeyPair, issuer: str, at_s: float) -> str:
    """A road certificate of a red square, as `issuer` signs it for the next twenty hours."""
    day, issued_s = int(at_s) // DAY, int(at_s)
    said = replace(SQUARE, issuer=issuer, issued_s=issued_s, expires_s=issued_s + 20 * HOUR, day=day)
    return issue_certificate(said, pair)


def scan(reader: District, text: str, now_s: float) -> str:
    """What a scanner of `reader` says of a text, by the list that lies in its folder: ok, or why not."""
    held, _ = reader.trust.in_force(now_s)
    verdict = verify_certificate(text, held.trust, int(now_s))
    if verdict.ok:
        return "ok"
    (failed,) = (step for step in verdict.steps if step.name == verdict.failed)
    return next((reason for reason, said in REASONS.items() if said == failed.detail), failed.name)


def test_b_reads_a_code_of_a_without_asking_and_follows_rotation_and_revocation(
    union: Union, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, served, a, b = union.hub, union.served, union.a, union.b
    signed = code(a.keys.current(NOW), "330105", NOW)
    assert scan(b, signed, NOW) == "unknown_key", "before it has asked the hub, B trusts its own keys alone"
    held, news = b.trust.update(NOW)
    assert (held.trust.number, len(news)) == (3, 2)

    # The hub is dead, A has no server at all, and who opens a connection now is found out.
    served.kill()
    later = NOW + 6 * DAY
    with monkeypatch.context() as alone:
        alone.setattr(socket.socket, "connect", _nobody)
        alone.setattr(socket, "getaddrinfo", _nobody)
        assert scan(b, signed, NOW + HOUR) == "ok"
        changed = signed[:-30] + ("A" if signed[-30] != "A" else "B") + signed[-29:]
        assert scan(b, changed, NOW + HOUR) in ("signature", "readable")
        assert scan(b, signed, NOW + 20 * HOUR) == "in time"
        assert scan(b, code(a.keys.current(NOW), "330106", NOW), NOW) == "other_issuer"
        with pytest.raises(NotUpdated, match="does not answer"):
            b.trust.update(later)
        assert scan(b, code(a.keys.current(later), "330105", later), later) == "ok", "a hub away for days stops nobody"
        assert "answered 6.0 days ago" in (b.trust.complaint(later) or "")
        assert scan(b, code(a.keys.current(later), "330105", later + DAY), NOW + LIFE_S) == "list_expired"

    # A plans a new key. The hub names it before it signs, so no code is refused on the day of the change.
    made = a.keys.rotate(NOW + 100, NOW + 2 * DAY)
    hub.add(a.keys.statement(), NOW + 200)
    served.start()
    b.trust.update(NOW + 300)
    at_s = NOW + 2 * DAY
    evening = code(a.keys.current(at_s - HOUR), "330105", at_s - HOUR)
    morning = code(a.keys.current(at_s), "330105", at_s)
    assert read_certificate(morning)[0].kid == made.kid != read_certificate(evening)[0].kid
    assert (scan(b, morning, at_s), scan(b, evening, at_s + 18 * HOUR)) == ("ok", "ok")
    assert scan(b, morning, NOW + DAY) == "not_yet"
    assert scan(b, code(a.keys.current(NOW), "330105", at_s + 3 * DAY), at_s + 3 * DAY) == "ended", "a key kept back"

    # It leaks. B refuses all that it signed after its next update, not before: nothing is asked at a scan.
    a.keys.revoke(made.kid, at_s, "laptop stolen")
    hub.revoke(made.kid, at_s, "their telephone call")
    assert scan(b, morning, at_s) == "ok"
    held, news = b.trust.update(at_s)
    assert f"revoked: key {made.kid.hex()} of 330105" in news
    assert scan(b, morning, at_s) == "revoked"
    assert scan(b, evening, at_s) == "ok", "the key before it still counts"
    hub.add(a.keys.statement(), at_s)  # the key before, which still counts, vouches for the one that goes on
    in_force, _ = b.trust.update(at_s)
    assert scan(b, code(a.keys.current(at_s), "330105", at_s), at_s) == "ok"

    # A hub whose disk was set back to an earlier day.
    for number in range(2, hub.public.newest() + 1):
        (hub.public.folder / "lists" / f"{number:08d}.cose").unlink()
    with pytest.raises(NotUpdated, match="rollback"):
        b.trust.update(at_s)
    assert b.trust.in_force(at_s)[0].data == in_force.data, "what was refused has changed nothing"


def _nobody(*_: object) -> None:
    raise OSError("a scan must not ask anybody")


def test_one_district_cannot_enter_keys_for_another_nor_a_stranger_for_any(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "hub")
    hub.init("Union", NOW)
    a, b, stranger = (DistrictKeys(tmp_path / n, c) for n, c in (("a", "330105"), ("b", "330106"), ("s", "330105")))
    for keys in (a, b):
        join(hub, keys, NOW)
    before = hub.newest().trust.keys
    with pytest.raises(NeedsFingerprint):
        hub.add(said_by(stranger, NOW), NOW)
    # B writes A's code into a statement of its own, under its own key.
    as_a = DistrictKeys(tmp_path / "b2", "330105")
    (tmp_path / "b2").mkdir(mode=0o700)
    for path in (tmp_path / "b").iterdir():
        text = path.read_bytes().replace(b'"issuer": "330106"', b'"issuer": "330105"')
        (tmp_path / "b2" / path.name).write_bytes(text)
    as_a.rotate(NOW + 1)
    with pytest.raises(StatementError, match="330106"):
        hub.add(as_a.statement(), NOW + 1)
    with pytest.raises(HubError, match="no district"):
        hub.revoke(stranger.current(NOW).kid, NOW, "not there")
    assert hub.newest().trust.keys == before
