"""An open-loop client: requests leave by the clock whether or not earlier ones were answered, as crowds do.

A closed-loop client like wrk waits for its answers, and so never asks more than a server can answer; overload needs
this one. Latency counts from the moment that a request was due.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """One request: when it was due and how long its answer took (seconds), and what came back."""

    due: float
    seconds: float
    status: int
    retry_after: bool


@dataclass(frozen=True)
class Summary:
    """Answers per second that were good, percentiles in seconds (0 without answers), counts by status."""

    goodput: float
    accepted_p99: float
    rejected_p99: float
    statuses: Counter[int]
    hints: bool  # every 503 said when to try again


def load(url: str, body: bytes, *, rate: float, seconds: float, connections: int = 512) -> list[Answer]:
    """POST `body` to `url` `rate` times a second, for so many seconds; status 0 is a lost request."""
    return asyncio.run(_load(url, body, rate, seconds, connections))


def summary(answers: Sequence[Answer], seconds: float) -> Summary:
    """What a load of so many seconds gave."""
    accepted = [answer.seconds for answer in answers if answer.status == 200]
    rejected = [answer.seconds for answer in answers if answer.status == 503]
    return Summary(
        len(accepted) / seconds,
        percentile(accepted, 99),
        percentile(rejected, 99),
        Counter(answer.status for answer in answers),
        all(answer.retry_after for answer in answers if answer.status == 503),
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile; 0 of nothing."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else sum(values)


class _Client:
    """Keep-alive connections to one address, each with one request at a time."""

    def __init__(self, url: str, body: bytes, connections: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._slots = asyncio.Semaphore(connections)

    async def ask(self, due: float) -> Answer:
        status, retry_after = 0, False
        async with self._slots:
            try:
                async with asyncio.timeout(30):
                    status, retry_after = await self._exchange()
            except (OSError, EOFError, TimeoutError):
                pass
        return Answer(due, time.perf_counter() - due, status, retry_after)

    async def _exchange(self) -> tuple[int, bool]:
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), b"\r\nretry-after:" in head

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def _load(url: str, body: bytes, rate: float, seconds: float, connections: int) -> list[Answer]:
    client = _Client(url, body, connections)
    began = time.perf_counter()
    asked: list[asyncio.Task[Answer]] = []
    while (due := len(asked) / rate) < seconds:
        if (left := began + due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        asked.append(asyncio.create_task(client.ask(began + due)))
        if len(asked) % 16 == 0:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*asked)
    client.close()
    return answers
