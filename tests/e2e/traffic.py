"""Steady v2 traffic from outside while something changes: what came back, and when."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from tests.e2e.cluster import ROOT, outside, wait_for

PER_SECOND = 20


@dataclass(frozen=True)
class Answered:
    """One request: when it began, how long it took, the version that answered or what went wrong."""

    at: float
    seconds: float
    version: str | None
    fault: str | None


class Traffic:
    """Open loop: a request every 50 ms, whatever happened before; `with` stops it and prints figures."""

    def __init__(self, model: str, what: str) -> None:
        self.answers: list[Answered] = []
        self._path = f"/v2/models/{model}/infer"
        self._what = what
        self._body = (ROOT / "models" / "examples" / "five.json").read_bytes()
        self._stop = threading.Event()
        self._driver = threading.Thread(target=self._drive, name="traffic")

    def __enter__(self) -> "Traffic":
        self._driver.start()
        self.go_on(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._driver.join(60)
        print(f"\n  {self._what}: {self.figures()}")

    def go_on(self, count: int = 100) -> None:
        """Wait for so many more answers."""
        target = len(self.answers) + count
        wait_for("traffic", lambda: len(self.answers) >= target, 120)

    @property
    def faults(self) -> list[Answered]:
        return [answer for answer in self.answers if answer.fault]

    @property
    def versions(self) -> list[str]:
        """Versions in the order of their first answers."""
        return list(dict.fromkeys(answer.version for answer in self.answers if answer.version))

    def figures(self) -> str:
        seconds = sorted(answer.seconds for answer in self.answers)
        p50, p99 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
        faults = dict(Counter(answer.fault for answer in self.faults))
        return (
            f"{len(seconds)} requests, {len(self.faults)} failed {faults or ''}, "
            f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, versions {', '.join(self.versions)}"
        )

    def _drive(self) -> None:
        # httpx closes connections above what is kept although another thread is just taking one of them.
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        with outside(timeout=20, limits=limits) as client, ThreadPoolExecutor(64) as pool:
            begin, count = time.monotonic(), 0
            while not self._stop.wait(max(0.0, begin + count / PER_SECOND - time.monotonic())):
                pool.submit(self._ask, client)
                count += 1

    def _ask(self, client: httpx.Client) -> None:
        began, version, fault = time.monotonic(), None, None
        try:
            answer = client.post(self._path, content=self._body)
            if answer.status_code == 200:
                version = str(answer.json().get("model_version"))
            else:
                fault = f"{answer.status_code} {answer.text[:120]}"
        except (httpx.HTTPError, ValueError) as error:
            fault = type(error).__name__
        self.answers.append(Answered(began, time.monotonic() - began, version, fault))
