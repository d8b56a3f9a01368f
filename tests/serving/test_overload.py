"""Ten times more requests than the model can answer: the rest is told at once, and the answers stay quick."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving_runtime.admission import Admission
from serving_runtime.settings import RUNTIMES
from tests.bench import open_loop

from . import archives
from .conftest import Front, body_of, wait_for

BODY = body_of([1, 2, 3, 4, 5, 6])
# Each call of at most 4 rows takes 150 ms, without using a core: its capacity is known on any machine.
CALL_SECONDS, MAX_BATCH = 0.15, 4
CAPACITY = MAX_BATCH / CALL_SECONDS
SECONDS = 6.0
SLOW = f"time.sleep({CALL_SECONDS})"


class TestOverload:
    @pytest.fixture(params=RUNTIMES)
    def slow_front(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
        front = Front(
            tmp_path / "front", request.param, SERVING_MAX_BATCH=str(MAX_BATCH), SERVING_QUEUE_LIMIT="256"
        )
        archives.summing(front.folder / "slow.mar", name="slow", each_call=SLOW)
        front.want("slow", "1", front.folder / "slow.mar")
        front.wait_until("slow", state="ready")
        yield front
        front.stop()

    @pytest.mark.long
    def test_ten_times_the_capacity(self, slow_front: Front) -> None:
        url = f"{slow_front.url}/v2/models/slow/infer"
        base = open_loop.summary(open_loop.load(url, BODY, rate=5, seconds=4), 4)
        longest = 3 * max(base.accepted_p99, CALL_SECONDS) + 0.1
        # A busy machine keeps whole processes waiting for a core; a front that is at fault fails every time.
        for _ in range(3):
            began = time.monotonic()
            answers = open_loop.load(url, BODY, rate=10 * CAPACITY, seconds=SECONDS)
            over = open_loop.summary(answers, time.monotonic() - began)
            print(f"capacity {CAPACITY:.0f}/s, base {base}, overload {over}")
            if over.rejected_p99 < 0.1 and over.accepted_p99 < longest:
                break
        assert set(over.statuses) == {200, 503}
        assert over.hints
        assert over.rejected_p99 < 0.1
        assert over.goodput > 0.8 * CAPACITY * SECONDS / (SECONDS + 0.5)
        assert over.accepted_p99 < longest
        wait_for(
            lambda: slow_front.infer("slow", [1, 2, 3, 4, 5, 6]).status_code == 200, "it is as before", 5
        )


class TestAdmission:
    def admission(self, *, call_seconds: float = 0) -> Admission:
        found = Admission(max_batch=16, queue_limit=256, queue_seconds=0.1)
        for _ in range(60 if call_seconds else 0):
            found.called(call_seconds)
        return found

    def test_a_model_that_nobody_has_timed_yet_takes_what_the_limit_says(self) -> None:
        assert self.admission().admits(255)
        assert not self.admission().admits(256)

    def test_a_slow_model_has_two_calls_waiting(self) -> None:
        assert self.admission(call_seconds=1).admits(31)
        assert not self.admission(call_seconds=1).admits(32)

    def test_a_quick_model_has_a_tenth_of_a_second_waiting(self) -> None:
        assert self.admission(call_seconds=0.01).admits(158)
        assert not self.admission(call_seconds=0.01).admits(162)

    def test_it_follows_a_model_that_becomes_quicker(self) -> None:
        admission = self.admission(call_seconds=1)
        for _ in range(60):
            admission.called(0.001)
        assert admission.admits(255)
