"""The background of a run: holds points in bounded memory and sends them in batches, through outages of the API.

What was sent and not acknowledged is sent again; the API takes the same points twice without harm. A fork gets an empty
sender of its own: what its parent held is the parent's to send.
"""

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.util import Finalize

from marina.api import Api, Json
from marina.errors import Failure, NotFound, Unreachable
from marina.points import Point, batch, body

PERIOD_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
REQUEST_SECONDS = 10.0
# What a forked worker may take for its last points.
WORKER_EXIT_SECONDS = 5.0
BATCH_POINTS = 5000
CAPACITY_POINTS = 200_000
MAX_WARNINGS = 50
MERGED = ("parameters", "tags", "directions")

log = logging.getLogger("marina")


class Sender:
    """Sends the points of one experiment, from whichever process it is in."""

    def __init__(
        self, connect: Callable[[], Api], name: str, new: Json | None, *, capacity: int = CAPACITY_POINTS
    ) -> None:
        """`new` is what the experiment is created with; one that is there already gets it as an edit.

        None means that it is there.
        """
        self.name = name
        self.failure: Failure | None = None
        """The first request that the API rejected."""
        self.dropped = 0
        self._connect = connect
        self.new = new
        self._capacity = capacity
        self._inherited: list[object] = []
        self._is_worker = False
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._buffer: deque[Point] = deque()
        self._batch: list[Point] = []
        self._changes: Json = {}
        self._said: set[str] = set()
        self._thread: threading.Thread | None = None
        self._api: Api | None = None
        self._ended = False

    def put(self, points: list[Point]) -> None:
        """Take points; the oldest go where there is no room."""
        with self._lock:
            self._buffer.extend(points)
            over = len(self._buffer) - self._capacity
            for _ in range(over):
                self._buffer.popleft()
        if over > 0:
            self._drop(over, "the API is away for long: the oldest points are dropped")
        self.start()

    def change(self, changes: Json) -> None:
        """Take an edit of the experiment; later ones are merged into it until it is sent."""
        with self._lock:
            self._changes = _merged(self._changes, changes)
        self.start()

    def flush(self, seconds: float) -> bool:
        """Send everything here and now; False if that did not work within so many seconds."""
        end, pause = time.monotonic() + seconds, 0.1
        while True:
            try:
                self._send(end)
                return True
            except Unreachable as failure:
                if time.monotonic() + pause > end:
                    self.warn(f"{failure}; gave up after {seconds:.0f} s")
                    return False
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def close(self) -> None:
        """Stop the background. What is held is dropped, and counted."""
        self._ended = True
        self._wake.set()
        with self._lock:
            left = len(self._buffer) + len(self._batch)
            self._buffer.clear()
        if left:
            self._drop(left, "the API could not be reached")
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(REQUEST_SECONDS)
        if self._api is not None:
            self._api.__exit__()

    def forked(self) -> None:
        """Begin anew in a child, which shares neither locks nor connections with its parent."""
        # Not closed: on a connection with TLS that would be heard by the server, and be the end of the parent's.
        self._inherited += [self._api, self._thread]
        self._begin()
        self.dropped = 0
        self._is_worker = True

    def start(self) -> None:
        """Have what is held sent in the background."""
        with self._lock:
            if self._thread is not None or self._ended:
                return
            self._thread = threading.Thread(target=self._run, name=f"marina {self.name}", daemon=True)
        if self._is_worker:
            # multiprocessing ends a forked worker without the interpreter's usual end.
            Finalize(self, self.flush, args=(WORKER_EXIT_SECONDS,), exitpriority=10)
        # At the end of the interpreter no thread starts; what is held goes by `flush`.
        with suppress(RuntimeError):
            self._thread.start()

    def _run(self) -> None:
        pause = PERIOD_SECONDS
        while not self._wake.wait(pause):
            try:
                self._send()
                pause = PERIOD_SECONDS
            except Unreachable as failure:
                self.warn(f"{failure}; points are kept and sent later")
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception as error:  # a thread that dies would lose everything that comes
                self.warn(f"sending points failed: {error!r}")

    def _send(self, end: float | None = None) -> None:
        """Send all that is held; raises Unreachable, with the points still held."""
        with self._sending:
            if self._api is None:
                self._api = self._connect()
            self._create(self._api)
            while changes := self._taken():
                self._tell(changes)
            while self._batch or self._next():
                if end is not None and time.monotonic() > end:
                    raise Unreachable("there was no time to send all points")
                self._append()

    def _create(self, api: Api) -> None:
        if self.new is None:
            return
        try:
            api.send("POST", "/v1/experiments", seconds=REQUEST_SECONDS, json=self.new | {"name": self.name})
        except Unreachable:
            raise
        except Failure as failure:
            # Somebody else made it, or we did before.
            self._request("PATCH", "", self.new, instead_of=failure)
        self.new = None

    def _tell(self, changes: Json) -> None:
        try:
            self._request("PATCH", "", changes)
        except Unreachable:
            with self._lock:
                self._changes = _merged(changes, self._changes)
            raise

    def _append(self) -> None:
        accepted = self._request("POST", "/points", body(self._batch))
        count, self._batch = len(self._batch), []
        if not accepted:
            self._drop(count, "the API rejects them")

    def _request(self, method: str, path: str, content: Json, instead_of: Failure | None = None) -> bool:
        """Whether the API accepted it; raises Unreachable when it has to be sent again."""
        assert self._api is not None, "_send made it"
        try:
            self._api.send(
                method, f"/v1/experiments/{self.name}{path}", seconds=REQUEST_SECONDS, json=content
            )
        except Unreachable:
            raise
        except Failure as failure:
            told = instead_of if instead_of is not None and isinstance(failure, NotFound) else failure
            self.failure = self.failure or told
            self.warn(str(told))
            return False
        return True

    def _taken(self) -> Json:
        with self._lock:
            changes, self._changes = self._changes, {}
        return changes

    def _next(self) -> bool:
        """Make the next batch; False when nothing is held."""
        with self._lock:
            self._batch = batch(self._buffer, BATCH_POINTS)
        return bool(self._batch)

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        self.warn(f"points are lost: {reason}")

    def warn(self, text: str) -> None:
        """Say it once, and not again with every batch."""
        if text not in self._said and len(self._said) < MAX_WARNINGS:
            self._said.add(text)
            log.warning("marina: experiment %s: %s", self.name, text)


def _merged(before: Json, after: Json) -> Json:
    both = {**before, **after}
    for key in MERGED:
        if key in before and key in after:
            both[key] = {**before[key], **after[key]}
    return both


def _forked() -> None:
    for sender in list(_all):
        sender.forked()


_all: weakref.WeakSet[Sender] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
