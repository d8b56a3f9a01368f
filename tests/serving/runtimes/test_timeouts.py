"""Each model has its own time to load and to answer, with both runtimes."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_runtime.archive import mar
from serving_runtime.models import registry
from serving_runtime.models.version import ModelEntry
from serving_runtime.runtimes.base import OnFailure, Resources
from tests.waiting import until

from .. import archives
from ..conftest import DEADLINE_SECONDS, Front
from ..in_process import InProcessFront, InProcessRuntime, in_process

GOLDEN = [1, 2, 3, 4, 5, 6]


@pytest.fixture
def slow(front: Front) -> Iterator[Callable[..., None]]:
    """Deploy a model that takes its time, as `want(**settings of the archive, and options)`; gone at the end."""

    def want(on_load: str = "pass", each_call: str = "pass", **options: float) -> None:
        path = front.folder / "slow.mar"
        archives.summing(path, name="slow", on_load=on_load, each_call=each_call)
        front.want("slow", "1", path, options=options)

    yield want
    front.want_no_more("slow")
    until(lambda: not front.status("slow"), "it is gone", 30)


def test_a_model_that_loads_for_too_long_says_which_limit_and_how_to_raise_it(
    front: Front, slow: Callable[..., None]
) -> None:
    slow(on_load="time.sleep(20)", startup_seconds=1)
    reason = front.wait_until("slow", state="failed", seconds=30)["reason"]
    assert "within 1 s of its start" in reason
    assert "give the deployment more startup_seconds" in reason
    assert front.infer("summing", GOLDEN).status_code == 200


def test_a_model_may_take_longer_to_answer_than_others(front: Front, slow: Callable[..., None]) -> None:
    long = f"time.sleep({DEADLINE_SECONDS + 1}) if inputs['image'].flat[0] == 249 else None"
    slow(each_call=long, response_seconds=20)
    front.wait_until("slow", state="ready")
    answer = front.infer("slow", [249, 0, 0, 0, 0, 0])
    assert answer.status_code == 200, answer.text
    assert front.status("slow")["restarts"] == 0


def test_a_request_that_runs_out_of_time_says_which_limit(front: Front, slow: Callable[..., None]) -> None:
    slow(each_call="time.sleep(9) if inputs['image'].flat[0] == 249 else None", response_seconds=1)
    front.wait_until("slow", state="ready")
    answer = front.infer("slow", [249, 0, 0, 0, 0, 0])
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert "1 s, the deployment's response_seconds" in answer.json()["error"]


def test_an_archive_asks_for_its_own_time_where_the_deployment_says_nothing(
    native_front: Front,
) -> None:
    path = native_front.folder / "asking.mar"
    handler = archives.PLAIN_HANDLER.replace("self.name =", "__import__('time').sleep(20); self.name =")
    files: dict[str, bytes | Path] = {"handler.py": handler.encode(), "config.yaml": b"startupTimeout: 1\n"}
    mar.build(
        path,
        name="asking",
        handler="handler.py",
        serialized_file=None,
        files=files,
        config_file="config.yaml",
    )
    native_front.want("asking", "1", path)
    reason = native_front.wait_until("asking", state="failed", seconds=15)["reason"]
    native_front.want_no_more("asking")
    assert "within 1 s of its start" in reason


def test_a_pod_that_is_stopped_before_its_model_answers_says_why_in_its_last_line(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    archives.summing(folder / "slow.mar", on_load="time.sleep(20)")
    pod = {"NAME": "slow", "DIR": str(folder), "STARTUP_SECONDS": "1"}
    settings = {f"SERVING_MODEL_{key}": value for key, value in pod.items()}
    front = Front(tmp_path / "front", "native", SERVING_RUNTIME="native", **settings)
    try:
        front.wait_until("slow", state="failed", seconds=30)
        front.process.send_signal(signal.SIGTERM)
        assert front.process.wait(15) == 1
        assert (
            "cannot be served: the model did not answer within 1 s" in front.log.read_text().splitlines()[-1]
        )
    finally:
        front.stop()


class LoadsForEver(InProcessRuntime):
    """A runtime whose model named `slow` never gets ready."""

    async def start(self, model: Path, *others: Any, **named: Any) -> bytes:
        if b"name: slow" in (model / "model.yaml").read_bytes():
            await asyncio.sleep(3600)
        return await super().start(model, *others, **named)


def test_models_that_load_for_long_hold_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(
        self: InProcessFront, _folder: Path, _resources: Resources, _environment: str, on_failure: OnFailure
    ) -> InProcessRuntime:
        self.runtimes.append(LoadsForEver(on_failure))
        return self.runtimes[-1]

    async def steps() -> None:
        async with in_process(tmp_path) as front:
            infos = {
                name: archives.summing(tmp_path / f"{name}.mar", name=name) for name in ("slow", "quick")
            }
            names = {"a": "slow", "b": "slow", "c": "slow", "d": "quick"}
            front.models.reconcile(
                ModelEntry(name, "1", tmp_path / f"{of}.mar", infos[of].sha256, "native")
                for name, of in names.items()
            )
            async with asyncio.timeout(10):
                while not front.models.live:
                    await asyncio.sleep(0.01)
            assert [each.entry.name for each in front.models.live] == ["d"]

    monkeypatch.setattr(InProcessFront, "_make", make)
    monkeypatch.setattr(registry, "_SLOT_SECONDS", 0.1)
    asyncio.run(steps())
