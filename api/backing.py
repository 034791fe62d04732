"""Who stands behind a proof, and what that is worth: said of the chain and of the witnesses, never of one for both."""

from __future__ import annotations

from typing import Final, Protocol

from ledger import AnchorRefused, Chain, ChainAway, Step, WrongContract

EMBEDDED_CHAIN: Final = 860531
"""The number that the chain which comes with the platform gives itself (`ledger.evm.CHAIN_ID`, which would load all of
py-evm). A test holds both together: a chain of one operator must never be taken for one of several."""

CHAIN_WORDS: Final = {
    "embedded": "The built-in chain has one operator, and one operator's chain is no evidence against that operator: "
    "who runs it can make it anew. It finds damage and helps who kept an earlier head.",
    "outside": "The chain is run outside this instance. It is evidence against this operator as far as others run it: "
    "a consortium's validators, not one company's.",
    "none": "No chain was asked.",
}
WITNESS_WORDS: Final = {
    "none": "No witnesses are named: the operator alone stands for the log's history, and could show others another.",
    "waiting": "Too few of the named witnesses have signed this yet; until they do, the operator alone stands for it.",
    "enough": "Enough of the named witnesses signed this history. Another one could get as many signatures only if "
    "witnesses who signed this one sign against themselves. That is evidence also against the operator.",
    "broken": "What stands there in the name of a witness does NOT hold.",
}


class Backed(Protocol):
    """What is asked: the chain where there is one."""

    @property
    def chain(self) -> Chain | None:
        """The chain."""


def trust_of(steps: list[Step], ledger: Backed) -> dict[str, str]:
    """`chain`: embedded, outside or none (or it does not answer); `witnesses`: none, waiting, enough or broken."""
    asked = [s for s in steps if s.name.endswith("witnesses")]
    wanted = [s for s in asked if s.wanted]
    if any(s.ok is False for s in wanted):
        word = "broken"
    elif not wanted:
        word = "none"
    else:
        word = "enough" if all(s.ok for s in wanted) else "waiting"
    return {"chain": _chain(ledger.chain), "witnesses": word}


def _chain(chain: Chain | None) -> str:
    if chain is None:
        return "none"
    try:
        return "embedded" if chain.chain_id == EMBEDDED_CHAIN else "outside"
    except (ChainAway, AnchorRefused, WrongContract):
        return "none"


def trust_words(trust: dict[str, str]) -> list[str]:
    """The same as sentences."""
    return [CHAIN_WORDS[trust["chain"]], WITNESS_WORDS[trust["witnesses"]]]
