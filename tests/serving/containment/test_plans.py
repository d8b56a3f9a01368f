"""What the front plans for its workers, and what it does when a measure is missing."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from serving_runtime import landlock
from serving_runtime.containment import Plan, Uncontained
from serving_runtime.errors import LoadFailed
from serving_runtime.models.containment import Containment
from serving_runtime.settings import Settings, WorkerSettings
from serving_runtime.worker import containment
from tests.waiting import until_async

from .. import archives
from ..conftest import Front
from ..in_process import in_process

ROOT = os.geteuid() == 0


def planner(**settings: object) -> Callable[[str], Plan | None]:
    """Makes plans for models by name."""
    made = Containment(Settings.model_validate({"models_file": Path("models.json"), **settings}))
    return lambda name: made.plan(name, Path("/model"), Path("/scratch"))


class TestPlans:
    def test_there_is_none_when_containment_is_off(self) -> None:
        assert planner(containment="off")("digits") is None

    @pytest.mark.parametrize(
        ("named", "open_to"), [("", set()), ("a, b", {"a", "b"}), ("*", {"a", "b", "c"})]
    )
    def test_only_models_that_are_named_may_connect(self, named: str, open_to: set[str]) -> None:
        plan = planner(worker={"network": named})
        assert {name for name in "abc" if getattr(plan(name), "network", False)} == open_to

    def test_survive_the_way_to_the_fork_server(self) -> None:
        plan = planner(worker={"readable": "/a:/b"})("digits")
        assert plan is not None
        assert plan.readable == ("/a", "/b")
        assert Plan.from_json(plan.to_json()) == plan

    @pytest.mark.parametrize("uids", ["0-5", "61000", "61000-", "a-b", "-1-5"])
    def test_a_wrong_range_of_users_is_rejected(self, uids: str) -> None:
        with pytest.raises(ValidationError, match="uids"):
            WorkerSettings(uids=uids)


class TestUsers:
    @pytest.fixture
    def users(self, monkeypatch: pytest.MonkeyPatch) -> Containment:
        """Three users, as for root."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        return Containment(
            Settings(models_file=Path("models.json"), worker=WorkerSettings(uids="62001-62003"))
        )

    def test_are_handed_out_once_and_again_when_their_worker_is_gone(self, users: Containment) -> None:
        plans = [users.plan("digits", Path("/m"), Path("/s")) for _ in range(3)]
        assert {plan and plan.uid for plan in plans} == {62001, 62002, 62003}
        with pytest.raises(LoadFailed, match="SERVING_WORKER_UIDS"):
            users.plan("digits", Path("/m"), Path("/s"))
        users.release(plans[1])
        again = users.plan("digits", Path("/m"), Path("/s"))
        assert again is not None
        assert plans[1] is not None
        assert again.uid == plans[1].uid


class TestRequired:
    @pytest.mark.parametrize("abi", [None, 1, 5])
    def test_an_old_kernel_is_named(self, abi: int | None) -> None:
        with pytest.raises(Uncontained, match=f"Landlock ABI is {abi or 'none'}.*needs 6"):
            containment.require(abi)

    def test_a_model_is_served_where_nothing_is_missing_and_reads_what_the_operator_names(
        self, tmp_path: Path
    ) -> None:
        labels = tmp_path / "labels"
        labels.mkdir(mode=0o755)
        (labels / "labels.txt").write_text("one two")
        tmp_path.chmod(0o700)
        archive = tmp_path / "summing.mar"
        archives.summing(archive, on_load=f"open({str(labels / 'labels.txt')!r}).read()")
        front = Front(
            tmp_path / "front",
            "native",
            SERVING_CONTAINMENT="required",
            SERVING_WORKER_READABLE=str(labels),
            SERVING_WORKER_UIDS="62000-62009",
        )
        try:
            front.want("summing", "1", archive)
            if (landlock.abi() or 0) < 6:
                front.wait_until("summing", state="failed")
                assert "Landlock" in front.status("summing")["reason"]
                return
            said = front.wait_until("summing", state="ready")["containment"]
            assert (said["own_uid"] in range(62000, 62010)) == ROOT
        finally:
            front.stop()

    @pytest.mark.skipif(not ROOT, reason="only root's workers need a user of their own")
    @pytest.mark.parametrize("runtime", ["native", "torchserve"])
    def test_a_model_is_not_served_where_a_measure_is_missing(self, tmp_path: Path, runtime: str) -> None:
        archives.summing(tmp_path / "summing.mar")
        front = Front(tmp_path / "front", runtime, SERVING_CONTAINMENT="required", SERVING_WORKER_UIDS="")
        try:
            front.want("summing", "1", tmp_path / "summing.mar")
            reason = front.wait_until("summing", state="failed")["reason"]
            assert "cannot be contained" in reason
            assert "SERVING_CONTAINMENT" in reason
        finally:
            front.stop()


class TestScratchOnTheDisk:
    def test_a_worker_that_fills_it_is_replaced(self, tmp_path: Path) -> None:
        asyncio.run(self._fill(tmp_path))

    @staticmethod
    async def _fill(tmp_path: Path) -> None:
        archive = tmp_path / "summing.mar"
        info = archives.summing(archive)
        async with in_process(tmp_path, worker={"scratch_bytes": 1024**2}) as front:
            await front.serve((info, archive, "1"))
            (runtime,) = front.runtimes
            runtime.containment = {"scratch": "watched"}
            assert runtime.plan is not None
            Path(runtime.plan.scratch, "large").write_bytes(bytes(2 * 1024**2))
            await until_async(lambda: len(front.runtimes) == 2, "the worker is replaced")
            assert not Path(runtime.plan.scratch).exists()
            (live,) = front.models.live
            await until_async(lambda: live.ready, "the new one is ready")
            assert live.restarts == 1
