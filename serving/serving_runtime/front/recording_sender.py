"""Sends recorded calls from a bounded queue, in a thread of its own: no answer waits for it.

The event loop only adds, the thread only takes; each writes counters of its own, so that neither needs a lock. The loop
encodes, some microseconds for a call, because a thread that did would have to wrest the interpreter from it for each.
What does not fit, or is not taken in time, is dropped and counted.
"""

import contextlib
import http.client
import logging
import math
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from serving_runtime.contracts import EVENT_BATCH
from serving_runtime.front import recorded_calls
from serving_runtime.front.recorded_calls import Call
from serving_runtime.models.metrics import Metrics

QUEUE_CALLS = 10_000
QUEUE_BYTES = 32 * 1024 * 1024
BATCH_CALLS = 100
BATCH_BYTES = 256 * 1024  # a single call may be larger
POST_SECONDS = 5.0
PAUSES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Between the attempts to send a batch; the first is for a connection that was closed meanwhile."""
CLOSE_SECONDS = 3.0
_GATHER_SECONDS = 0.05
_TRY_AGAIN = frozenset((0, 408, 425, 429, 500, 502, 503, 504))

_log = logging.getLogger(__name__)


class _Encoded(NamedTuple):
    """A call as it is sent; `size` is that of its bodies."""

    url: str
    model: str
    version: str
    events: bytes
    size: int


class Sender:
    """`put` calls, and `close` at the end."""

    def __init__(
        self, metrics: Metrics, *, queue_calls: int = QUEUE_CALLS, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self._metrics = metrics
        self._queue_calls = queue_calls
        self._queue_bytes = queue_bytes
        self._waiting: deque[_Encoded] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._connected_to = ""
        self._post_until = math.inf
        self._problem = ""
        self._put = self._put_bytes = 0
        self._done = self._done_bytes = 0

    def put(self, call: Call) -> bool:
        """Queue a call; false where there is no room, and then it is counted as dropped."""
        size = call.size
        if (
            self._put - self._done >= self._queue_calls
            or self._put_bytes - self._done_bytes + size > self._queue_bytes
        ):
            self._metrics.count_dropped_recordings(call.model, call.version, "queue_full", 1)
            return False
        self._put += 1
        self._put_bytes += size
        events = recorded_calls.events(call)
        self._waiting.append(_Encoded(call.url, call.model, call.version, events, size))
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        return True

    def expire(self) -> None:
        """End a request that takes too long; to be called now and then, as a server may answer byte by byte."""
        connection = self._connection
        if self._post_until < time.monotonic() and connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what is queued for at most so long; nothing is tried twice any more."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._closing.wait(_GATHER_SECONDS)
            self._wake.clear()
            for calls in self._batches():
                try:
                    self._send(calls)
                except Exception as error:
                    # The edge of the thread: whatever went wrong with one batch, the next may do better.
                    _log.exception("recorded traffic cannot be sent")
                    self._dropped(calls, type(error).__name__)
                self._done += len(calls)
                self._done_bytes += sum(call.size for call in calls)
            if self._closing.is_set() and not self._waiting:
                self._disconnect()
                return

    def _batches(self) -> Iterator[list[_Encoded]]:
        """All that waits, by address and in order."""
        by_url: dict[str, list[_Encoded]] = {}
        for _ in range(len(self._waiting)):
            call = self._waiting.popleft()
            by_url.setdefault(call.url, []).append(call)
        for calls in by_url.values():
            batch: list[_Encoded] = []
            size = 0
            for call in calls:
                if batch and (len(batch) == BATCH_CALLS or size + call.size > BATCH_BYTES):
                    yield batch
                    batch, size = [], 0
                batch.append(call)
                size += call.size
            yield batch

    def _send(self, calls: list[_Encoded]) -> None:
        url, body = calls[0].url, b"[%b]" % b",".join([call.events for call in calls])
        for pause in (*PAUSES, None):
            status = self._post(url, body)
            if 200 <= status < 300:
                self._problem = ""
                for (model, version), count in _by_version(calls).items():
                    self._metrics.count_sent_recordings(model, version, count)
                return
            self._complain(url, status)
            if status not in _TRY_AGAIN:
                return self._dropped(calls, "rejected")
            if pause is None or self._closing.wait(pause):
                return self._dropped(calls, "not_taken")

    def _dropped(self, calls: list[_Encoded], reason: str) -> None:
        for (model, version), count in _by_version(calls).items():
            self._metrics.count_dropped_recordings(model, version, reason, count)

    def _post(self, url: str, body: bytes) -> int:
        """The status of the response; 0 without one."""
        address = urlsplit(url)
        self._post_until = time.monotonic() + POST_SECONDS
        try:
            connection = self._connected(address)
            connection.request("POST", address.path, body, {"Content-Type": EVENT_BATCH})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException, ValueError):
            self._disconnect()
            return 0
        finally:
            self._post_until = math.inf
        return response.status

    def _connected(self, address: SplitResult) -> http.client.HTTPConnection:
        place = f"{address.scheme}://{address.netloc}"
        if self._connection is None or self._connected_to != place:
            self._disconnect()
            kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(address.hostname or "", address.port, timeout=POST_SECONDS)
            self._connected_to = place
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _complain(self, url: str, status: int) -> None:
        problem = f"it answers with {status}" if status else "it does not answer"
        if problem != self._problem:
            # The path is a capability, and in no log.
            _log.warning("recorded traffic is not taken by %s: %s", urlsplit(url).netloc, problem)
        self._problem = problem


def _by_version(calls: list[_Encoded]) -> Counter[tuple[str, str]]:
    return Counter((call.model, call.version) for call in calls)
