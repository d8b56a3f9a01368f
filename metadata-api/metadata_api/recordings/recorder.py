"""The queue between the address for recordings and the database; `create_app` runs it for as long as the API lives.

What comes is taken or rejected at once, so that no sender waits for a disk. It is stored a batch at a time; while that
fails for want of the database or of room the batch is tried again, the queue fills, and senders are told to wait.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence

from sqlalchemy import exc

from metadata_api.database.session import Sessions
from metadata_api.errors import OutOfSpace, Unavailable
from metadata_api.recordings import storing
from metadata_api.recordings.events import Event
from metadata_api.recordings.pairing import Waiting
from metadata_api.storage.base import ObjectStore

MAX_EVENTS = 5000
MAX_BYTES = 64 * 1024 * 1024
"""Of the queue; what alone is larger is taken when nothing else waits."""
BATCH_EVENTS = 200
BATCH_BYTES = 8 * 1024 * 1024
BATCH_SECONDS = 0.2
WAITING_SECONDS = 1.0
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0
LOG_SECONDS = 60.0
# What passes by itself: the same batch may be stored a moment later.
_PASSING = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, OSError, Unavailable, OutOfSpace)
FULL, IGNORED, UNPAIRED, FAILED, LOST = "full", "ignored", "unpaired", "failed", "lost"
log = logging.getLogger(__name__)

Entry = tuple[str, Event]
"""A deployment, and an event of it."""


class Recorder:
    """Takes events and records them."""

    def __init__(self, sessions: Sessions, inputs: ObjectStore) -> None:
        self._sessions = sessions
        self._inputs = inputs
        self._queue: deque[Entry] = deque()
        self._bytes = 0
        self._waiting = Waiting()
        self._arrived = asyncio.Event()
        self._closing = False
        self._said = 0.0
        self.events: Counter[str] = Counter(dict.fromkeys(_OUTCOMES, 0))
        """How many events came to what."""
        self.predictions: Counter[str] = Counter({storing.SOURCE: 0})
        """How many predictions were made, by source."""

    @property
    def queued(self) -> int:
        """Events that were taken, and are not recorded yet."""
        return len(self._queue) + len(self._waiting)

    def offer(self, deployment: str, events: Sequence[Event], *, answers: bool) -> None:
        """Take events of a deployment, of answers only if `answers`; raises Unavailable when the queue is full."""
        wanted = [event for event in events if event.is_request or answers]
        size = sum(len(event.body) for event in wanted)
        is_full = len(self._queue) + len(wanted) > MAX_EVENTS or self._bytes + size > MAX_BYTES
        if (is_full and self._queue) or self._closing:
            self.events[FULL] += len(events)
            raise Unavailable(
                "recordings_full", "More is recorded than can be stored. Send it again in a second."
            )
        self.events[IGNORED] += len(events) - len(wanted)
        self._queue.extend((deployment, event) for event in wanted)
        self._bytes += size
        self._arrived.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wait()
            try:
                await self._step()
            except Exception as error:
                # The edge of the task: whatever went wrong, the next batch may do better.
                log.error("recording failed", exc_info=error)
                await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """Take nothing more, and let what was taken be recorded, for a few seconds."""
        self._closing = True
        end = time.monotonic() + DRAIN_SECONDS
        while self._queue and time.monotonic() < end:
            await asyncio.sleep(BATCH_SECONDS / 10)
        if self._queue:
            log.warning("%d recorded events are lost: they could not be stored in time", len(self._queue))
            self.events[LOST] += len(self._queue)

    async def _wait(self) -> None:
        """Until there is a batch: enough events, or the first of them has waited long enough."""
        if not self._queue:
            self._arrived.clear()
            seconds = WAITING_SECONDS if len(self._waiting) else None
            try:
                await asyncio.wait_for(self._arrived.wait(), seconds)
            except TimeoutError:
                return
        end = time.monotonic() + BATCH_SECONDS
        while len(self._queue) < BATCH_EVENTS and (left := end - time.monotonic()) > 0 and not self._closing:
            await asyncio.sleep(min(left, BATCH_SECONDS / 10))

    async def _step(self) -> None:
        """Record one batch; what it consists of leaves the queue when that is done."""
        batch = self._batch()
        while True:
            try:
                outcomes = await asyncio.to_thread(self._store, batch)
                break
            except _PASSING as error:
                self._say(error)
                await asyncio.sleep(RETRY_SECONDS)
        for _ in batch:
            _, event = self._queue.popleft()
            self._bytes -= len(event.body)
        self.predictions[storing.SOURCE] += outcomes.pop(storing.PREDICTIONS, 0)
        self.events.update(outcomes)
        self.events[UNPAIRED] += self._waiting.give_up()

    def _batch(self) -> list[Entry]:
        found: list[Entry] = []
        size = 0
        for entry in self._queue:
            size += len(entry[1].body)
            if found and (len(found) >= BATCH_EVENTS or size > BATCH_BYTES):
                break
            found.append(entry)
        return found

    def _store(self, batch: Sequence[Entry]) -> Counter[str]:
        """Record a batch, without those of its calls that cannot be."""
        try:
            return storing.store(self._sessions, self._inputs, batch, self._waiting)
        except _PASSING:
            raise
        except Exception as error:
            ids = list(dict.fromkeys(event.id for _, event in batch))
            if len(ids) > 1:
                halves = ids[: len(ids) // 2], ids[len(ids) // 2 :]
                parts = ([entry for entry in batch if entry[1].id in half] for half in halves)
                return sum(map(self._store, parts), Counter())
            log.error("an event of %s cannot be recorded", batch[0][0] if batch else "nobody", exc_info=error)
            # It may be one of those that wait, which come with every batch.
            lost, self._waiting = len(self._waiting), Waiting()
            return Counter({FAILED: len(batch) + lost})

    def _say(self, error: Exception) -> None:
        """One line a minute for what passes."""
        if time.monotonic() - self._said > LOG_SECONDS or not self._said:
            self._said = time.monotonic()
            log.warning(
                "recordings wait: %s", str(error).splitlines()[0] if str(error) else type(error).__name__
            )


_OUTCOMES = (
    storing.STORED,
    storing.REPEATED,
    storing.UNREADABLE,
    FULL,
    IGNORED,
    UNPAIRED,
    FAILED,
    LOST,
)
