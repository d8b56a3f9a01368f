"""Kept HTTP connections to serving processes: the proxy under /v2 and the predictions send everything over them."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import aiohttp

CONNECTIONS = 256
KEPT_SECONDS = 30.0
READ_BYTES = 64 * 1024
LARGE_BYTES = 1024 * 1024
LARGE_BYTES = 1024 * 1024
# Nothing that the caller did not ask for: the server behind sees the headers of its client, and no others.
_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


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


class HttpPool:
    """Opens connections as they are needed, and keeps them for the next request to the same address."""

    def __init__(self, token: str = "") -> None:
        """`token` is sent to every server, in place of whatever credential a request had."""
        self._headers = {"Authorization": f"Bearer {token}"} if token else None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make the pool ready, on the event loop that it is used on."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=self._headers,
            skip_auto_headers=_SKIPPED,
            timeout=aiohttp.ClientTimeout(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what is kept."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        max_bytes: int,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> Response:
        """Send a request and read its response, of at most `max_bytes`.

        Without `timeout` the caller's deadline is around it; being cancelled is safe. A request whose connection is
        closed before a response came is sent once more, so the server may see it twice. Raises NoResponse,
        TimeoutError, and ResponseTooLarge.
        """
        try:
            return await self._send(method, url, headers, body, max_bytes, timeout)
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            raise _named(error) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            pass  # a kept connection, most likely, to a server that was restarted: a new one tells
        except aiohttp.ClientError as error:
            raise _named(error) from error
        try:
            return await self._send(method, url, headers, body, max_bytes, timeout)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _named(error) from error

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        max_bytes: int,
        timeout: aiohttp.ClientTimeout | None,
    ) -> Response:
        assert self._session is not None, "the pool is entered first"
        async with self._session.request(
            method,
            url,
            # From a file, a large body is written in pieces and does not hold up the event loop.
            data=io.BytesIO(body) if len(body) > LARGE_BYTES else body or None,
            headers=headers,
            timeout=timeout or aiohttp.ClientTimeout(),
            allow_redirects=False,
        ) as response:
            length = response.content_length
            whole = length is not None and length <= max_bytes
            content = await response.read() if whole else await _read(response, max_bytes)
            return Response(response.status, response.headers, content)


def _named(error: Exception) -> Exception:
    """What went wrong, in the words of this module."""
    if isinstance(error, TimeoutError):
        return error
    if isinstance(error, aiohttp.ClientConnectorError):
        return NoResponse(str(error))
    if isinstance(error, aiohttp.ClientResponseError):
        return NoResponse("the response is not HTTP")
    return NoResponse("the connection was closed before the response was complete")


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(READ_BYTES):
        body += piece
        if len(body) > max_bytes:
            raise ResponseTooLarge(f"the response has more than {max_bytes:,} bytes")
    return bytes(body)
