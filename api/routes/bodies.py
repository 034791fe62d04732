"""Bodies of requests, read no further than they may be long."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from .devices import NotAllowed

Model = TypeVar("Model", bound=BaseModel)


async def read_bytes(request: Request, most: int, kinds: tuple[str, ...]) -> bytes:
    """The body, of one of these content types. A page elsewhere can send none of them without asking the browser's
    leave, so they name no plain text and no form. Raises NotAllowed."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in kinds:
        name = "not_json" if kinds == ("application/json",) else "not_a_photo"
        raise NotAllowed(415, name, f"send {' or '.join(kinds)}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise NotAllowed(413, "too_large", f"at most {most} bytes")
    return bytes(body)


async def read_json(request: Request, model: type[Model], most: int = 4096) -> Model:
    """The body as a model. Raises NotAllowed."""
    body = await read_bytes(request, most, ("application/json",))
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise NotAllowed(422, "bad_request", f"{where}: {first['msg']}") from None
