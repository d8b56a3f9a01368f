"""The front's end of a socket to a worker: frames out, answers in, in the same order.

A plain socket and the loop's readiness callbacks instead of a transport: a transport of uvloop writes when all that is
ready has run, and that is often the writing of a whole batch of answers. The model would idle meanwhile.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

from serving_runtime.protocol import frames
from serving_runtime.runtimes.base import OK, Done

_AT_ONCE = 256 * 1024
_LARGEST = 256 * 1024 * 1024


class Channel:
    """Calls `done(200, frame)` once for each `call`, or `done(0, b"")` when the other side is gone."""

    def __init__(self, connected: socket.socket, on_gone: Callable[[], None]) -> None:
        """`connected` is a stream socket that this object owns from now on; `on_gone` is called at most once."""
        connected.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = connected
        self._on_gone = on_gone
        self._waiting: deque[Done] = deque()
        self._received = bytearray()
        self._unsent = bytearray()
        self._loop.add_reader(connected, self._readable)

    @property
    def calls(self) -> int:
        """Calls that have no answer yet."""
        return len(self._waiting)

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        """Send one frame; its answer goes to `done`."""
        self._waiting.append(done)
        if self._socket is None:
            self._gone()
            return
        data = b"".join(frames.sized(frame))
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._gone()
            return
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._loop.add_writer(self._socket, self._writable)

    def poll(self) -> None:
        """Deliver an answer that is here already, instead of when the loop comes to it."""
        if self._waiting and self._socket is not None:
            self._readable()

    def close(self) -> None:
        """Drop the socket; calls under way end with status 0, `on_gone` is not called."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        while self._waiting:
            self._waiting.popleft()(0, b"")

    def _writable(self) -> None:
        assert self._socket is not None
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._gone()
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._gone()
            return
        self._received += data
        self._deliver()

    def _deliver(self) -> None:
        head = frames.SIZE.size
        while len(self._received) >= head:
            (size,) = frames.SIZE.unpack_from(self._received)
            if size > _LARGEST or not self._waiting:
                self._gone()  # a handler has written into our socket
                return
            if len(self._received) < head + size:
                return
            answer = bytes(memoryview(self._received)[head : head + size])
            del self._received[: head + size]
            self._waiting.popleft()(OK, answer)

    def _gone(self) -> None:
        self.close()
        self._on_gone()
