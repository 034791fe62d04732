"""The browser's check of witnesses says what Python's says: on signed notes, policies, and what was changed in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ledger import cosign, pair_of, parse_policy, with_cosignatures
from ledger.cosignature import witness_key_of
from ledger.note import Checkpoint, Signer, load_signer

from .fake_city import FakeCity, served
from .visits import running_browser

pytestmark = pytest.mark.browser
PAIRS = {name: pair_of(bytes([n]) * 32) for n, name in enumerate(("police", "water", "gas"), 1)}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with served(FakeCity()) as city, running_browser() as browser:
        page = browser.new_page()
        page.goto(f"{city.url.rstrip('/')}/audit.html")
        yield page


def policy(k: int) -> str:
    lines = [f"witness {name} {witness_key_of(name + '.example', pair).vkey}" for name, pair in PAIRS.items()]
    return "\n".join([*lines, f"group departments {k} {' '.join(PAIRS)}", "quorum departments"])


def note(signer: Signer, who: tuple[str, ...]) -> str:
    said = signer.sign(Checkpoint(signer.name, 7, bytes(32)))
    text = Checkpoint(signer.name, 7, bytes(32)).text()
    return with_cosignatures(said, [cosign(text, f"{name}.example", PAIRS[name], 1_700_000_000) for name in who])


def ask(page: Any, policy_text: str, said: str) -> Any:
    return page.evaluate(
        """async ([policy, note]) => {
          const { readPolicy, witnessed } = await import("./witnesses.js");
          try { return await witnessed(await readPolicy(policy), note); } catch (error) { return error.message; }
        }""",
        [policy_text, said],
    )


def test_k_of_n_and_what_was_changed(page: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    signer = load_signer(tmp_path_factory.mktemp("log") / "log.key", "road.example/log")
    for who in ((), ("police",), ("police", "gas"), ("police", "water", "gas")):
        said = note(signer, who)
        for k in (1, 2, 3):
            found = ask(page, policy(k), said)
            assert found["names"] == list(who) if who else found["names"] == []
            assert found["enough"] == parse_policy(policy(k).encode()).enough(said)
    said = note(signer, ("police",))
    line = said.rstrip("\n").split(" ")[-1]
    assert "does not hold" in ask(page, policy(1), said.replace("\n7\n", "\n8\n"))
    assert "does not hold" in ask(
        page, policy(1), said.replace(line, line[:40] + ("A" if line[40] != "A" else "B") + line[41:])
    )
    for bad in (policy(1).replace("quorum departments", ""), policy(1).replace("police.example+", "polite.example+"),
                policy(1) + "\nquorum gas", policy(1).replace("departments 1", "departments 4")):  # fmt: skip
        assert "policy" in ask(page, bad, said)
    other = witness_key_of("police.example", PAIRS["water"])
    assert ask(page, f"witness police {other.vkey}\nquorum police", said)["enough"] is False
