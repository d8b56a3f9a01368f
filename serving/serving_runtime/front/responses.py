"""HTTP responses: a document, an error with its status and headers, and packing for clients that can read it."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from serving_runtime.errors import HandlerStatus, ServingError, Unavailable
from serving_runtime.front import compression
from serving_runtime.front.body import Scope, header
from serving_runtime.front.errors import SlowBody, UnsupportedEncoding, WrongMethod, status_of
from serving_runtime.hosts import Rejection
from serving_runtime.protocol import rest

Header = tuple[bytes, bytes]

JSON: tuple[Header, ...] = ((b"content-type", b"application/json"),)
_CHALLENGE: Header = (b"www-authenticate", b'Bearer realm="marina"')
_VARY: Header = (b"vary", b"accept-encoding")
_LARGE = 64 * 1024  # packing more than this takes long enough to leave the event loop


class Response(NamedTuple):
    status: int
    body: bytes
    headers: tuple[Header, ...] = JSON
    packable: bool = False
    """Whether a client that says so in Accept-Encoding can read it packed.

    Not true for metadata and errors: tritonclient's asyncio client says so with each call, and then does not unpack.
    """


def document(content: object, status: int = 200) -> Response:
    """A JSON document."""
    return Response(status, orjson.dumps(content))


def error_response(error: ServingError) -> Response:
    """`{"error": text, "code": code}` with the error's status and headers."""
    return Response(status_of(error), rest.encode_error(str(error), error.code), (*JSON, *_headers(error)))


def rejection_response(rejection: Rejection) -> Response:
    """For a host that is not ours, a page of another site, or a caller who may not do this."""
    headers = (*JSON, _CHALLENGE) if rejection.status == 401 else JSON
    return Response(rejection.status, rest.encode_error(rejection.detail, rejection.code), headers)


async def packed(scope: Scope, response: Response) -> Response:
    """The response as the client's Accept-Encoding asks for it."""
    status, body, headers, packable = response
    if not packable or len(body) < compression.SMALLEST:
        return response
    encoding = compression.chosen(header(scope, b"accept-encoding"))
    if encoding is None:
        return Response(status, body, (*headers, _VARY))
    if len(body) > _LARGE:
        body = await asyncio.to_thread(compression.packed, body, encoding)
    else:
        body = compression.packed(body, encoding)
    return Response(status, body, (*headers, _VARY, (b"content-encoding", encoding.encode())))


def headers_of(found: Mapping[str, str]) -> tuple[Header, ...]:
    """Headers of a handler, which are printable ASCII."""
    return tuple((name.encode(), value.encode()) for name, value in found.items())


def _headers(error: ServingError) -> Iterable[Header]:
    if isinstance(error, HandlerStatus):
        return headers_of(error.headers)
    if isinstance(error, Unavailable):
        return [(b"retry-after", b"1")]
    if isinstance(error, WrongMethod):
        return [(b"allow", error.allowed.encode())]
    if isinstance(error, UnsupportedEncoding):
        return [(b"accept-encoding", compression.ACCEPTED.encode())]
    if isinstance(error, SlowBody):
        return [(b"connection", b"close")]
    return []
