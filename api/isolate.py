"""One payload of a batch breaks the platform itself: the others must not pay for it. The batch is halved until it
stands alone, and it is refused under our own name; otherwise the broker would bring the whole batch again for ever."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from ingest import Arrived, Verdict


def isolated(
    take: Callable[[list[Arrived]], list[Verdict]], arrived: list[Arrived], broken: dict[tuple[str, bytes], str]
) -> list[Verdict]:
    """What ``take`` gives for the batch, taken in parts where something in it raises. ``broken``: device and payload of
    what does so alone, and what it raised; ``take`` is called once more with it and must refuse it.

    A database that is away or full, a deadlock and the like are no payload's fault: those errors come through.
    """
    why: Exception
    try:
        return take(arrived)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        why = error
    except (psycopg.Error, OSError):
        raise
    except Exception as error:
        why = error
    if len(arrived) > 1:
        middle = len(arrived) // 2
        return isolated(take, arrived[:middle], broken) + isolated(take, arrived[middle:], broken)
    (one,) = arrived
    if (one.device, one.payload) in broken:
        raise why
    broken[one.device, one.payload] = f"{type(why).__name__}: {why}"
    return isolated(take, arrived, broken)
