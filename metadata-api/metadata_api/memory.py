"""How much memory requests may take together: what is large is charged before it is made, and given back at the end.

Each limit of a single request is far below it, but a hundred clients that all go to the limit would take more than the
process has. Then some of them get 503 with Retry-After, and the process lives. `limits.RequestGuard` makes one `Held`
current for each request; whoever makes something large calls `charge` or `charge_soon`.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from metadata_api.errors import Unavailable

WAIT_SECONDS = 3.0
_LOOK_SECONDS = 0.02
# Below that nothing is charged: thousands of them fit, and the plain path stays as it is.
SMALL_BYTES = 64 * 1024


class Memory:
    """What all requests of an application may hold, in bytes."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._lock = threading.Lock()

    def take(self, size: int, own: int = 0) -> bool:
        """Whether there was room for so many bytes, beside `own`; who needs more than there is has to be alone."""
        with self._lock:
            if self.used > own and self.used + size > self.total:
                return False
            self.used += size
            return True

    def give(self, size: int) -> None:
        """Give back what `take` gave."""
        with self._lock:
            self.used -= size


class Held:
    """What one request holds."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.size = 0
        self.ended = False

    def take(self, size: int) -> bool:
        """Whether there was room for so many bytes more; once the request has ended nothing is counted."""
        if self.ended:  # what a failed request left running: nobody would give it back
            return True
        taken = self.memory.take(size, self.size)
        if taken:
            self.size += size
        return taken

    def give(self, size: int) -> None:
        """Give some of it back."""
        if self.ended:
            return
        self.size -= size
        self.memory.give(size)

    def release(self) -> None:
        """Give everything back: the request has ended."""
        self.give(self.size)
        self.ended = True


current: ContextVar[Held | None] = ContextVar("held", default=None)
"""Of the request that is being answered, in its task and its threads; None outside of one."""


def charge(size: int) -> None:
    """Hold so many bytes until the end of the request, in a thread; raises Unavailable when they find no room."""
    for pause in _pauses(size):
        time.sleep(pause)


async def charge_soon(size: int) -> None:
    """The same on the event loop."""
    for pause in _pauses(size):
        await asyncio.sleep(pause)


@contextmanager
def charged(size: int) -> Iterator[None]:
    """Hold so many bytes for this block, in a thread; raises Unavailable."""
    charge(size)
    try:
        yield
    finally:
        held = current.get()
        if held is not None and size > SMALL_BYTES:
            held.give(size)


@contextmanager
def returned() -> Iterator[None]:
    """Give back at the end of this block what was charged within it."""
    held = current.get()
    before = held.size if held is not None else 0
    try:
        yield
    finally:
        if held is not None and held.size > before:
            held.give(held.size - before)


def _pauses(size: int) -> Iterator[float]:
    """Seconds to wait before each further try to hold so many bytes; ends once they are held."""
    held = current.get()
    if held is None or size <= SMALL_BYTES:
        return
    end = time.monotonic() + WAIT_SECONDS
    while not held.take(size):
        if time.monotonic() > end:
            raise Unavailable("busy", "Too many large requests at once. Try again in a moment.")
        yield _LOOK_SECONDS
