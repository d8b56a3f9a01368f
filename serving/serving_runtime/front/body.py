"""Reads the body of a request as it streams in: bounded in size and time, unpacked on the way."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving_runtime.errors import InvalidRequest
from serving_runtime.front import compression
from serving_runtime.front.errors import BodyTooLarge, SlowBody

BODY_SECONDS = 30.0  # a slower body holds a connection open for nothing

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_LONGEST_NUMBER = 15


class Disconnected(Exception):
    """The client left before its request was complete; there is no one to answer."""


def header(scope: Scope, name: bytes) -> str:
    """A header's value, "" without it; several become one list, as HTTP says. `name` is in lower case."""
    values: list[bytes] = [value for key, value in scope["headers"] if key == name]
    return b", ".join(values).decode("latin-1") if values else ""


def size_header(scope: Scope, name: str) -> int | None:
    """A header whose value is a number of bytes; None without it. Raises InvalidRequest."""
    value = header(scope, name.lower().encode())
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
        raise InvalidRequest(f"{name} must be a number of bytes, it is {value[:40]!r}")
    return int(value)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body, unpacked. Raises ServingError, or Disconnected.

    `limit` in bytes holds for the body as it comes and for what it unpacks to.
    """
    length = size_header(scope, "Content-Length")
    if length is not None and length > limit:
        raise BodyTooLarge(f"the body has {length} bytes, at most {limit} are taken")
    inflater = compression.inflater(header(scope, b"content-encoding"), limit)
    pieces: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                piece = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(piece)
                if size > limit:
                    raise BodyTooLarge(f"the body has more than {limit} bytes")
                pieces.append(piece if inflater is None else inflater.feed(piece))
    except TimeoutError:
        raise SlowBody(f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
    if inflater is not None:
        inflater.finish()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
