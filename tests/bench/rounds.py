"""One fault after the other under a load: what clients saw, what readiness said, and whether the limits hold."""

import http.client
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from tests.bench import open_loop
from tests.bench.beside import beside
from tests.bench.victims import UNREADY_SECONDS, Fault, Scene

RATE = 10  # requests a second
DEADLINE_SECONDS = 10.0  # the front's own, as it is without a setting
# On its way through a busy machine an answer that was given in time may be later than that.
WAY_SECONDS = 0.5
# After five good seconds the next fault is a new one for the front; before, it waits longer each time.
SETTLE_SECONDS = 5.25
_GIVE_UP_SECONDS = 60.0
_LOOK_SECONDS = 0.02


class Look(NamedTuple):
    """One question for readiness: when it was asked and answered, and the answer."""

    began: float
    ended: float
    ready: bool


@dataclass(frozen=True)
class Round:
    """From one fault to the next; times in seconds of time.perf_counter()."""

    since: float
    answers: Sequence[open_loop.Answer]
    looks: Sequence[Look]
    left: Sequence[int] = ()
    """Processes that should be gone and are not."""

    @property
    def unready(self) -> float | None:
        """Seconds until readiness said no."""
        found = (look.ended for look in self.looks if look.began > self.since and not look.ready)
        return next((ended - self.since for ended in found), None)

    @property
    def healed(self) -> float | None:
        """Seconds until the next 200: the first one after the last request that failed."""
        failed = max((each.due for each in self.answers if each.status != 200), default=self.since)
        found = [each.ended for each in self.answers if each.status == 200 and each.due > failed]
        return min(found) - self.since if found else None


@dataclass(frozen=True)
class Row:
    """All rounds of one fault with one runtime."""

    fault: Fault
    runtime: str
    rounds: Sequence[Round]
    problems: Sequence[str]

    @property
    def statuses(self) -> Counter[int]:
        """What all clients saw, from the first fault on."""
        return Counter(answer.status for each in self.rounds for answer in each.answers)


def broken_limits(fault: Fault, found: Round, right: Callable[[open_loop.Answer], bool]) -> list[str]:
    """What does not hold."""
    failed = [each for each in found.answers if each.status != 200]
    slow = max((each.seconds for each in found.answers), default=0)
    wrong = sum(not right(each) for each in found.answers if each.status == 200)
    odd = Counter(each.status for each in failed if each.status not in (503, 504))
    problems = [f"{count} answers with status {status}" for status, count in odd.items()]
    if any(each.status == 503 and not each.retry_after for each in failed):
        problems.append("a 503 without Retry-After")
    if wrong:
        problems.append(f"{wrong} answers were wrong")
    if slow > DEADLINE_SECONDS + WAY_SECONDS:
        problems.append(f"an answer took {slow:.1f} s")
    if found.healed is None or found.healed > fault.limit:
        problems.append(f"no 200 within {fault.limit:g} s")
    if failed and (found.unready is None or found.unready > UNREADY_SECONDS):
        problems.append(f"called ready for more than {UNREADY_SECONDS:g} s")
    if _called_ready_too_early(found, failed):
        problems.append("called ready again before it answered")
    if found.left:
        problems.append("a process that should be replaced is still there")
    return problems


class Bench:
    """A front under load, its readiness asked all the time."""

    def __init__(
        self, scene: Scene, requests: Sequence[bytes], right: Callable[[open_loop.Answer], bool]
    ) -> None:
        self._scene = scene
        self._right = right
        self._load = open_loop.Load(scene.front.url, requests, rate=RATE)
        self._readiness = _Readiness(scene.front.url.replace("/infer", "/ready"))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Load and questions go on until the block ends."""
        with (
            beside(self._load.send, seconds=open_loop.LONGEST_SECONDS + 5),
            beside(self._readiness.ask, seconds=10),
        ):
            time.sleep(SETTLE_SECONDS)
            yield

    def row(self, fault: Fault, runtime: str, times: int) -> tuple[Row, bool]:
        """Try a fault so many times, fewer when the front does not heal; and whether it did."""
        rounds: list[Round] = []
        problems: list[str] = []
        healed = True
        while healed and len(rounds) < times:
            found = self._round(fault)
            rounds.append(found)
            problems += broken_limits(fault, found, self._right)
            healed = found.healed is not None
        return Row(fault, runtime, rounds, list(dict.fromkeys(problems))), healed

    def _round(self, fault: Fault) -> Round:
        answers, looks = len(self._load.answers), len(self._readiness.looks)
        since = time.perf_counter()
        doomed = fault.strike(self._scene)
        while True:
            time.sleep(0.1)
            passed = time.perf_counter() - since
            left = [pid for pid in doomed if psutil.pid_exists(pid)]
            found = Round(since, self._load.answers[answers:], self._readiness.looks[looks:], left)
            well = self._load.whole and passed - (found.healed or math.inf) > SETTLE_SECONDS
            if well or passed > _GIVE_UP_SECONDS:
                return found


class _Readiness:
    """What readiness said; without an answer a model is not ready."""

    def __init__(self, url: str) -> None:
        self.looks: list[Look] = []
        self._url = urlsplit(url)

    def ask(self, ends: threading.Event) -> None:
        """Ask until `ends` is set."""
        connection = http.client.HTTPConnection(self._url.netloc, timeout=5)
        while not ends.wait(_LOOK_SECONDS):
            began = time.perf_counter()
            try:
                connection.request("GET", self._url.path)
                answer = connection.getresponse()
                answer.read()
                ready = answer.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
                ready = False
            self.looks.append(Look(began, time.perf_counter(), ready))
        connection.close()


def _called_ready_too_early(found: Round, failed: Sequence[open_loop.Answer]) -> bool:
    """Whether a request failed that left after readiness had said no and then yes again."""
    observed = [look for look in found.looks if look.began > found.since]
    unready = next((at for at, look in enumerate(observed) if not look.ready), len(observed))
    again = next((look.ended for look in observed[unready:] if look.ready), math.inf)
    return any(each.due > again for each in failed)
