"""Gathers concurrent requests for one model into batches, without making a lone request wait.

A request leaves when the model can take a call; while it cannot, requests that fit together collect, and leave together
the moment it can. A model that was idle is given what has arrived by the end of the event loop's turn; when its last
batch held several requests their clients are about to ask again, and it is given the first moment of the next batch to
gather as many. Runs in one event loop, with callbacks only: no task is made for a request.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable

from serving_runtime.errors import DeadlineExceeded, ModelFailed, Unavailable, WorkerFailed
from serving_runtime.models.admission import Admission
from serving_runtime.models.jobs import Answer, Job, deliver, fail, full, header_of, key_of
from serving_runtime.protocol import frames
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.runtimes.base import OK, Callee

MAX_BATCH_BYTES = 16 * 1024 * 1024
# A loop's timers are too coarse for it, so the loop turns until then: a lone client never pays it.
_GATHER_SECONDS = 0.0002
# To wake a core that has gone to sleep costs a lone client a fifth of its time. Longer calls can bear it.
_BUSY_POLL_SECONDS = 0.002


class Batcher:
    """The queue of one model version. `backend` is None while the model cannot take calls."""

    def __init__(
        self,
        *,
        max_rows: int,
        queue_limit: int,
        queue_seconds: float,
        deadline_seconds: float,
        busy_poll: bool = False,
        on_batch: Callable[[int, int], None],
        on_metrics: Callable[[object], None] = lambda _found: None,
    ) -> None:
        """`on_batch(requests, rows)` is called for every batch that leaves; for the limits see admission.py.

        `busy_poll`: while a quick model answers a lone request the loop turns instead of sleeping.
        """
        self.max_rows = max_rows
        self._delay_seconds = 0.0
        self._admission = Admission(max_batch=max_rows, queue_limit=queue_limit, queue_seconds=queue_seconds)
        self._deadline_seconds = deadline_seconds
        self._busy_polls = busy_poll
        self._on_batch = on_batch
        self._on_metrics = on_metrics
        self._backend: Callee | None = None
        self._reason = "the model is starting"
        self._queues: dict[tuple[object, ...], deque[Job]] = {}
        self._count = 0
        self._in_flight: dict[int, list[Job]] = {}
        self._number = 0
        self._gathering_since: float | None = None
        self._last_batch = 1
        self._progress_at = 0.0
        self._hang_timer: asyncio.TimerHandle | None = None
        self._delay_timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._count

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being answered."""
        return not self._count and not self._in_flight

    def configure(
        self, *, max_rows: int | None, delay_seconds: float | None, deadline_seconds: float
    ) -> None:
        """What an archive asks for instead of the defaults: most rows of concurrent requests in one call, and how
        long the oldest may wait for as many, at most half of the deadline.
        """
        self._deadline_seconds = deadline_seconds
        if max_rows is not None:
            self.max_rows = self._admission.max_batch = max_rows
        if delay_seconds is not None:
            self._delay_seconds = min(delay_seconds, self._deadline_seconds / 2)

    @property
    def delay_seconds(self) -> float:
        """How long a request may wait for others although the model is free."""
        return self._delay_seconds

    def open(self, backend: Callee) -> None:
        """Begin to send batches to `backend`."""
        self._backend = backend

    def close(self, reason: str) -> None:
        """Answer everything that waits or is under way with 503, and all that comes until `open`."""
        self._backend = None
        self._reason = reason
        jobs = [job for queue in self._queues.values() for job in queue]
        jobs += [job for batch in self._in_flight.values() for job in batch]
        self._queues.clear()
        self._count = 0
        self._in_flight.clear()
        for job in jobs:
            fail(job, Unavailable(reason))

    def admit(self) -> None:
        """Raises Unavailable when one more request would wait too long.

        To be asked before a request is read: that costs more than to reject it.
        """
        now = asyncio.get_running_loop().time()
        if self._count < (capacity := self._admission.capacity(now)):
            return
        self._admission.record_rejection(now)
        self._reject_newest(capacity)
        if self._backend is not None:
            self._backend.poll()  # with hundreds to reject the loop's turn is long, and the model would idle
        raise full(self._count)

    def submit(self, request: InferRequest) -> "asyncio.Future[Answer]":
        """Queue a request; the future ends with its outputs or a ServingError, within the deadline.

        Raises Unavailable at once while there is no model.
        """
        if self._backend is None:
            raise Unavailable(self._reason)
        loop = asyncio.get_running_loop()
        self._number += 1
        job = Job(self._number, request, loop.create_future())
        key = key_of(request)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        queue.append(job)
        self._count += 1
        job.timer = loop.call_later(self._deadline_seconds, self._expire, job, key)
        if self._gathering_since is None and self._backend.free:
            self._gathering_since = loop.time()
            loop.call_soon(self._gather)
        return job.answer

    def _reject_newest(self, capacity: float) -> None:
        """Reject those at the end of the queue for whom there is no room any more."""
        while self._count > capacity:
            key = max(self._queues, key=lambda each: self._queues[each][-1].number)
            job = self._queues[key].pop()
            if not self._queues[key]:
                del self._queues[key]
            self._count -= 1
            self._admission.record_rejection(asyncio.get_running_loop().time())
            fail(job, full(self._count))

    def _gather(self) -> None:
        """Let a batch leave once it has as many requests as the last one had, or its time is up."""
        assert self._gathering_since is not None
        loop = asyncio.get_running_loop()
        fewer = self._count < self._last_batch
        if fewer and not self._in_flight and loop.time() - self._gathering_since < _GATHER_SECONDS:
            loop.call_soon(self._gather)
            return
        self._gathering_since = None
        self._pump()

    def _pump(self) -> None:
        while self._count and self._backend is not None and self._backend.free:
            if self._delay_seconds and self._must_wait():
                return
            self._send(self._backend, self._take())

    def _must_wait(self) -> bool:
        """Whether the next batch is not full, and its oldest request may wait for others still."""
        queue = self._queues[self._oldest()]
        timer = queue[0].timer
        assert timer is not None
        waited = asyncio.get_running_loop().time() - (timer.when() - self._deadline_seconds)
        left = self._delay_seconds - waited
        if left <= 0 or sum(job.request.rows for job in queue) >= self.max_rows:
            return False
        if self._delay_timer is not None:
            self._delay_timer.cancel()
        self._delay_timer = asyncio.get_running_loop().call_later(left, self._pump)
        return True

    def _take(self) -> list[Job]:
        """The oldest request, and those behind it that fit into its batch."""
        key = self._oldest()
        queue = self._queues[key]
        batch = [queue.popleft()]
        rows, size = batch[0].request.rows, batch[0].size
        while queue:
            rows += queue[0].request.rows
            size += queue[0].size
            if rows > self.max_rows or size > MAX_BATCH_BYTES:
                break
            batch.append(queue.popleft())
        if not queue:
            del self._queues[key]
        self._count -= len(batch)
        return batch

    def _oldest(self) -> tuple[object, ...]:
        return min(self._queues, key=lambda each: self._queues[each][0].number)

    def _send(self, backend: Callee, batch: list[Job]) -> None:
        header = header_of(batch)
        self._last_batch = len(batch)
        self._on_batch(len(batch), sum(header["rows"]))
        if not self._in_flight:
            self._watch_for_hang()
        self._in_flight[batch[0].number] = batch
        inputs = frames.join_requests([job.request.inputs for job in batch])
        began = asyncio.get_running_loop().time()
        backend.call(
            frames.encode(header, inputs), lambda status, body: self._answered(batch, began, status, body)
        )
        if self._busy_polls and len(batch) == 1 and self._admission.call_seconds < _BUSY_POLL_SECONDS:
            self._busy_poll(batch[0].number, began)

    def _busy_poll(self, number: int, began: float) -> None:
        """Keep the loop turning until the call with this number is answered, or takes longer than calls do."""
        loop = asyncio.get_running_loop()
        if number in self._in_flight and loop.time() - began < _BUSY_POLL_SECONDS:
            os.sched_yield()  # whoever else has something to do goes first
            loop.call_soon(self._busy_poll, number, began)

    def _answered(self, batch: list[Job], began: float, status: int, body: bytes) -> None:
        if self._in_flight.pop(batch[0].number, None) is None:
            return  # `close` has answered them
        self._progress_at = asyncio.get_running_loop().time()
        self._admission.record_call(self._progress_at - began)
        self._pump()  # first, so that the model works while we write the answers
        if status != OK:
            for job in batch:
                fail(job, WorkerFailed("the model's worker failed during the request; it is being replaced"))
            return
        try:
            again = deliver(batch, body, self._on_metrics)
        except (
            frames.BrokenFrame,
            ArithmeticError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            for job in batch:
                fail(job, ModelFailed(f"the worker's answer is broken: {error}"))
        else:
            if again:
                self._queue_again(again)

    def _queue_again(self, jobs: list[Job]) -> None:
        """Requests whose answers did not fit into the frame with those of their mates."""
        if self._backend is None:
            for job in jobs:
                fail(job, Unavailable(self._reason))
            return
        queue = self._queues.setdefault(key_of(jobs[0].request), deque())
        queue.extendleft(reversed(jobs))
        self._count += len(jobs)
        self._pump()

    def _watch_for_hang(self) -> None:
        loop = asyncio.get_running_loop()
        self._progress_at = loop.time()
        if self._hang_timer is None:
            self._hang_timer = loop.call_later(self._deadline_seconds, self._check_progress)

    def _check_progress(self) -> None:
        """Nothing came back for a whole deadline though calls are under way: the worker hangs."""
        self._hang_timer = None
        if not self._in_flight or self._backend is None:
            return
        loop = asyncio.get_running_loop()
        left = self._progress_at + self._deadline_seconds - loop.time()
        if left > 0:
            self._hang_timer = loop.call_later(left, self._check_progress)
        else:
            limit = f"{self._deadline_seconds:g} s, its response_seconds"
            self._backend.fail(f"the model's worker did not answer for {limit}")

    def _expire(self, job: Job, key: tuple[object, ...]) -> None:
        queue = self._queues.get(key)
        if queue is not None and job in queue:
            queue.remove(job)
            self._count -= 1
            if not queue:
                del self._queues[key]
        limit = f"{self._deadline_seconds:g} s, the deployment's response_seconds; raise it there"
        fail(job, DeadlineExceeded(f"no answer within {limit}"))
