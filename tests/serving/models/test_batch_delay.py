"""How long a request waits for others when its archive asks for that, and how answers come in several frames."""

import asyncio
from collections.abc import Callable, Sequence

from serving_runtime.models.batching import Batcher
from serving_runtime.protocol import frames
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.protocol.tensors import Tensor
from serving_runtime.runtimes.base import Done
from tests.waiting import until_async

DELAY = 0.3
ONE = InferRequest(None, (Tensor("x", "UINT8", (1, 1), b"x"),), 1, (), ())


class Answering:
    """A model that answers each call at once, as `answer` says; it keeps how many requests each call had."""

    def __init__(self, answer: Callable[[list[int]], list[bytes]]) -> None:
        self.calls: list[int] = []
        self.free = True
        self._answer = answer

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        header, _ = frames.decode(b"".join(frame))
        self.calls.append(len(header["rows"]))
        done(200, b"".join(self._answer(header["rows"])))

    def poll(self) -> None:
        pass

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)


def whole(rows: list[int]) -> list[bytes]:
    return frames.encode({}, [Tensor("y", "UINT8", (sum(rows), 1), b"y" * sum(rows))])


def first_only(rows: list[int]) -> list[bytes]:
    """As a worker answers when the answers do not fit together."""
    again = {str(index): {"kind": "again", "text": ""} for index in range(1, len(rows))}
    return frames.encode({"errors": again}, [Tensor("y", "UINT8", (1, 1), b"y")])


def batcher_of(model: Answering, **settings: float) -> Batcher:
    made = Batcher(
        max_rows=16, queue_limit=40, queue_seconds=9, deadline_seconds=60, on_batch=lambda *_: None
    )
    made.configure(max_rows=4, delay_seconds=settings.get("delay"), deadline_seconds=60)
    made.open(model)
    return made


def test_a_lone_request_waits_for_its_delay_and_no_longer() -> None:
    async def run() -> None:
        model = Answering(whole)
        batcher = batcher_of(model, delay=DELAY)
        began = asyncio.get_running_loop().time()
        first = batcher.submit(ONE)
        await asyncio.sleep(DELAY / 4)
        second = batcher.submit(ONE)
        await asyncio.gather(first, second)
        assert asyncio.get_running_loop().time() - began >= DELAY * 0.95
        assert model.calls == [2]

    asyncio.run(run())


def test_a_full_batch_waits_for_nothing() -> None:
    async def run() -> None:
        model = Answering(whole)
        batcher = batcher_of(model, delay=50)
        answers = [batcher.submit(ONE) for _ in range(4)]
        await asyncio.wait_for(asyncio.gather(*answers), 10)
        assert model.calls == [4]

    asyncio.run(run())


def test_without_a_delay_nothing_waits() -> None:
    async def run() -> None:
        model = Answering(whole)
        answer = batcher_of(model).submit(ONE)
        await until_async(answer.done, "the request is answered")
        assert model.calls == [1]

    asyncio.run(run())


def test_a_delay_is_at_most_half_of_the_deadline() -> None:
    assert (
        Batcher(
            max_rows=1, queue_limit=1, queue_seconds=1, deadline_seconds=2, on_batch=lambda *_: None
        ).delay_seconds
        == 0
    )
    made = Batcher(max_rows=1, queue_limit=1, queue_seconds=1, deadline_seconds=2, on_batch=lambda *_: None)
    made.configure(max_rows=None, delay_seconds=60, deadline_seconds=2)
    assert made.delay_seconds == 1


def test_requests_whose_answers_did_not_fit_are_sent_again_until_all_are_answered() -> None:
    async def run() -> None:
        model = Answering(first_only)
        batcher = batcher_of(model)
        answers = [batcher.submit(ONE) for _ in range(4)]
        found = await asyncio.wait_for(asyncio.gather(*answers), 10)
        assert [each.outputs[0].data for each in found] == [b"y"] * 4
        assert model.calls == [4, 3, 2, 1]
        assert batcher.idle

    asyncio.run(run())
