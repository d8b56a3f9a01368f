"""What the code of an archive tries, in both runtimes: nothing of it works, and all of it without containment."""

import os
from pathlib import Path

import psutil
import pytest

from serving_runtime import landlock
from serving_runtime.contracts import RUNTIMES
from tests.serving.containment import acts, measures, table
from tests.serving.containment.scene import MODELS, PROCESSES, SCRATCH_BYTES, Scene
from tests.waiting import until

ROOT = os.geteuid() == 0
ABI = landlock.abi()
NEEDS_LANDLOCK = pytest.mark.skipif(
    (ABI or 0) < 6, reason=f"NOT TESTED: needs Landlock ABI 6, this kernel has {ABI or 'none'}"
)
NEEDS_NAMESPACES = (
    "connect to the sockets of the server and of another model",
    "send by UDP",
    "fill the disk",
    "fill the disk with deleted files",
    "fork for ever",
)
"""Acts of a normal user's worker that nothing else stops, if it knows the way."""
CONNECTING = ("connect to an abstract socket", "connect by TCP", "listen by TCP", "send by UDP")


@pytest.mark.landlock
@NEEDS_LANDLOCK
class TestActs:
    @pytest.mark.parametrize("runtime", RUNTIMES)
    @pytest.mark.parametrize("act", acts.ACTS)
    def test_fail(self, contained: Scene, runtime: str, act: str) -> None:
        said = contained.status[runtime]["containment"]
        if act in NEEDS_NAMESPACES and not said["namespaces"]:
            pytest.skip("NOT TESTED: nothing stops this act where there are no namespaces")
        end = contained.answers[runtime]["acts"][act]
        assert not end["done"], end["result"]

    def test_leave_no_trace(self, contained: Scene) -> None:
        assert not contained.targets.outside.exists()
        assert not list(Path(contained.front.folder).rglob("more.py"))

    @pytest.mark.parametrize("act", CONNECTING)
    def test_that_connect_are_open_to_a_model_that_the_operator_names(
        self, contained: Scene, act: str
    ) -> None:
        ends = contained.answers["networked"]["acts"]
        assert ends[act]["done"] == (act != "connect to an abstract socket"), ends[act]["result"]
        others = contained.answers["native"]["acts"]
        more = {name for name, end in ends.items() if end["done"] and not others[name]["done"]}
        assert more <= set(CONNECTING)


class TestPositiveControl:
    @pytest.mark.parametrize("name", MODELS)
    @pytest.mark.parametrize("act", acts.ACTS)
    def test_every_act_works_without_containment(self, uncontained: Scene, name: str, act: str) -> None:
        if not ROOT and act in acts.ROOT_ONLY:
            pytest.skip("only root can do it anyway")
        end = uncontained.answers[name]["acts"][act]
        assert end["done"], end["result"]

    def test_the_listeners_heard_them(self, uncontained: Scene) -> None:
        assert {"TCP", "UDP", "an abstract socket"} <= set(uncontained.targets.heard)

    def test_status_says_that_nothing_is_in_force(self, uncontained: Scene) -> None:
        assert all(status["containment"] is None for status in uncontained.status.values())


class TestHarmlessActs:
    @pytest.mark.parametrize("name", MODELS)
    def test_work(self, contained: Scene, name: str) -> None:
        found = contained.answers[name]["harmless"]
        assert found["child"] == 7
        assert found["cores"] == os.cpu_count()
        assert found["home"] == found["temporary"]
        assert Path(found["home"]).is_relative_to(contained.front.folder)


class TestStatus:
    @pytest.mark.parametrize("name", MODELS)
    def test_says_what_the_kernel_says(self, contained: Scene, name: str) -> None:
        said = contained.status[name]["containment"]
        worker = contained.worker(name)
        lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
        kernel = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
        assert (said["no_new_privs"], kernel["NoNewPrivs"]) == (True, ["1"])
        assert int(kernel["CapEff"][0], 16) == int(kernel["CapPrm"][0], 16) == 0
        expected = os.geteuid() if said["own_uid"] is None else said["own_uid"]
        assert kernel["Uid"] == kernel["Gid"] == [str(expected)] * 4
        assert said["landlock"] == ABI
        limits = Path(f"/proc/{worker.pid}/limits").read_text().splitlines()
        expected_limits = {"Max core file size": 0, "Max file size": SCRATCH_BYTES}
        if said["limits"]["processes"] is not None:
            expected_limits["Max processes"] = PROCESSES
        for limit, most in expected_limits.items():
            (line,) = (line for line in limits if line.startswith(limit))
            assert line.removeprefix(limit).split()[:2] == [str(most)] * 2
        own_network = os.readlink(f"/proc/{worker.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        assert own_network == (said["network"] == "denied")

    @pytest.mark.skipif(not ROOT, reason="only root can give a worker a user of its own")
    def test_gives_each_model_a_user_of_its_own(self, contained: Scene) -> None:
        users = {contained.status[name]["containment"]["own_uid"] for name in MODELS}
        assert len(users) == len(MODELS)
        assert all(uid in range(61000, 62000) for uid in users)


class TestDocument:
    def test_has_a_row_for_each_act(self) -> None:
        assert [line.split("|")[1].strip() for line in table.written()[2:]] == list(acts.ACTS)

    @pytest.mark.landlock
    @NEEDS_LANDLOCK
    @pytest.mark.skipif(not ROOT, reason="NOT TESTED: the table is that of a server that runs as root")
    def test_says_what_happens_here(self, contained: Scene, uncontained: Scene, tmp_path: Path) -> None:
        stopped = measures.stopped_by(uncontained.in_reach_of("native"), tmp_path)
        assert table.written() == table.rows(contained, uncontained, stopped)


class TestOrphans:
    """The last test here: it ends the models."""

    @pytest.mark.parametrize("name", RUNTIMES)
    def test_end_with_their_worker(self, uncontained: Scene, name: str) -> None:
        worker = uncontained.worker(name)
        children = worker.children(recursive=True)
        assert len(children) >= acts.MOST_PROCESSES
        uncontained.front.want_no_more(name)
        until(lambda: not any(map(_is_alive, children)), "the processes of the handler end")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two looks
        return False
