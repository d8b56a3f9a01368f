"""An open-loop client: requests leave by the clock whether or not earlier ones were answered, as crowds do.

A closed-loop client like wrk waits for its answers, and so never asks more than a server can answer; overload needs
this one. Latency counts from the moment that a request was due.
"""

import asyncio
import gc
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import uvloop

LONGEST_SECONDS = 30.0  # a request without an answer for so long is lost
_SWEEP_SECONDS = 1.0
_TICK_SECONDS = 0.001  # the loop's timers know nothing shorter; what is due by then leaves together
_SLOW = 100  # up to so many requests a second each leaves on its own, when it is due


class Answer(NamedTuple):
    """One request: when it was due and how long its answer took (seconds), and what came back; status 0: nothing."""

    due: float
    seconds: float
    status: int
    retry_after: bool
    number: int  # of the request, from 0; it had the body of this number, counted round
    body: bytes

    @property
    def ended(self) -> float:
        """When the answer was here."""
        return self.due + self.seconds


@dataclass(frozen=True)
class Summary:
    """Answers per second that were good, percentiles in seconds (0 without answers), counts by status."""

    goodput: float
    accepted_p50: float
    accepted_p99: float
    rejected_p99: float
    statuses: Counter[int]
    hints: bool  # every 503 said when to try again


def load(url: str, body: bytes, *, rate: float, seconds: float, connections: int = 512) -> list[Answer]:
    """POST `body` to `url` `rate` times a second, for so many seconds."""
    answers: list[Answer] = []
    end = time.perf_counter() + seconds
    uvloop.run(_send(url, [body], rate, connections, answers, lambda: time.perf_counter() > end))
    return answers


class Load:
    """A load that goes on until it is stopped; `answers` grows meanwhile, in the order of their ends."""

    def __init__(self, url: str, bodies: Sequence[bytes], *, rate: float, connections: int = 256) -> None:
        """POST the bodies in turn, again and again."""
        self.answers: list[Answer] = []
        self._sending = partial(_send, url, bodies, rate, connections, self.answers)

    @property
    def whole(self) -> bool:
        """Whether no request waits for its answer while later ones have theirs."""
        answers = self.answers[:]
        return len(answers) == 1 + max((answer.number for answer in answers), default=-1)

    def send(self, ends: threading.Event) -> None:
        """Send until `ends` is set, and wait for the last answers."""
        uvloop.run(self._sending(ends.is_set))


def summary(answers: Sequence[Answer], seconds: float) -> Summary:
    """What a load of so many seconds gave."""
    accepted = [answer.seconds for answer in answers if answer.status == 200]
    rejected = [answer.seconds for answer in answers if answer.status == 503]
    return Summary(
        len(accepted) / seconds,
        percentile(accepted, 50),
        percentile(accepted, 99),
        percentile(rejected, 99),
        Counter(answer.status for answer in answers),
        all(answer.retry_after for answer in answers if answer.status == 503),
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile; 0 of nothing."""
    return (
        statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
        if len(values) > 1
        else sum(values)
    )


class _Client:
    """Keep-alive connections to one address, each with one request at a time. Callbacks only: it must be quick."""

    def __init__(self, url: str, bodies: Sequence[bytes], connections: int, answers: list[Answer]) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "127.0.0.1", parts.port or 80
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: %d\r\n\r\n"
        self._requests = [(head % len(body)).encode() + body for body in bodies]
        self._limit = connections
        self._answers = answers
        self._number = 0
        self._waiting: deque[tuple[float, int]] = deque()
        self._idle: list[_Connection] = []
        self._connections: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def done(self) -> bool:
        """Whether every request has its answer."""
        return len(self._answers) == self._number

    def send(self, due: float) -> None:
        """Send the next request as soon as a connection is free."""
        self._waiting.append((due, self._number))
        self._number += 1
        self.go_on()

    def go_on(self) -> None:
        while self._waiting and self._idle:
            due, number = self._waiting.popleft()
            self._idle.pop().ask(self._requests[number % len(self._requests)], due, number)
        if (
            len(self._waiting) > len(self._opening)
            and len(self._connections) + len(self._opening) < self._limit
        ):
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def answered(self, answer: Answer) -> None:
        self._answers.append(answer)

    def free(self, connection: "_Connection") -> None:
        """A connection can take the next request."""
        self._idle.append(connection)
        self.go_on()

    def lost(self, connection: "_Connection") -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def give_up(self, before: float) -> None:
        """Drop what was due before and has no answer."""
        while self._waiting and self._waiting[0][0] < before:
            self.answered(_nothing(*self._waiting.popleft()))
        for connection in [each for each in self._connections if each.busy_since < before]:
            connection.close()

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self), *self._address
                )
        except (OSError, TimeoutError):
            if self._waiting:
                self.answered(_nothing(*self._waiting.popleft()))
        else:
            self._connections.add(connection)
            self.free(connection)


class _Connection(asyncio.Protocol):
    def __init__(self, client: _Client) -> None:
        self._client = client
        self._transport: asyncio.WriteTransport | None = None
        self._asked: tuple[float, int] | None = None
        self._received = b""

    @property
    def busy_since(self) -> float:
        """When the request under way was due; endless without one."""
        return self._asked[0] if self._asked else float("inf")

    def ask(self, request: bytes, due: float, number: int) -> None:
        assert self._transport is not None
        self._asked = due, number
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n") + 4
        if end < 4 or self._asked is None:
            return
        head = received[:end].lower()
        size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(received) < end + size:
            return
        self._received = b""
        (due, number), self._asked = self._asked, None
        seconds = time.perf_counter() - due
        hint = b"\r\nretry-after:" in head
        self._client.answered(Answer(due, seconds, int(head[9:12]), hint, number, received[end:]))
        self._client.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.lost(self)
        if self._asked is not None:
            self._client.answered(_nothing(*self._asked))
            self._asked = None


def _nothing(due: float, number: int) -> Answer:
    return Answer(due, time.perf_counter() - due, 0, False, number, b"")


async def _send(
    url: str,
    bodies: Sequence[bytes],
    rate: float,
    connections: int,
    answers: list[Answer],
    ended: Callable[[], bool],
) -> None:
    if rate <= 0:
        raise ValueError(f"{rate} requests a second cannot be sent")
    client = _Client(url, bodies, connections, answers)
    gc.collect()
    gc.freeze()  # a collection of all that a test run holds takes 0.1 s, and would be counted as the server's
    began = swept = time.perf_counter()
    sent = 0
    while not ended():
        now = time.perf_counter()
        while (due := began + sent / rate) <= now:
            client.send(due)
            sent += 1
        if now > swept + _SWEEP_SECONDS:
            client.give_up(now - LONGEST_SECONDS)
            swept = now
        left = due - time.perf_counter()
        await asyncio.sleep(max(left, 0 if rate <= _SLOW else _TICK_SECONDS))
    while not client.done:
        client.give_up(time.perf_counter() - LONGEST_SECONDS)
        await asyncio.sleep(0.02)
    client.close()
    gc.unfreeze()
