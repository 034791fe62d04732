"""Cosignatures against other people's: a vector of another implementation, and a checkpoint of a public log."""

from base64 import b64decode

import pytest

from ledger.cosignature import Cosignature, cosign, cosignatures_of, with_cosignatures, witness_key
from ledger.keys import PublicKey, pair_of
from ledger.note import MAX_NOTE, NoteError, parse_checkpoint, verify_note

# A vector of the package `note` of github.com/transparency-dev/formats at 4a6d9f9: seed, key, one second's signature.
SEED = b64decode("AQtVKtwJ3/8jkptuMAqKf3j6b8VCl5QBt2g5727o6Ghy")[1:]
VKEY = "wit+8a02ff47+BAfe++5m5B3xn/Y6v0aIaD81QA6knU+YssC0ku5oFQ4H"
TEXT = "origin\n5\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n"
AT_S, SIGNED = 1727964367, (
    "0000000066fea4cf6fe3be19e125d9fdba4fd8a241bec11d82be51effc64b4974978c0ccfc5cc1cb"
    "f54ea6b0378977d13ca90643e9e984b4d34906a95729c476483effd88c727904"
)  # fmt: skip

# What the log arche2025h1.staging.ct.transparency.dev served in May 2026, with five witnesses under it.
PUBLIC = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""  # noqa: E501
PUBLIC_LOG = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
STAGEMOLE = "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv"


def test_another_implementation_signs_the_same_bytes() -> None:
    made = cosign(TEXT, "wit", pair_of(SEED), AT_S)
    assert made.witness.vkey == VKEY
    assert (made.time_s.to_bytes(8, "big") + made.signature).hex() == SIGNED
    assert cosignatures_of(f"{TEXT}\n{made.line}", [witness_key(VKEY)]) == [made]


def test_a_public_log_s_checkpoint_and_two_of_its_witnesses_hold() -> None:
    """The log signs in two ways under one name, and three witnesses are unknown here: all that is passed over."""
    assert verify_note(PUBLIC, PUBLIC_LOG).size == 1432088532
    keys = [witness_key(REMORA), witness_key(STAGEMOLE), witness_key(VKEY)]
    signed = cosignatures_of(PUBLIC, keys)
    assert [(one.witness.name, one.time_s) for one in signed] == [
        ("remora.n621.de", 1779573024), ("witness.stagemole.eu", 1779573024)
    ]  # fmt: skip
    assert all(key.vkey in (REMORA, STAGEMOLE, VKEY) for key in keys)


def test_a_note_full_of_one_witness_s_lines_costs_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, asked = pair_of(SEED), []
    holds = PublicKey.holds

    def counted(key: PublicKey, signature: bytes, message: bytes) -> bool:
        asked.append(key)
        return holds(key, signature, message)

    monkeypatch.setattr(PublicKey, "holds", counted)
    lines = "".join(cosign(TEXT, "wit", pair, AT_S + n).line for n in range(100))
    assert [one.time_s for one in cosignatures_of(f"{TEXT}\n{lines}", [witness_key(VKEY)])] == [AT_S]
    assert len(asked) == 1


@pytest.mark.parametrize("where", ["size", "time", "signature"])
def test_a_cosignature_of_a_known_witness_that_does_not_hold_spoils_the_note(where: str) -> None:
    change = {
        "size": ("1432088532", "1432088533"), "time": ("2net5wAAAABqEi", "2net5wAAAABqEj"),
        "signature": ("PlfF3", "PlfF4"),
    }  # fmt: skip
    bent = PUBLIC.replace(*change[where])
    assert bent != PUBLIC
    with pytest.raises(NoteError, match=r"remora\.n621\.de does not hold"):
        cosignatures_of(bent, [witness_key(REMORA)])
    assert cosignatures_of(bent, [witness_key(VKEY)]) == []


def test_a_log_s_key_is_no_witness_s_and_the_other_way_round() -> None:
    for vkey, reads in ((PUBLIC_LOG, witness_key), (REMORA, lambda v: verify_note(PUBLIC, v))):
        with pytest.raises(NoteError, match="type 0x"):
            reads(vkey)


def test_lines_are_merged_once_and_never_past_what_a_reader_takes() -> None:
    note = "\n".join(PUBLIC.split("\n")[:6]) + "\n"  # the log's own two lines
    signed = cosignatures_of(PUBLIC, [witness_key(REMORA), witness_key(STAGEMOLE)])
    whole = with_cosignatures(with_cosignatures(note, signed), signed)
    assert whole == note + signed[0].line + signed[1].line
    assert parse_checkpoint(whole) == parse_checkpoint(PUBLIC)
    pair = pair_of(bytes(32))
    flood = [cosign(TEXT, f"{'w' * 120}{n}", pair, AT_S) for n in range(100)]
    flooded = with_cosignatures(note, flood)
    assert MAX_NOTE - 300 < len(flooded) <= MAX_NOTE
    assert parse_checkpoint(flooded).size == 1432088532


def test_a_cosignature_s_time_stays_within_its_eight_bytes() -> None:
    for bad in (-1, 1 << 63):
        with pytest.raises(ValueError, match="2\\^63"):
            cosign(TEXT, "wit", pair_of(SEED), bad)
    with pytest.raises(NoteError, match="cannot be a witness"):
        cosign(TEXT, "a witness", pair_of(SEED), 1)
    late = Cosignature(witness_key(VKEY), (1 << 63) - 1, bytes(64))
    assert len(late.line.split(" ")[2]) == 105
