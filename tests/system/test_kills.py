"""One process of the running system is killed while predictions are made: the rest goes on, nothing told is lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.conftest import ROOT, Stack
from tests.waiting import until

pytestmark = [pytest.mark.clock, pytest.mark.system]

BACK_SECONDS = 15.0
IMAGE = (ROOT / "models" / "examples" / "digit-5.png").read_bytes()


class Traffic:
    """Predictions made one after the other in a thread; what was acknowledged is remembered."""

    def __init__(self, stack: Stack) -> None:
        self.headers = stack.headers
        self.url = f"{stack.api_url}/v1/predictions"
        self.acknowledged: list[str] = []
        self.whole: list[float] = []
        self.odd: list[str] = []
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with httpx.Client(headers=self.headers, timeout=20) as client:
            while not self.ends.wait(0.05):
                try:
                    answer = client.post(self.url, files={"image": IMAGE}, data={"deadline_ms": "3000"})
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    self._remember(answer.json())
                elif answer.status_code != 503:
                    self.odd.append(f"{answer.status_code} {answer.text[:200]}")

    def _remember(self, body: dict[str, list[dict[str, str]]]) -> None:
        self.acknowledged.extend(result["prediction_id"] for result in body["results"])
        if all(result["status"] == "ok" for result in body["results"]):
            self.whole.append(time.monotonic())

    def wait_for_whole_answer(self, since: float, seconds: float) -> float:
        """Seconds from `since` to the first answer in which every model took service."""
        later = until(
            lambda: [at for at in self.whole if at > since],
            lambda: f"a whole answer after the kill; odd answers: {self.odd[:3]}",
            seconds,
        )
        return later[0] - since


@contextmanager
def traffic(stack: Stack) -> Iterator[Traffic]:
    """Predictions go on in the background of the block."""
    running = Traffic(stack)
    running.thread.start()
    try:
        running.wait_for_whole_answer(0, 30)
        yield running
    finally:
        running.ends.set()
        running.thread.join(30)


@pytest.mark.parametrize("service", ["api", "serving", "java", "worker", "postgres"])
def test_after_a_kill_all_models_answer_again_and_no_acknowledged_prediction_is_lost(
    stack: Stack, service: str
) -> None:
    others = {name: stack.pids(name) for name in ("ui", "api", "serving", "postgres") if name != service}
    with traffic(stack) as running:
        victim = stack.pids(service)[0]
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        time.sleep(0.3)
        seconds = running.wait_for_whole_answer(killed + 0.3, BACK_SECONDS) + 0.3
    print(f"{service}: every model answers {seconds:.1f} s after the kill")
    assert running.odd == []
    assert {name: stack.pids(name) for name in others} == others
    with httpx.Client(base_url=stack.api_url, headers=stack.headers, timeout=20) as client:
        lost = [
            uid for uid in running.acknowledged if client.get(f"/v1/predictions/{uid}").status_code != 200
        ]
    assert lost == []


def test_after_a_kill_the_pages_are_back(stack: Stack) -> None:
    victim = stack.pids("ui")[0]
    os.kill(victim, signal.SIGKILL)

    def back() -> bool:
        with suppress(httpx.TransportError):
            new = stack.pids("ui") not in ([], [victim])
            return new and httpx.get(f"{stack.ui_url}/livez", timeout=5).status_code == 200
        return False

    until(back, "the UI is back after the kill", BACK_SECONDS)
