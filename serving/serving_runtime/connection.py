"""A connection of uvicorn whose responses leave with one system call, and with the security headers.

uvicorn writes a response's head and its body apart: two system calls, two packets, and a client that wakes up twice. It
also looks through every header with regular expressions, so that five constant ones would cost 12 us; here they are put
in as bytes, for half a microsecond, and stand on the responses of uvicorn itself as well. An HTML page brings a
Content-Security-Policy of its own. Deadlines come from `bounded_http`. The metadata API has the same connections.
"""

import asyncio
from typing import Any, Protocol, cast

from serving_runtime.bounded_http import BoundedHttpProtocol
from serving_runtime.hosts import SECURITY_HEADERS

_POLICY = b"content-security-policy"
_HAS_POLICY = b"\r\n%b: " % _POLICY
_SECURITY = b"".join(b"%b: %b\r\n" % header for header in SECURITY_HEADERS)
_WITHOUT_POLICY = b"".join(b"%b: %b\r\n" % header for header in SECURITY_HEADERS if header[0] != _POLICY)
_CONTINUE = b"HTTP/1.1 100 "


class CoalescedHttpProtocol(BoundedHttpProtocol):
    """What uvicorn makes for each connection (`uvicorn.Config(http=CoalescedHttpProtocol)`)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, CoalescingTransport(transport)))


class Writes(Protocol):
    """What is used of an asyncio transport."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def is_closing(self) -> bool: ...


class CoalescingTransport:
    """A transport that keeps the head of a response until its body, the loop's next turn or the end comes."""

    def __init__(self, transport: Writes) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._head and data.startswith(b"HTTP/"):
            self._head = data if data.startswith(_CONTINUE) else _secured(data)
            self._loop.call_soon(self._flush)
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._head:
            self.write(b"")


def _secured(head: bytes) -> bytes:
    line, end, rest = head.partition(b"\r\n")
    return line + end + (_WITHOUT_POLICY if _HAS_POLICY in head else _SECURITY) + rest
