"""Asking a hub for its lists over HTTP: bounded in time and bytes, and believed in nothing, since lists are signed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request

from ledger import opener_within

MOST_BYTES = 1 << 20
"""Of an answer: as many as a signed document may have."""
_ANSWER_S = 5.0
_ALL_S = 30.0
_TOO_LONG = f"takes longer than {_ALL_S:.0f} s"


class NotUpdated(RuntimeError):
    """No newer list could be taken; the text says why. What is held stays in force until it expires."""


@dataclass(frozen=True)
class Answer:
    """What a hub answered: None where nothing is newer than the tag it was asked with."""

    data: bytes | None


Ask = Callable[[str, str], Answer]
"""(path, SHA-256 of what is known or "") -> answer. Raises NotUpdated."""


class _Straight(HTTPRedirectHandler):
    """A hub that sends elsewhere is not asked there: its address is the operator's to change."""

    def redirect_request(self, *_given: Any, **_named: Any) -> NoReturn:
        """Refused."""
        raise NotUpdated("the hub sends to another address: set ROADCODE_HUB_URL to where it is now")


def over_http(url: str, clock: Callable[[], float] = time.monotonic) -> Ask:
    """Asks a hub at `url`; all questions together may take half a minute, an answer has at most a megabyte."""
    end_s = clock() + _ALL_S

    def ask(path: str, known: str) -> Answer:
        if clock() > end_s:
            raise NotUpdated(f"the hub {_TOO_LONG}: what was fetched is not kept, try again")
        headers = {"If-None-Match": f'"{known}"'} if known else {}
        # The folder of lists is locked meanwhile: a hub that sends a header byte by byte must not hold it for days.
        with opener_within(end_s - clock(), _Straight()) as (opener, line):
            try:
                with opener.open(Request(url.rstrip("/") + path, headers=headers), timeout=_ANSWER_S) as answer:  # noqa: S310  (the setting allows http and https alone)
                    data = answer.read(MOST_BYTES + 1)
            except HTTPError as error:
                error.close()
                if error.code == 304:
                    return Answer(None)
                raise NotUpdated(f"the hub answers {error.code} to {path}: is ROADCODE_HUB_URL a hub's?") from None
            except (URLError, OSError, HTTPException) as error:
                why = _TOO_LONG if line.cut_off else getattr(error, "reason", error)
                raise NotUpdated(f"the hub at {url} does not answer ({why}); the list that is here goes on") from None
            if line.cut_off or clock() > end_s:  # what was cut may look whole
                raise NotUpdated(f"the hub {_TOO_LONG}")
            if len(data) > MOST_BYTES:
                raise NotUpdated("the hub's answer has more than a megabyte")
            return Answer(data)

    return ask
