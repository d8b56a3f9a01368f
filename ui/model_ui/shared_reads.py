"""What visitors of one role have read of the API a moment ago, so that many open pages ask it as one does.

Only visitors whom `login.Login` has let in get here, and each gets only what the API told somebody of the same role
and the same limits; used by `api_connection`.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

MOST = 256
# What open pages cost the API at most, in reads a second, as long as nothing of what they show moves.
IDLE_READS, IDLE_AT_ONCE = 0.5, 6.0
# Larger answers are not worth their place.
MOST_BYTES = 2 * 1024 * 1024


class Scope(NamedTuple):
    """What decides what the API tells somebody: the role, and the deployments that a credential is limited to."""

    role: str
    deployments: tuple[str, ...] | None = None


Key = tuple[Scope, str]
Read = Callable[[], Awaitable[bytes]]


class SharedReads:
    """The newest answers by scope and address, and the questions that are under way."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: OrderedDict[Key, tuple[float, bytes]] = OrderedDict()
        self._asking: dict[Key, asyncio.Task[bytes | Exception]] = {}
        self._changes = 0
        self._idle, self._idle_at = IDLE_AT_ONCE, clock()

    async def read(self, key: Key, read: Read, seconds: float, idle_seconds: float = 0.0) -> bytes:
        """What `read` gives, or has given at most so long ago; whoever asks for the same meanwhile waits for it too.

        It may be as old as `idle_seconds` when the API was read IDLE_READS times a second for such as may be so old.
        """
        found = self._found.get(key)
        if found:
            age = self._clock() - found[0]
            if age < seconds or (age < idle_seconds and not self._may_idle()):
                return found[1]
        if seconds <= 0:
            # Somebody opens a page: as it is now.
            content = await read()
            self._keep(key, self._clock(), content)
            return content
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key, read))
            asking.add_done_callback(lambda task: self._forget(key, task))
        outcome = await asyncio.shield(asking)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def clear(self) -> None:
        """Somebody has changed something."""
        self._changes += 1
        self._found.clear()
        self._asking.clear()

    def _may_idle(self) -> bool:
        """Whether an open page may read anew what it has."""
        now = self._clock()
        self._idle = min(IDLE_AT_ONCE, self._idle + (now - self._idle_at) * IDLE_READS)
        self._idle_at = now
        if self._idle < 1:
            return False
        self._idle -= 1
        return True

    async def _ask(self, key: Key, read: Read) -> bytes | Exception:
        begin, changes = self._clock(), self._changes
        try:
            content = await read()
        except Exception as error:
            return error
        if changes == self._changes:
            self._keep(key, begin, content)
        return content

    def _forget(self, key: Key, task: "asyncio.Task[bytes | Exception]") -> None:
        if self._asking.get(key) is task:
            del self._asking[key]

    def _keep(self, key: Key, at: float, content: bytes) -> None:
        if len(content) > MOST_BYTES:
            return
        self._found[key] = at, content
        self._found.move_to_end(key)
        while len(self._found) > MOST:
            self._found.popitem(last=False)
