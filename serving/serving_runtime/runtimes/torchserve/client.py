"""One keep-alive HTTP connection to TorchServe, with one call in flight at a time.

An asyncio protocol with a callback instead of an HTTP library: the answer goes from the socket to the batch without
tasks, locks or pools in between, which is most of a millisecond at each call.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from serving_runtime.runtimes.base import Done

_MODEL = "model"
_HEAD = (
    b"POST /predictions/" + _MODEL.encode() + b" HTTP/1.1\r\nHost: torchserve\r\n"
    b"Authorization: Bearer %b\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
)
_LONGEST_HEAD = 16 * 1024
_AT_ONCE = 256 * 1024


class TorchServeClient(asyncio.Protocol):
    """Calls `done(status, body)` once for each `call`; status 0 means that the connection is gone."""

    def __init__(self, token: bytes) -> None:
        """`token` is what TorchServe wants to see with each call."""
        self._token = token
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._done: Done | None = None
        self._received = bytearray()
        self._needed = 0  # bytes of the whole answer; 0 until its head is here
        self._body_at = 0
        self._status = 0

    @classmethod
    async def connect(cls, path: Path, token: bytes) -> "TorchServeClient":
        """Open a connection to a UNIX socket. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_unix_connection(lambda: cls(token), str(path))
        return client

    @property
    def usable(self) -> bool:
        """Connected, with no call in flight."""
        return self._transport is not None and not self._transport.is_closing() and self._done is None

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        """Send one frame. Only when `usable`."""
        assert self._transport is not None
        assert self._done is None
        self._done = done
        self._received.clear()
        self._needed = 0
        data = b"".join((_HEAD % (self._token, sum(map(len, frame))), *frame))
        # Written by hand, for the reason that channel.py gives; nothing of an earlier call waits in the transport.
        try:
            sent = os.write(self._descriptor, data)
        except OSError:
            sent = 0  # full, or gone: the transport knows what to do
        if sent < len(data):
            self._transport.write(memoryview(data)[sent:])

    def poll(self) -> None:
        """Take what has arrived already, instead of when the loop comes to it."""
        if self._done is None or self._transport is None or self._transport.is_closing():
            return
        try:
            data = os.read(self._descriptor, _AT_ONCE)
        except OSError:
            return  # nothing yet; or it is gone, which the transport tells
        if data:
            self.data_received(data)

    def close(self) -> None:
        """Drop the connection; a call in flight ends with status 0."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._descriptor = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._finish(0, b"")

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._needed and not self._read_head():
            return
        if len(self._received) >= self._needed:
            self._finish(self._status, bytes(memoryview(self._received)[self._body_at : self._needed]))

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > _LONGEST_HEAD:
                self.close()
            return False
        first, *lines = bytes(self._received[:end]).split(b"\r\n")
        try:
            self._status = int(first.split(b" ", 2)[1])
            fields = dict(line.lower().split(b":", 1) for line in lines)
            length = int(fields[b"content-length"])
        except (ValueError, KeyError, IndexError):
            self.close()
            return False
        self._body_at = end + 4
        self._needed = self._body_at + length
        return True

    def _finish(self, status: int, body: bytes) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(status, body)
