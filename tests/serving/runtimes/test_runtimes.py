"""Both runtimes below the front: what dies is replaced, what is bad never serves, nothing is left behind."""

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil
import pytest

from tests.waiting import until

from .. import archives
from ..conftest import DEADLINE_SECONDS, Front, body_of

GOLDEN = [1, 2, 3, 4, 5, 6]


class Load:
    """Clients that ask all the time; afterwards `answers` holds (status, version, value, seconds, retry-after)."""

    def __init__(self, front: Front, clients: int = 4, pause: float = 0.02) -> None:
        self.answers: list[tuple[int, str | None, float | None, float, str | None]] = []
        self._front = front
        self._pause = pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def go_on(self) -> None:
        """Wait for 20 more answers."""
        count = len(self.answers)
        until(lambda: len(self.answers) > count + 20, "requests are answered", seconds=30)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer[0] for answer in self.answers)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._front.url, timeout=30) as http:
            while not self._stop.wait(self._pause):
                began = time.monotonic()
                answer = http.post("/v2/models/summing/infer", content=body_of(GOLDEN))
                seconds = time.monotonic() - began
                document = answer.json()
                value = document["outputs"][0]["data"][0] if answer.status_code == 200 else None
                self.answers.append(
                    (
                        answer.status_code,
                        document.get("model_version"),
                        value,
                        seconds,
                        answer.headers.get("retry-after"),
                    )
                )


def worker_of(front: Front, name: str = "summing") -> int:
    return int(front.status(name)["processes"][-1])


def forkserver_of(front: Front) -> int:
    return psutil.Process(worker_of(front)).ppid()


class TestHealing:
    @pytest.mark.parametrize(("victim", "seconds"), [(worker_of, 10), (forkserver_of, 15)])
    def test_a_killed_process_is_replaced(
        self, front: Front, victim: Callable[[Front], int], seconds: float
    ) -> None:
        restarts = front.status("summing")["restarts"]
        with Load(front) as load:
            load.go_on()
            os.kill(victim(front), signal.SIGKILL)
            began = time.monotonic()
            front.wait_until("summing", state="ready", restarts=restarts + 1, seconds=seconds)
            healed = time.monotonic() - began
            load.go_on()
        print(f"healed in {healed:.1f} s, {dict(load.statuses)}")
        assert set(load.statuses) <= {200, 503}
        assert load.answers[-1][0] == 200
        assert all(answer[2] == 21.0 for answer in load.answers if answer[0] == 200)
        assert all(answer[4] == "1" for answer in load.answers if answer[0] == 503)
        assert max(answer[3] for answer in load.answers) < DEADLINE_SECONDS + 1

    def test_a_model_that_kills_its_own_process_is_replaced(self, front: Front) -> None:
        answer = front.infer("summing", [254, 0, 0, 0, 0, 0])
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert front.infer("other", GOLDEN).status_code == 200
        front.wait_until("summing", state="ready", seconds=10)
        assert front.infer("summing", GOLDEN).status_code == 200

    def test_a_hanging_worker_is_replaced_and_its_requests_end_at_the_deadline(self, front: Front) -> None:
        hanging = worker_of(front)
        os.kill(hanging, signal.SIGSTOP)
        began = time.monotonic()
        answer = front.infer("summing", GOLDEN)
        assert answer.status_code in (503, 504)
        assert time.monotonic() - began < DEADLINE_SECONDS + 1
        until(lambda: front.status("summing")["state"] != "ready", "it is not called ready", 15)
        front.wait_until("summing", state="ready", seconds=30)
        assert not psutil.pid_exists(hanging)
        assert front.infer("summing", GOLDEN).status_code == 200

    def test_a_stopped_fork_server_does_not_keep_a_worker_from_coming_back(self, front: Front) -> None:
        front.wait_until("other", state="ready")
        stopped = forkserver_of(front)
        os.kill(stopped, signal.SIGSTOP)
        assert front.infer("summing", GOLDEN).status_code == 200
        os.kill(worker_of(front), signal.SIGKILL)
        until(lambda: front.status("summing")["state"] != "ready", "its death is noticed", seconds=30)
        for name in ("summing", "other"):
            front.wait_until(name, state="ready", seconds=30)
        assert front.infer("summing", GOLDEN).status_code == 200
        assert not psutil.pid_exists(stopped)

    def test_a_hang_is_noticed_without_any_request(self, front: Front) -> None:
        restarts = front.wait_until("other", state="ready")["restarts"]
        os.kill(worker_of(front, "other"), signal.SIGSTOP)
        front.wait_until("other", state="ready", restarts=restarts + 1, seconds=30)


class TestReadiness:
    def test_ready_only_after_a_real_inference(self, front: Front) -> None:
        archives.summing(front.folder / "slow.mar", name="slow", on_load="time.sleep(2)")
        front.want("slow", "1", front.folder / "slow.mar")
        front.wait_until("slow", state="starting")
        assert front.client.get("/v2/models/slow/ready").status_code == 503
        assert front.client.get("/v2/health/ready").status_code == 503
        assert front.client.get("/v2/health/live").status_code == 200
        answer = front.infer("slow", GOLDEN)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        front.wait_until("slow", state="ready")
        assert front.infer("slow", GOLDEN).status_code == 200
        front.want_no_more("slow")
        until(lambda: not front.status("slow"), "it is gone", seconds=30)
        assert front.infer("slow", GOLDEN).status_code == 404

    @pytest.mark.parametrize(
        ("broken", "reason"),
        [
            ({"on_load": "raise RuntimeError('no weights here')"}, "no weights here"),
            ({"on_load": "raise SystemExit(1)"}, "SystemExit"),
            ({"on_load": "os._exit(1)"}, "died while it loaded"),
            ({"extra": "import no_such_package"}, "no_such_package"),
            ({"golden_total": 22.0}, "golden"),
            ({"offset": 'float("nan")', "golden_total": 21.0}, "NaN"),
        ],
    )
    def test_a_bad_version_never_serves_and_status_says_why(
        self, front: Front, broken: dict[str, Any], reason: str
    ) -> None:
        archives.summing(front.folder / "bad.mar", **broken)
        front.want("summing", "2", front.folder / "bad.mar")
        with Load(front, clients=1, pause=0.05) as load:
            status = front.wait_until("summing", state="failed")
            answered = len(load.answers)
            until(lambda: len(load.answers) > answered + 1, "requests are still answered")
        assert reason in status["reason"]
        assert (status["desired_version"], status["live_version"]) == ("2", "1")
        assert set(load.statuses) == {200}
        assert {answer[1] for answer in load.answers} == {"1"}
        front.want("summing", "1", front.folder / "summing.mar")
        assert front.wait_until("summing", state="ready")["reason"] is None

    def test_an_archive_with_another_hash_never_serves(self, front: Front) -> None:
        front.want("summing", "2", front.folder / "other.mar", sha256="0" * 64)
        assert "sha256" in front.wait_until("summing", state="failed")["reason"]
        assert front.infer("summing", GOLDEN).json()["model_version"] == "1"
        front.want("summing", "1", front.folder / "summing.mar")
        front.wait_until("summing", state="ready")

    def test_a_broken_models_file_changes_nothing(self, front: Front) -> None:
        good = front.models_file.read_bytes()
        front.models_file.write_bytes(b'{"models": [')
        until(lambda: front.client.get("/status").json()["problem"], "the problem is told", seconds=30)
        assert front.infer("summing", GOLDEN).status_code == 200
        front.models_file.write_bytes(good)
        until(
            lambda: front.client.get("/status").json()["problem"] is None, "the problem is gone", seconds=30
        )


class TestVersions:
    def test_a_version_switch_under_load_fails_no_request(self, front: Front) -> None:
        archives.summing(front.folder / "second.mar")
        replaced: set[int] = set()
        with Load(front) as load:
            for version in ("2", "1"):
                replaced |= set(front.wait_until("summing", state="ready")["processes"])
                front.want("summing", version, front.folder / "second.mar")
                front.wait_until("summing", state="ready", live_version=version)
                load.go_on()
        assert set(load.statuses) == {200}
        assert len(load.answers) > 60
        assert {answer[1] for answer in load.answers} == {"1", "2"}
        assert replaced
        until(
            lambda: not any(map(psutil.pid_exists, replaced)),
            "the old versions' processes are gone",
            seconds=30,
        )

    def test_a_request_whose_body_arrives_across_the_switch_is_answered(self, front: Front) -> None:
        archives.summing(front.folder / "second.mar")
        body = body_of(GOLDEN)

        def in_two_pieces(version: str) -> Iterator[bytes]:
            old = front.wait_until("summing", state="ready")["processes"]
            yield body[:20]
            front.want("summing", version, front.folder / "second.mar")
            front.wait_until("summing", state="ready", live_version=version)
            until(
                lambda: not any(map(psutil.pid_exists, old)),
                "the old version's processes are gone",
                seconds=30,
            )
            yield body[20:]

        for version in ("2", "1"):
            answer = front.client.post("/v2/models/summing/infer", content=in_two_pieces(version))
            assert (answer.status_code, answer.json().get("model_version")) == (200, version), answer.text


class TestIsolation:
    def test_nothing_listens_beyond_the_loopback_address(self, front: Front) -> None:
        listening = []
        for process in front.tree():
            with contextlib.suppress(psutil.NoSuchProcess):  # one that a healed model left ends meanwhile
                listening += [
                    connection.laddr.ip
                    for connection in process.net_connections("inet")
                    if connection.status == psutil.CONN_LISTEN
                ]
        assert listening
        assert set(listening) == {"127.0.0.1"}


class TestEnd:
    def test_a_killed_front_leaves_no_process_behind(
        self, new_front: Callable[..., Front], tmp_path: Path
    ) -> None:
        """As a pod runs it: one archive in a folder, no models file."""
        folder = tmp_path / "pod"
        folder.mkdir()
        archives.summing(folder / "whatever.mar", name="another-name")
        front = new_front(
            SERVING_MODEL_NAME="summing", SERVING_MODEL_DIR=str(folder), SERVING_MODEL_VERSION="7"
        )
        assert front.infer("summing", GOLDEN).json()["model_version"] == "7"
        family = front.tree()
        assert len(family) >= 3
        front.process.kill()
        front.process.wait()
        _, alive = psutil.wait_procs(family, timeout=5)
        assert [process.cmdline() for process in alive] == []

    def test_a_term_signal_drains_and_ends_with_0(self, new_front: Callable[..., Front]) -> None:
        front = new_front()
        family = front.tree()
        slow: list[httpx.Response] = []
        before = front.batches("summing")
        asking = threading.Thread(target=lambda: slow.append(front.infer("summing", [253, 0, 0, 0, 0, 0])))
        asking.start()
        until(lambda: front.batches("summing") > before, "the model has the request")
        began = time.monotonic()
        front.process.send_signal(signal.SIGTERM)
        assert front.process.wait(10) == 0
        print(f"ended in {time.monotonic() - began:.1f} s")
        asking.join()
        assert slow[0].status_code == 200
        assert psutil.wait_procs(family, timeout=2)[1] == []
