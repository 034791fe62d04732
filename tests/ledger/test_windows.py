"""The contract's rights against a model of them in Python: any grants, ends and pauses by anybody, the same verdicts.

`make test` plays a few short lives; MACHINE=60 (examples) plays long ones.
"""

import os
import shutil
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from .test_contract import ADMIN, ANCHORER, PAUSER, Ledger

EXAMPLES = int(os.environ.get("MACHINE", "0"))
FOREVER = 2**64 - 1
WHO = st.sampled_from(["admin", "anchorer", "other"])
ROLE = st.sampled_from([0, 1, 1, 1, 2, 3, 4, 5])
# Around now, so that windows begin, overlap, end and are refused; 0 has a meaning of its own. Not a second or two from
# now: the embedded node answers calls as of a second after the block in which the transaction is then mined.
WHEN = st.sampled_from([0, -100, -60, 60, 600, 5_000, FOREVER, FOREVER + 1])


class Windows(RuleBasedStateMachine):
    """Rights that come, overlap, end and are withdrawn."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        home = self.folder / "one"
        shutil.rmtree(home, ignore_errors=True)
        self.ledger = Ledger(home)
        at = int(self.ledger.now)
        self.entries: dict[tuple[int, str], list[tuple[int, int, int]]] = {(ADMIN, "admin"): [(at, FOREVER, at)]}
        self.paused = False

    def holds(self, role: int, who: str, at: int) -> bool:
        """By the last entry, whenever it was made."""
        entries = self.entries.get((role, who))
        return bool(entries) and entries[-1][0] <= at < entries[-1][1]

    def lasting(self) -> set[str]:
        return {who for (role, who), e in self.entries.items() if role == ADMIN and e[-1][1] == FOREVER}

    def moment(self) -> int:
        """The time of the block to come."""
        head = self.ledger.chain.block(None)
        assert head is not None
        return max(int(self.ledger.now), head.header.timestamp + 1)

    def send(self, sender: str, name: str, *values: object) -> str:
        """The reason of a refusal, or nothing."""
        try:
            self.ledger.call(sender, name, *values)
        except ValueError as error:
            return str(error).removeprefix("execution reverted: ")
        self.ledger.send(sender, name, *values)
        return ""

    @rule(sender=WHO, role=ROLE, who=WHO, start=WHEN, end=WHEN)
    def grant(self, sender: str, role: int, who: str, start: int, end: int) -> None:
        now = self.moment()
        begin, until = (x if x in (0, FOREVER, FOREVER + 1) else now + x for x in (start, end))
        if begin > FOREVER or until > FOREVER:
            begin = min(begin, FOREVER)
        first, last = begin or now, until or FOREVER
        lasting, others = last == FOREVER, self.lasting() - {who}
        if not self.holds(ADMIN, sender, now):
            reason = "not admin"
        elif not ADMIN <= role <= PAUSER:
            reason = "unknown role"
        elif first < now:
            reason = "back-dated"
        elif not first < last <= FOREVER:
            reason = "empty window"
        elif role == ADMIN and lasting and first != now:
            reason = "a lasting admin begins now"
        elif role == ADMIN and not lasting and who in self.lasting() and not others:
            reason = "last admin"
        else:
            reason = ""
            self.entries.setdefault((role, who), []).append((first, last, now))
        assert self.send(sender, "grant", role, self.ledger.address_of(who), begin, until) == reason

    @rule(sender=WHO, role=ROLE, who=WHO)
    def revoke(self, sender: str, role: int, who: str) -> None:
        now = self.moment()
        if not self.holds(ADMIN, sender, now):
            reason = "not admin"
        elif (role, who) not in self.entries:
            reason = "nothing to revoke"
        elif role == ADMIN and self.lasting() == {who}:
            reason = "last admin"
        else:
            reason = ""
            self.entries[role, who].append((0, 0, now))
        assert self.send(sender, "revoke", role, self.ledger.address_of(who)) == reason

    @rule(sender=WHO, pause=st.booleans())
    def pause(self, sender: str, pause: bool) -> None:
        now = self.moment()
        may = self.holds(ADMIN, sender, now) or (pause and self.holds(PAUSER, sender, now))
        reason = "" if may else "not pauser" if pause else "not admin"
        assert self.send(sender, "pause" if pause else "unpause") == reason
        self.paused = pause if may else self.paused

    @rule(who=WHO)
    def anchor(self, who: str) -> None:
        now = self.moment()
        reason = "paused" if self.paused else "" if self.holds(ANCHORER, who, now) else "not anchorer"
        seq = self.ledger.call(who, "count")[0]
        values = (bytes(32), b"r" * 32, 1, [])
        assert self.send(who, "anchor", *values) == reason
        assert self.ledger.call(who, "count")[0] == (1 if not reason else seq)

    @rule(seconds=st.sampled_from([1, 59, 61, 700, 6_000]))
    def wait(self, seconds: int) -> None:
        self.ledger.now += seconds

    @rule(role=ROLE, who=WHO, back=st.integers(-100, 3_000))
    def look_back(self, role: int, who: str, back: int) -> None:
        time = max(0, self.moment() - back)
        entries = self.entries.get((role, who), [])
        known = [e for e in entries if e[2] <= time]
        had = bool(known) and known[-1][0] <= time < known[-1][1]
        address = self.ledger.address_of(who)
        assert self.ledger.call("other", "had_role", role, address, time) == (had,)
        assert self.ledger.call("other", "has_role", role, address) == (self.holds(role, who, self.moment()),)
        assert self.ledger.call("other", "windows_of", role, address) == (len(entries),)

    def teardown(self) -> None:
        try:
            assert self.ledger.call("other", "lasting_admins") == (len(self.lasting()),)
            assert self.lasting()  # whatever they tried, somebody can still decide
        finally:
            self.ledger.chain.close()


def test_rights_are_those_of_the_model(tmp_path: Path) -> None:
    machine = type("Machine", (Windows,), {"folder": tmp_path})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=EXAMPLES or 5, stateful_step_count=80 if EXAMPLES else 25, deadline=None, database=None,
            derandomize=not EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
