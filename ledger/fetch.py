"""HTTP as log and witnesses speak it to each other: bounded answers, bounded time, no redirects."""

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

MAX_ANSWER: Final = 65536
"""Bytes. A full tile has 8,192, a checkpoint with all its cosignatures 16,384 characters; more is not read."""


class Away(ConnectionError):
    """Nobody answers there, not in time, or not as agreed; the text says who and how. Later it may be different."""


@dataclass(frozen=True)
class Answer:
    """What came back, whatever the status."""

    status: int
    kind: str
    body: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A witness that is told one address does not let itself be sent to another."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


def fetch(url: str, timeout_s: float, body: bytes | None = None) -> Answer:
    """GET, or POST where there is a body. Raises Away."""
    if not url.startswith(("http://", "https://")):
        raise Away(f"{url} is no http or https address")
    kind = {"Content-Type": "text/plain; charset=utf-8"} if body is not None else {}
    try:
        request = urllib.request.Request(url, data=body, headers=kind)  # noqa: S310 - http and https alone, see above
        with urllib.request.build_opener(_NoRedirect()).open(request, timeout=timeout_s) as answer:
            return _read(answer, int(answer.status))
    except urllib.error.HTTPError as error:
        with error:
            return _read(error, error.code)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Away(f"{url} does not answer: {type(error).__name__}: {error}") from error


def _read(answer: Any, status: int) -> Answer:
    body = answer.read(MAX_ANSWER + 1)
    if len(body) > MAX_ANSWER:
        raise Away(f"{answer.url} answers with more than {MAX_ANSWER} bytes")
    return Answer(status, str(answer.headers.get("Content-Type", "")).partition(";")[0].strip(), body)
