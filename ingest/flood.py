"""How much is too much: token buckets, in bounded memory. Pure: the time is an argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

_TOKEN_BYTES = 65_536


@dataclass(frozen=True)
class Budget:
    """burst: tokens a full bucket holds. per_s: tokens that come back each second."""

    burst: float
    per_s: float

    def __post_init__(self) -> None:
        if not (self.burst >= 1 and self.per_s > 0):
            raise ValueError("a budget needs a burst of at least one token, and some that come back")


def cost_of(size: int) -> float:
    """Tokens that a payload of so many bytes costs: one, or one for each 64 KiB.

    A 5 s chunk of a box with six axes is 10 to 13 kB at 100 Hz, and 20 to 60 kB at 200 Hz with a laser. With a larger
    unit the biggest payloads (256 KiB) would fill a disk four times as fast as honest ones; with a smaller one an
    honest box would be charged more than once for a chunk.
    """
    return max(1.0, size / _TOKEN_BYTES)


class Buckets:
    """One bucket a name. Not for several threads at once.

    most: names that are remembered. A new name beyond that takes the place of the one that was quiet longest, which
    may come back with a full bucket: so `most` belongs well above the number of honest names, and where names are
    free to invent (addresses) a budget for all of them together stands behind.
    """

    def __init__(self, budget: Budget, most: int = 200_000) -> None:
        self._budget = budget
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def _tokens(self, name: str, now_s: float) -> float:
        tokens, then_s = self._left.get(name, (self._budget.burst, now_s))
        # A clock that is set back gives nothing and takes nothing.
        return min(self._budget.burst, tokens + max(0.0, now_s - then_s) * self._budget.per_s)

    def wait_s(self, name: str, now_s: float, cost: float = 1.0) -> float:
        """How long until ``cost`` tokens are there; 0 where they are there now. Takes nothing."""
        lacking = min(cost, self._budget.burst) - self._tokens(name, now_s)
        return max(0.0, lacking / self._budget.per_s)

    def take(self, name: str, now_s: float, cost: float = 1.0) -> bool:
        """Takes ``cost`` tokens if they are there. A cost above the burst is charged as the burst: it must be possible
        to pay it."""
        cost = min(cost, self._budget.burst)
        tokens = self._tokens(name, now_s)
        paid = tokens >= cost
        self._left[name] = (tokens - cost if paid else tokens, now_s)
        self._left.move_to_end(name)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return paid

    def give_back(self, name: str, now_s: float, cost: float = 1.0) -> None:
        """Returns what `take` took: nothing came of it, and the same will be asked for again."""
        tokens = self._tokens(name, now_s) + min(cost, self._budget.burst)
        self._left[name] = (min(self._budget.burst, tokens), now_s)
