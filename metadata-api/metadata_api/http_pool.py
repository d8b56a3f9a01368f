"""Kept HTTP connections to serving processes: the proxy under /v2 and the predictions send everything over them."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Self

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from metadata_api.memory import charge_soon

KEPT_SECONDS = 30.0
READ_BYTES = 64 * 1024
# A response of unknown length is charged in such steps, twice as it is copied at its end.
CHARGED_BYTES = 1024 * 1024
# Up to here a body is copied behind the head, so that both leave with one system call.
SMALL_BYTES = 64 * 1024
TARGETS = 1024
_NO_TIMEOUT = aiohttp.ClientTimeout()


class NoResponse(OSError):
    """The server did not take the request, or closed the connection before its response was complete."""


class ResponseTooLarge(ValueError):
    """The response has more bytes than the caller wants."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it came; its body is not decompressed."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


class _Target(NamedTuple):
    """What is needed of a URL for each request to it."""

    origin: aiohttp.ClientRequest
    """Tells the connector where to connect to; never sent itself."""
    path: str
    host: str


class HttpPool:
    """Opens connections as they are needed, and keeps them for the next request to the same address.

    Connections and parser are those of aiohttp. Its `ClientSession` is not used: cookies, redirects, middlewares and
    a task for each body cost twice as much as all the rest of a request.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        """`headers` go to every server, in place of those that a request had."""
        self._headers = headers or {}
        self._connector: aiohttp.TCPConnector | None = None
        self._target: Callable[[str], _Target] = _target

    async def __aenter__(self) -> Self:
        """Make the pool ready, on the event loop that it is used on."""
        # No limit: a server that hangs must not keep requests from others. Requests are bounded where they arrive.
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS)
        self._target = lru_cache(TARGETS)(_target)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what is kept."""
        if self._connector is not None:
            await self._connector.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        max_bytes: int,
        timeout: aiohttp.ClientTimeout = _NO_TIMEOUT,
    ) -> Response:
        """Send a request and read its response, of at most `max_bytes`.

        Without `timeout` the caller's deadline is around it; being cancelled is safe. A request whose connection is
        closed before a response came is sent once more, so the server may see it twice. Raises NoResponse,
        TimeoutError, ResponseTooLarge, ValueError for headers that are none, and errors.Unavailable when there is no
        room for a large response.
        """
        target = self._target(url)
        head = _head(method, target, {**headers, **self._headers}, len(body))
        async with asyncio.timeout(timeout.total):
            try:
                return await self._send(target, head, body, max_bytes, timeout)
            except aiohttp.ClientConnectorError as error:
                raise _named(error) from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                pass  # a kept connection, most likely, to a server that was restarted: a new one tells
            except (aiohttp.ClientError, HttpProcessingError) as error:
                raise _named(error) from error
            try:
                return await self._send(target, head, body, max_bytes, timeout)
            except (aiohttp.ClientError, HttpProcessingError) as error:
                raise _named(error) from error

    async def _send(
        self, target: _Target, head: bytes, body: bytes, max_bytes: int, timeout: aiohttp.ClientTimeout
    ) -> Response:
        assert self._connector is not None, "the pool is entered first"
        try:
            connection = await self._connector.connect(target.origin, traces=[], timeout=timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {target.host} in time") from error
        try:
            response = await _exchange(connection, head, body, max_bytes)
        except BaseException:
            # Also after a cancellation: a connection with half a response must not be used again.
            connection.close()
            raise
        connection.release()
        return response


async def _exchange(
    connection: aiohttp.connector.Connection, head: bytes, body: bytes, max_bytes: int
) -> Response:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    if len(body) <= SMALL_BYTES:
        transport.write(head + body)
    else:
        transport.write(head)
        transport.write(body)
    message, content = await protocol.read()
    while 100 <= message.code < 200:
        message, content = await protocol.read()
    length = message.headers.get("content-length", "")
    whole = length.isdecimal() and int(length) <= max_bytes
    if whole:
        await charge_soon(int(length))
    received = await content.read() if whole else await _read(content, max_bytes)
    if transport.get_write_buffer_size():
        protocol.force_close()  # a response to half a request
    return Response(message.code, message.headers, received)


def _target(url: str) -> _Target:
    origin = aiohttp.ClientRequest("GET", URL(url), loop=asyncio.get_running_loop())
    return _Target(origin, origin.url.raw_path_qs, origin.headers["host"])


def _head(method: str, target: _Target, headers: Mapping[str, str], length: int) -> bytes:
    """The request's head: what the caller gives, and nothing that it did not ask for."""
    size = f"Content-Length: {length}\r\n" if length or method == "POST" else ""
    given = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if given.count("\n") + given.count("\r") != 2 * len(headers):
        raise ValueError("a header has a line break")
    return f"{method} {target.path} HTTP/1.1\r\nHost: {target.host}\r\n{given}{size}\r\n".encode("ascii")


def _named(error: Exception) -> Exception:
    """What went wrong, in the words of this module."""
    if isinstance(error, TimeoutError):
        return error
    if isinstance(error, aiohttp.ClientConnectorError):
        return NoResponse(str(error))
    if isinstance(error, HttpProcessingError):
        return NoResponse("the response is not HTTP")
    return NoResponse("the connection was closed before the response was complete")


async def _read(content: aiohttp.StreamReader, max_bytes: int) -> bytes:
    body, charged = bytearray(), 0
    async for piece in content.iter_chunked(READ_BYTES):
        body += piece
        if len(body) - charged > CHARGED_BYTES:
            await charge_soon(2 * (len(body) - charged))
            charged = len(body)
        if len(body) > max_bytes:
            raise ResponseTooLarge(f"the response has more than {max_bytes:,} bytes")
    return bytes(body)
