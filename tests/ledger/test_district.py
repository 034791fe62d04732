"""A district's keys as files: followed, revoked, never half, never shown."""

import json
import threading

import pytest

from ledger.district import DISTRICT_OVERLAP_S, LIFE_S, DistrictKeyError, DistrictKeys, key_state
from ledger.records import parse
from ledger.statement import read_statement
from ledger.trust import Untrusted
from ledger.trust_store import record_keys

DAY = 86_400
NOW = 1_795_500_000


@pytest.fixture
def keys(tmp_path):
    return DistrictKeys(tmp_path / "secrets" / "district", "330105", "Gongshu")


def test_the_first_key_is_made_once_and_is_its_owner_s_alone(keys, tmp_path):
    assert keys.all() == ()
    made = []
    threads = [threading.Thread(target=lambda: made.append(keys.current(NOW).kid)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    (only,) = keys.all()
    assert (only.kid, only.issuer, only.name, only.to_s) == (made[0], "330105", "Gongshu", NOW + LIFE_S)
    folder = tmp_path / "secrets" / "district"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_no_secret_half_is_shown_or_stated(keys, tmp_path):
    pair = keys.current(NOW)
    (secret,) = (tmp_path / "secrets" / "district").glob("*.key")
    seed = secret.read_text().strip()
    assert len(seed) == 64
    said = repr(keys) + repr(pair) + repr(keys.all()) + keys.statement().hex() + repr(keys.steps())
    assert seed not in said
    assert seed not in (tmp_path / "secrets" / "district" / "keys.json").read_text()


def test_a_key_is_followed_and_the_one_before_counts_until_its_codes_have_ended(keys):
    first = keys.current(NOW)
    second = keys.rotate(NOW + DAY)
    assert keys.current(NOW + DAY).kid == second.kid
    before, after = keys.all()
    assert (before.kid, before.to_s) == (first.kid, NOW + DAY + DISTRICT_OVERLAP_S)
    assert (after.from_s, after.to_s) == (NOW + DAY, NOW + DAY + LIFE_S)
    assert before.check("330105", NOW + 2 * DAY).kid == first.kid
    with pytest.raises(Untrusted, match="time is over"):
        before.check("330105", NOW + DAY + DISTRICT_OVERLAP_S)
    assert [s.step for s in keys.steps()] == ["issued", "retired", "issued"]


def test_an_announced_key_signs_from_its_day_on(keys):
    first = keys.current(NOW)
    second = keys.rotate(NOW, NOW + 7 * DAY)
    assert keys.current(NOW + 7 * DAY - 1).kid == first.kid
    assert keys.current(NOW + 7 * DAY).kid == second.kid
    assert [key_state(k, NOW) for k in keys.all()] == ["in force", "announced"]
    with pytest.raises(DistrictKeyError, match="announced already"):
        keys.rotate(NOW + DAY)
    with pytest.raises(DistrictKeyError, match="before it was made"):
        keys.rotate(NOW + 8 * DAY, NOW)


def test_a_revoked_key_ends_at_once_and_another_goes_on(keys, tmp_path):
    leaked = keys.current(NOW)
    gone = keys.revoke(leaked.kid, NOW + 5, "laptop stolen")
    assert gone.revoked_s == NOW + 5
    again = DistrictKeys(tmp_path / "secrets" / "district", "330105")
    assert again.current(NOW + 5).kid != leaked.kid
    with pytest.raises(Untrusted, match="revoked"):
        again.known(leaked.kid)
    assert not (tmp_path / "secrets" / "district" / f"{leaked.kid.hex()}.key").exists()
    said = read_statement(keys.statement())
    assert said.signers == {leaked.kid, again.current(NOW + 5).kid}, "the last thing that the leaked key signs"
    with pytest.raises(DistrictKeyError, match="revoked before"):
        keys.revoke(leaked.kid, NOW + 6, "again")
    with pytest.raises(DistrictKeyError, match="no key"):
        keys.revoke(b"12345678", NOW + 6, "never there")
    with pytest.raises(DistrictKeyError, match="reason"):
        keys.revoke(again.current(NOW + 6).kid, NOW + 6, " ")


def test_a_retired_key_is_not_taken_up_again_when_its_successor_is_revoked(keys):
    first = keys.current(NOW)
    second = keys.rotate(NOW + DAY)
    keys.revoke(second.kid, NOW + DAY + 60, "leaked")
    assert keys.current(NOW + DAY + 60).kid not in (first.kid, second.kid)


def test_when_the_last_key_has_ended_nothing_is_signed_until_it_is_followed(keys):
    keys.current(NOW)
    with pytest.raises(DistrictKeyError, match="roadcode district rotate"):
        keys.current(NOW + LIFE_S)
    made = keys.rotate(NOW + LIFE_S)
    assert keys.current(NOW + LIFE_S).kid == made.kid


def test_documents_that_outlive_their_key_find_it(keys):
    first = keys.current(NOW)
    keys.rotate(NOW + DAY)
    assert keys.known(first.kid).to_s < NOW + 300 * DAY
    with pytest.raises(Untrusted, match="genuine"):
        keys.known(b"12345678")


def test_a_change_that_a_crash_cut_short_changes_nothing(keys, tmp_path, monkeypatch):
    first = keys.current(NOW)
    folder = tmp_path / "secrets" / "district"
    before = (folder / "keys.json").read_bytes()
    put = DistrictKeys._put

    def full(self, name, data):
        if name == "keys.json":
            raise OSError("disk full")
        put(self, name, data)

    monkeypatch.setattr(DistrictKeys, "_put", full)
    with pytest.raises(OSError, match="disk full"):
        keys.rotate(NOW + DAY)
    monkeypatch.undo()
    assert (folder / "keys.json").read_bytes() == before
    assert keys.current(NOW + DAY).kid == first.kid
    keys.rotate(NOW + DAY)
    assert len(list(folder.glob("*.key"))) == 2, "the key of the change that was cut short has gone"


@pytest.mark.parametrize("spoil", ["", "{}", "[1]", '{"issuer": "330105", "number": 1, "keys": [{}], "statement": ""}'])
def test_a_damaged_state_is_named_and_not_begun_anew(keys, tmp_path, spoil):
    keys.current(NOW)
    (tmp_path / "secrets" / "district" / "keys.json").write_text(spoil)
    with pytest.raises(DistrictKeyError, match="backup"):
        keys.current(NOW)
    with pytest.raises(DistrictKeyError, match="backup"):
        keys.rotate(NOW)


def test_a_district_with_a_new_code_does_not_sign_with_the_keys_of_the_old(keys, tmp_path):
    keys.current(NOW)
    with pytest.raises(DistrictKeyError, match="new code makes new keys"):
        DistrictKeys(tmp_path / "secrets" / "district", "330114").current(NOW)


def test_a_lost_or_exchanged_secret_half_is_named(keys, tmp_path):
    pair = keys.current(NOW)
    path = tmp_path / "secrets" / "district" / f"{pair.kid.hex()}.key"
    path.write_text("00" * 32)
    with pytest.raises(DistrictKeyError, match="another key"):
        keys.current(NOW)
    path.unlink()
    with pytest.raises(DistrictKeyError, match="is gone"):
        keys.current(NOW)


def test_each_step_is_told_to_the_log_once_whoever_tells_it(keys, conn):
    keys.current(NOW)
    keys.rotate(NOW + DAY)
    revoked = keys.revoke(keys.current(NOW + DAY).kid, NOW + DAY, "leaked")
    assert record_keys(conn, "330105", keys.steps(), "live") == 5
    assert record_keys(conn, "330105", keys.steps(), "live") == 0
    bodies = [parse(bytes(row[0])) for row in conn.execute("SELECT body FROM outbox ORDER BY id")]
    assert [b["step"] for b in bodies] == [s.step for s in keys.steps()]
    (told,) = (b for b in bodies if b["step"] == "revoked")
    assert (told["kid"], told["why"], told["issuer"]) == (revoked.kid, "leaked", "330105")
    assert told["at_ms"] == (NOW + DAY) * 1000


def test_a_step_whose_transaction_is_rolled_back_is_told_by_the_next(keys, conn):
    keys.current(NOW)
    with conn.transaction(force_rollback=True):
        assert record_keys(conn, "330105", keys.steps(), "live") == 1
    assert record_keys(conn, "330105", keys.steps(), "live") == 1


def test_what_is_kept_is_bounded(keys, tmp_path):
    keys.current(NOW)
    for n in range(1, 70):
        keys.rotate(NOW + n * 30 * DAY)
    assert len(keys.all()) <= 64
    assert json.loads((tmp_path / "secrets" / "district" / "keys.json").read_text())["number"] == 70
    assert keys.current(NOW + 69 * 30 * DAY).kid == keys.all()[-1].kid
