"""What it costs log and witness to be asked by anybody, again and again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.witness_server import witness_app
from ledger import newest_witnessed, pair_of, parse_policy
from ledger import policy as policy_module
from ledger.cosignature import witness_key_of

from .test_witness import world  # noqa: F401 - the fixture
from .witnessed import NOW, World, on_http


def test_a_quorum_that_is_missing_is_not_looked_for_anew_with_every_question(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(3):
        world.grow(1)
        world.asking().turn(print)
    keys = [f"witness {one.name} {one.key.vkey}" for one in world.policy.witnesses]
    absent = f"witness away {witness_key_of('away', pair_of(bytes(32))).vkey}"
    others = parse_policy("\n".join([*keys, absent, "group both all w0 away", "quorum both"]).encode())
    checked: list[str] = []

    def counted(note: str, _keys: Any) -> list[Any]:
        checked.append(note)
        return []

    monkeypatch.setattr(policy_module, "cosignatures_of", counted)
    assert newest_witnessed(world.conn, others) is None
    assert len(checked) >= 3
    checked.clear()
    assert newest_witnessed(world.conn, others) is None
    assert checked == []


def test_strangers_do_not_fill_a_witness_s_disk_with_lines(world: World) -> None:  # noqa: F811
    said: list[str] = []
    note = f"{'x' * 10_000}\n1\n{'A' * 43}=\n\n— x AAAA\n"
    app = witness_app(world.witnesses[0], lambda: NOW, said.append)
    with on_http(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for _ in range(100):
            assert client.post("/add-checkpoint", content=f"old 0\n\n{note}").status_code == 404
    assert len(said) <= 60
    assert max(map(len, said)) < 400
