"""Kept HTTP/1.1 connections to serving processes, for many small requests at once.

`v2_client` sends every inference over it. A general HTTP client spends more on a call than a model
does: four requests at once cost httpx 6 ms of processor time, here 0.2 ms (two cores, uvloop).
"""

import asyncio
from collections import defaultdict
from urllib.parse import urlsplit

import httptools

IDLE_KEPT = 64
AT_ONCE = 256
READ_BYTES = 64 * 1024
HEAD = "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"


class TooLong(ValueError):
    """The answer has more bytes than the caller allows."""


class HttpPool:
    """Opens connections as they are needed and keeps them for the next request to the same address."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_Connection]] = defaultdict(list)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def post_json(self, url: str, body: bytes, *, longest: int) -> tuple[int, bytes]:
        """Status and body of the answer to a POST; `longest` bounds the answer, in bytes.

        Waits for ever: the caller's deadline is around it, and being cancelled is safe. A kept connection
        that turns out to be closed is replaced, so the server may see a request twice. Raises OSError
        when there is no answer, TooLong.
        """
        target = urlsplit(url)
        path = target.path or "/"
        head = HEAD.format(path=path, host=target.netloc, kind="application/json", length=len(body))
        request = head.encode() + body
        async with self._room:
            if idle := self._idle[target.netloc]:
                try:
                    return await self._exchange(target.netloc, idle.pop(), request, longest)
                except OSError:
                    # The server was restarted, most likely: then what else is kept is closed, too.
                    self._drop(target.netloc)
            secure = target.scheme == "https"
            streams = await asyncio.open_connection(
                target.hostname, target.port or (443 if secure else 80), ssl=secure or None
            )
            return await self._exchange(target.netloc, _Connection(*streams), request, longest)

    def close(self) -> None:
        """Close what is kept."""
        for address in list(self._idle):
            self._drop(address)

    def _drop(self, address: str) -> None:
        for connection in self._idle.pop(address, ()):
            connection.drop()

    async def _exchange(
        self, address: str, connection: "_Connection", request: bytes, longest: int
    ) -> tuple[int, bytes]:
        keep = False
        try:
            status, body, keep = await connection.exchange(request, longest)
            return status, body
        finally:
            # Also after a cancellation: a connection with half an answer must not be used again.
            if keep and len(self._idle[address]) < IDLE_KEPT:
                self._idle[address].append(connection)
            else:
                connection.drop()


class _Connection:
    """One connection, for one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def exchange(self, request: bytes, longest: int) -> tuple[int, bytes, bool]:
        """Status, body, and whether the connection can be used again."""
        self._writer.write(request)
        await self._writer.drain()
        answer = _Answer()
        read = 0
        while not answer.complete:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("the connection was closed before the answer was complete")
            read += len(data)
            if read > longest:
                raise TooLong(f"the answer has more than {longest:,} bytes")
            try:
                answer.parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise ConnectionAbortedError("the answer is not HTTP") from error
        return answer.status, bytes(answer.body), answer.keep

    def drop(self) -> None:
        """End the connection at once; nothing of it is awaited."""
        self._writer.transport.abort()


class _Answer:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.complete = False
        self.status = 0
        self.keep = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.keep = self.parser.should_keep_alive()
        self.complete = True
