"""The worker process of the native runtime: loads one unpacked archive and answers frames until its channel closes.

Forked from the fork server. On the channel each frame is preceded by its size (uint32), both ways.
"""

import os
import socket
import time
from pathlib import Path

from serving_runtime.archive.manifest import read_manifest
from serving_runtime.processes import trim_memory
from serving_runtime.protocol import frames
from serving_runtime.worker import batches

_BUSY_POLL_SECONDS = 0.001
_ROOM = 256 * 1024  # a usual batch fits, and arrives with one system call


def serve(channel: socket.socket, model: Path) -> None:
    """Load the archive in the folder `model`, then answer each frame in turn; returns when the front is gone."""
    os.chdir(model)
    adapter, load_error = batches.load(model, read_manifest(model))
    trim_memory()  # a handler may have tried more variants of its model than it keeps
    inbox = _Inbox(channel)
    while (frame := inbox.next()) is not None:
        answer = batches.rejection(load_error) if adapter is None else batches.run_batch(adapter, frame)
        channel.sendall(b"".join(frames.sized(answer)))


class _Inbox:
    """Cuts what arrives on the channel into frames; the next one may be here before this one is answered."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._room = bytearray(_ROOM)
        self._begin = self._end = 0
        self._busy = False

    def next(self) -> memoryview | None:
        """The next frame, valid until the next call; None when the other side is gone."""
        if not self._fill(frames.SIZE.size):
            return None
        (size,) = frames.SIZE.unpack_from(self._room, self._begin)
        if not self._fill(frames.SIZE.size + size):
            return None
        start = self._begin + frames.SIZE.size
        self._begin = start + size
        return memoryview(self._room)[start : self._begin]

    def _fill(self, needed: int) -> bool:
        """Receive until `needed` bytes are here."""
        if self._begin == self._end:
            self._begin = self._end = 0
        if self._begin + needed > len(self._room):
            left = bytes(memoryview(self._room)[self._begin : self._end])
            self._room = bytearray(max(_ROOM, needed))  # a new one: the last frame may be in use
            self._room[: len(left)] = left
            self._begin, self._end = 0, len(left)
        while self._end - self._begin < needed:
            count = self._receive(memoryview(self._room)[self._end :])
            if not count:
                return False
            self._end += count
        return True

    def _receive(self, room: memoryview) -> int:
        """Receive something; 0 when the other side is gone.

        Who gets request after request polls for the next one for a moment instead of sleeping: to wake a core
        that has gone to sleep costs half of what the model does for one image.
        """
        began = time.perf_counter()
        try:
            while self._busy and time.perf_counter() - began < _BUSY_POLL_SECONDS:
                try:
                    return self._channel.recv_into(room, 0, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    os.sched_yield()  # whoever else has something to do goes first
            return self._channel.recv_into(room)
        except ConnectionError:
            return 0
        finally:
            self._busy = time.perf_counter() - began < _BUSY_POLL_SECONDS
