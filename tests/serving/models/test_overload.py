"""Ten times more requests than the model can answer: the rest is told at once, and the answers stay quick."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from serving_runtime.contracts import RUNTIMES
from serving_runtime.errors import Unavailable
from serving_runtime.models.admission import Admission
from serving_runtime.models.batching import Batcher
from serving_runtime.models.jobs import Answer
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.protocol.tensors import Tensor
from serving_runtime.runtimes.base import Done
from tests.bench import open_loop
from tests.waiting import until, until_async

from .. import archives
from ..conftest import Front, body_of

BODY = body_of([1, 2, 3, 4, 5, 6])
# Each call of at most 4 rows takes so long, without using a core: its capacity is known on any machine.
MAX_BATCH = 4
SLOW, MEDIUM = 0.15, 0.02
SECONDS = 6.0


class TestOverload:
    @pytest.fixture(params=RUNTIMES)
    def small_front(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
        front = Front(
            tmp_path / "front", request.param, SERVING_MAX_BATCH=str(MAX_BATCH), SERVING_QUEUE_LIMIT="256"
        )
        yield front
        front.stop()

    @pytest.mark.long
    @pytest.mark.parametrize("call_seconds", [SLOW, MEDIUM])
    def test_ten_times_the_capacity(self, small_front: Front, call_seconds: float) -> None:
        archives.summing(
            small_front.folder / "slow.mar", name="slow", each_call=f"time.sleep({call_seconds})"
        )
        small_front.want("slow", "1", small_front.folder / "slow.mar")
        small_front.wait_until("slow", state="ready")
        capacity = MAX_BATCH / call_seconds
        url = f"{small_front.url}/v2/models/slow/infer"
        base = open_loop.summary(open_loop.load(url, BODY, rate=5, seconds=4), 4)
        longest = 3 * max(base.accepted_p99, call_seconds) + 0.1
        began = time.monotonic()
        answers = open_loop.load(url, BODY, rate=10 * capacity, seconds=SECONDS)
        over = open_loop.summary(answers, time.monotonic() - began)
        print(f"capacity {capacity:.0f}/s, base {base}, overload {over}")
        assert set(over.statuses) == {200, 503}
        assert over.hints
        assert over.rejected_p99 < 0.1
        assert over.goodput > 0.8 * capacity * SECONDS / (SECONDS + 0.5)
        assert over.accepted_p99 < longest
        until(lambda: small_front.infer("slow", [1, 2, 3, 4, 5, 6]).status_code == 200, "it is as before", 5)


class TestAdmission:
    def admission(self, *, call_seconds: float = 0) -> Admission:
        found = Admission(max_batch=16, queue_limit=256, queue_seconds=0.1)
        for _ in range(60 if call_seconds else 0):
            found.record_call(call_seconds)
        return found

    def test_a_model_without_a_measured_call_takes_what_the_limit_says(self) -> None:
        assert self.admission().capacity(now=0) == 256

    def test_a_slow_model_has_two_calls_waiting(self) -> None:
        assert self.admission(call_seconds=1).capacity(now=0) == 32

    def test_a_quick_model_has_a_tenth_of_a_second_waiting(self) -> None:
        assert self.admission(call_seconds=0.01).capacity(now=0) == pytest.approx(160)

    def test_it_follows_a_model_that_becomes_quicker(self) -> None:
        admission = self.admission(call_seconds=1)
        for _ in range(60):
            admission.record_call(0.001)
        assert admission.capacity(now=0) == 256

    def test_it_follows_a_model_that_becomes_slower(self) -> None:
        admission = self.admission(call_seconds=0.001)
        for _ in range(60):
            admission.record_call(1)
        assert admission.capacity(now=0) == 32

    def test_one_call_that_met_a_busy_machine_says_little(self) -> None:
        admission = self.admission(call_seconds=0.002)
        admission.record_call(10)
        assert admission.capacity(now=0) == 256

    def test_while_more_are_rejected_than_may_wait_only_one_call_waits(self) -> None:
        admission = self.admission(call_seconds=0.01)
        for _ in range(1000):
            admission.record_rejection(now=0)
        assert admission.capacity(now=0) == 16
        assert admission.capacity(now=0.4) == 16
        assert admission.capacity(now=0.6) == pytest.approx(160)

    def test_a_few_that_come_back_each_second_leave_it_as_it_was(self) -> None:
        admission = self.admission(call_seconds=0.01)
        for second in range(100):
            for _ in range(70):
                admission.record_rejection(now=second)
            assert admission.capacity(now=second) == pytest.approx(160)


class Busy:
    """A model that is busy until it is polled, which is then there."""

    def __init__(self) -> None:
        self.asked: list[Done] = []
        self.free = True

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        self.asked.append(done)
        self.free = False

    def poll(self) -> None:
        if not self.free:
            self.free = True
            self.asked[-1](500, b"")

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)


class TestRefusing:
    """A queue of 40 requests, and batches of 4."""

    ONE = InferRequest(None, (Tensor("x", "UINT8", (1, 1), b"x"),), 1, (), ())

    async def full(self, model: Busy) -> tuple[Batcher, list[asyncio.Future[Answer]]]:
        """With a model that works on its first request, and takes a second for it."""
        batcher = Batcher(
            max_rows=4, queue_limit=40, queue_seconds=9, deadline_seconds=60, on_batch=lambda *_: None
        )
        batcher._admission.record_call(1)
        batcher.open(model)
        first = batcher.submit(self.ONE)
        await until_async(lambda: model.asked, "the first request is asked")
        waiting = []
        while batcher.waiting < 36:
            batcher.admit()
            waiting.append(batcher.submit(self.ONE))
        return batcher, [first, *waiting]

    def reject(self, batcher: Batcher, times: int) -> None:
        for _ in range(times):
            with pytest.raises(Unavailable, match="requests are waiting"):
                batcher.admit()

    def test_a_few_too_many_disturb_no_request_that_waits(self) -> None:
        async def run() -> None:
            model = Busy()
            model.poll = lambda: None  # type: ignore[method-assign]
            batcher, answers = await self.full(model)
            self.reject(batcher, 10)
            assert batcher.waiting == 36
            assert not any(answer.done() for answer in answers)

        asyncio.run(run())

    def test_while_many_are_rejected_so_are_the_newest_of_those_who_wait(self) -> None:
        async def run() -> None:
            model = Busy()
            model.poll = lambda: None  # type: ignore[method-assign]
            batcher, answers = await self.full(model)
            self.reject(batcher, 40)
            assert batcher.waiting == 4
            told = [str(answer.exception()) if answer.done() else "" for answer in answers]
            assert told[:5] == [""] * 5
            assert all("requests are waiting" in each for each in told[5:])

        asyncio.run(run())

    def test_the_model_gets_its_next_batch_in_the_midst_of_refusing(self) -> None:
        async def run() -> None:
            model = Busy()
            batcher, answers = await self.full(model)
            self.reject(batcher, 1)
            assert len(model.asked) == 2
            assert batcher.waiting == 32
            with pytest.raises(Unavailable, match="worker failed"):
                answers[0].result()

        asyncio.run(run())
