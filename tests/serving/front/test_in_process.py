"""The HTTP side over a runtime without processes: statuses, codes, counting, in milliseconds."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving_runtime.archive import mar
from serving_runtime.contracts import RUNTIMES, ErrorCode
from serving_runtime.front.errors import STATUS
from serving_runtime.runtimes.registry import REGISTRY
from tests.waiting import until_async

from .. import archives
from ..in_process import InProcessFront, in_process

PIXELS = [1, 2, 3, 4, 5, 6]
Steps = Callable[[InProcessFront], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[mar.MarInfo, Path]:
    path = tmp_path_factory.mktemp("archive") / "summing.mar"
    return archives.summing(path), path


def run(tmp_path: Path, archive: tuple[mar.MarInfo, Path], steps: Steps, **settings: object) -> None:
    """Run the steps against a front that serves the summing model as version 1."""

    async def all_steps() -> None:
        async with in_process(tmp_path, **settings) as front:
            await front.serve((*archive, "1"))
            await steps(front)

    asyncio.run(all_steps())


async def infer(front: InProcessFront, pixels: list[int] = PIXELS, **more: object) -> httpx.Response:
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": pixels}
    return await front.client.post("/v2/models/summing/infer", json={"inputs": [image], **more})


def failure(answer: httpx.Response) -> tuple[int, str]:
    assert list(answer.json()) == ["error", "code"]
    return answer.status_code, answer.json()["code"]


def test_every_error_has_a_status_and_every_runtime_an_entry() -> None:
    assert set(STATUS) == set(ErrorCode)
    assert tuple(REGISTRY) == RUNTIMES


def test_an_inference_and_what_is_told_of_the_model(
    tmp_path: Path, archive: tuple[mar.MarInfo, Path]
) -> None:
    async def steps(front: InProcessFront) -> None:
        answer = await infer(front, id="7")
        assert answer.status_code == 200
        assert answer.json()["id"] == "7"
        assert [output["data"] for output in answer.json()["outputs"]] == [[21.0], ["sum 21"]]
        metadata = (await front.client.get("/v2/models/summing")).json()
        assert (metadata["platform"], metadata["versions"]) == ("fake", ["1"])
        assert (await front.client.get("/v2/models/summing/config")).json()["backend"] == "fake"
        statistics = (await front.client.get("/v2/models/summing/stats")).json()["model_stats"][0]
        assert statistics["inference_stats"]["success"]["count"] == 1
        assert (await front.client.get("/v2/health/ready")).json() == {"ready": True, "live": True}

    run(tmp_path, archive, steps)


def test_outputs_that_a_parameter_asks_for_follow_those_of_the_request(
    tmp_path: Path, archive: tuple[mar.MarInfo, Path]
) -> None:
    async def steps(front: InProcessFront) -> None:
        asked: dict[str, Any] = {
            "outputs": [{"name": "label"}],
            "parameters": {"return_preprocessed": True, "priority": 1},
        }
        outputs = (await infer(front, **asked)).json()["outputs"]
        assert [output["name"] for output in outputs] == ["label", "preprocessed"]
        assert outputs[1]["data"] == PIXELS
        wrong = await infer(front, parameters={"return_preprocessed": 1})
        assert failure(wrong) == (400, "invalid_request")

    run(tmp_path, archive, steps)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v2/models/other/infer", (404, "not_found")),
        ("POST", "/v2/models/summing/versions/2/infer", (404, "not_found")),
        ("GET", "/v2/models/summing/infer", (405, "wrong_method")),
        ("POST", "/v2/models/summing/infer", (400, "invalid_request")),
        ("POST", "/v2/repository/models/summing/load", (403, "not_offered")),
        ("GET", "/v2/other", (404, "not_found")),
    ],
)
def test_errors_carry_a_code(
    tmp_path: Path, archive: tuple[mar.MarInfo, Path], method: str, path: str, expected: tuple[int, str]
) -> None:
    async def steps(front: InProcessFront) -> None:
        assert failure(await front.client.request(method, path)) == expected

    run(tmp_path, archive, steps)


def test_a_model_that_raises_and_one_that_breaks_its_spec(
    tmp_path: Path, archive: tuple[mar.MarInfo, Path]
) -> None:
    async def steps(front: InProcessFront) -> None:
        for first, expected in (
            (251, (400, "invalid_request")),
            (252, (502, "model_failed")),
            (250, (502, "model_failed")),
        ):
            assert failure(await infer(front, [first, 0, 0, 0, 0, 0])) == expected

    run(tmp_path, archive, steps)


def test_a_full_queue_and_a_deadline(tmp_path: Path, archive: tuple[mar.MarInfo, Path]) -> None:
    async def steps(front: InProcessFront) -> None:
        (runtime,), (version,) = front.runtimes, front.models.live
        runtime.hold = True
        under_way = asyncio.create_task(infer(front))
        await until_async(lambda: not runtime.free, "the worker has the first")
        waiting = asyncio.create_task(infer(front))
        await until_async(lambda: version.batcher.waiting, "the second waits")
        rejected = await infer(front)
        assert failure(rejected) == (503, "queue_full")
        assert rejected.headers["retry-after"] == "1"
        assert failure(await under_way) == (504, "deadline_exceeded")
        # By then the worker is known to hang, and is being replaced.
        assert failure(await waiting) in ((503, "not_ready"), (504, "deadline_exceeded"))

    run(tmp_path, archive, steps, queue={"limit": 1}, deadline_seconds=0.3)


def test_requests_of_a_worker_that_fails_are_told_so_and_the_next_is_answered(
    tmp_path: Path, archive: tuple[mar.MarInfo, Path]
) -> None:
    async def steps(front: InProcessFront) -> None:
        (runtime,) = front.runtimes
        runtime.hold = True
        under_way = asyncio.create_task(infer(front))
        await until_async(lambda: not front.models.live[0].batcher.idle, "the worker has it")
        runtime.fail("it is gone")
        assert failure(await under_way) == (503, "not_ready")
        await until_async(lambda: front.dataplane.ready, "another worker is ready")
        assert (await infer(front)).status_code == 200
        assert len(front.runtimes) == 2

    run(tmp_path, archive, steps)


def test_each_request_is_counted_once(tmp_path: Path, archive: tuple[mar.MarInfo, Path]) -> None:
    async def steps(front: InProcessFront) -> None:
        await infer(front)
        await infer(front, [251, 0, 0, 0, 0, 0])
        await front.client.post("/v2/models/other/infer")
        text = (await front.client.get("/metrics")).text
        counted = [line for line in text.splitlines() if line.startswith("marina_infer_requests_total")]
        assert counted == [
            'marina_infer_requests_total{code="200",model="summing",version="1"} 1.0',
            'marina_infer_requests_total{code="400",model="summing",version="1"} 1.0',
            'marina_infer_requests_total{code="404",model="",version=""} 1.0',
        ]
        assert 'marina_infer_seconds_count{model="summing",version="1"} 1.0' in text

    run(tmp_path, archive, steps)


def test_gauges_of_a_replaced_or_stopped_version_disappear(
    tmp_path: Path, archive: tuple[mar.MarInfo, Path]
) -> None:
    async def ready(front: InProcessFront) -> list[str]:
        text = (await front.client.get("/metrics")).text
        assert [line for line in text.splitlines() if line.startswith("marina_queue_requests{")] == [
            line.replace("marina_model_ready", "marina_queue_requests").replace("} 1.0", "} 0.0")
            for line in text.splitlines()
            if line.startswith("marina_model_ready{")
        ]
        return [line for line in text.splitlines() if line.startswith("marina_model_ready{")]

    async def steps(front: InProcessFront) -> None:
        assert await ready(front) == ['marina_model_ready{model="summing",version="1"} 1.0']
        await front.serve((*archive, "2"))
        assert await ready(front) == ['marina_model_ready{model="summing",version="2"} 1.0']
        await front.serve()
        assert await ready(front) == []

    run(tmp_path, archive, steps)
