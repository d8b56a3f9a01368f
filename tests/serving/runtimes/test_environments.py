"""Environments: a model imports what its environment has, in both runtimes, beside models of other environments."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_runtime import environments
from serving_runtime.archive import mar
from serving_runtime.contracts import BASE_ENVIRONMENT, RUNTIMES

from .. import tiny_environment as tiny
from ..conftest import Front

HANDLER = """
import json
import sys

class Greeting:
    def initialize(self, context):
        import marina_greeting
        import torch
        self.answer = {"word": marina_greeting.WORD, "torch": torch.__version__, "prefix": sys.prefix}

    def handle(self, data, context):
        return [json.dumps(self.answer) for _ in data]
"""


def greeting(path: Path) -> Path:
    """Pack a model that needs the package of the tiny environment."""
    mar.build(
        path,
        name="greeting",
        handler="handler.py",
        serialized_file=None,
        files={"handler.py": HANDLER.encode()},
    )
    return path


def answer_of(front: Front, name: str) -> dict[str, Any]:
    tensor = {"name": "data", "datatype": "BYTES", "shape": [1], "data": ["?"]}
    answered = front.client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}).raise_for_status()
    found: dict[str, Any] = json.loads(answered.json()["outputs"][0]["data"][0])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny environment is described and built."""
    place = tmp_path_factory.mktemp("tiny")
    done = tiny.build(place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def front(folder: Path) -> Iterator[Front]:
    running = Front(folder / "front", SERVING_ENVIRONMENTS_DIR=str(folder / "environments"))
    yield running
    running.stop()


class TestBuilding:
    def test_it_has_its_own_package_and_shares_all_others(self, folder: Path) -> None:
        python = folder / "environments" / tiny.NAME / "bin" / "python"
        script = (
            "from importlib.util import find_spec as f; print(f('marina_greeting').origin, f('torch').origin)"
        )
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        own, shared = done.stdout.split()
        assert own.startswith(str(folder))
        assert shared.startswith(sys.prefix)

    def test_it_says_what_can_be_imported(self, folder: Path) -> None:
        found = environments.built(folder / "environments")[tiny.NAME]
        assert found.imports > {"marina_greeting", "torch", "numpy", "PIL", "ts"}
        assert found.packages["marina-greeting"] == "1.0"
        assert found.packages["torch"]
        assert found.preload == ("marina_greeting",)

    def test_the_same_stands_beside_the_lock_for_those_that_have_not_built_it(self, folder: Path) -> None:
        written = json.loads((folder / "source" / tiny.NAME / environments.DESCRIPTION).read_text())
        assert written["imports"] == ["marina_greeting"]
        assert written["packages"] == {"marina-greeting": "1.0"}

    def test_a_module_whose_import_starts_a_thread_is_not_preloaded(self, tmp_path: Path) -> None:
        code = "import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        done = tiny.build(tmp_path, code)
        assert (
            "marina_greeting is imported by each worker for itself: its import starts threads" in done.stdout
        )
        assert environments.built(tmp_path / "environments")[tiny.NAME].preload == ()

    def test_a_package_that_cannot_be_imported_fails_a_strict_build(self, tmp_path: Path) -> None:
        assert tiny.build(tmp_path, "import not_there\n").returncode == 0
        folders = ["--source", str(tmp_path / "source"), "--to", str(tmp_path / "environments")]
        done = tiny.run(*folders, "--strict", tiny.NAME, wheels=tmp_path)
        assert done.returncode == 1
        assert "its import fails (ModuleNotFoundError: No module named 'not_there')" in done.stderr

    def test_a_build_that_fails_leaves_the_one_before(self, tmp_path: Path) -> None:
        tiny.build(tmp_path)
        built = tmp_path / "environments" / tiny.NAME
        first = built.resolve()
        lock = tmp_path / "source" / tiny.NAME / "requirements.lock"
        lock.write_text(lock.read_text().replace("==1.0", "==2.0"))
        folders = ["--source", str(tmp_path / "source"), "--to", str(tmp_path / "environments")]
        assert tiny.run(*folders, tiny.NAME, wheels=tmp_path).returncode == 1
        assert built.resolve() == first
        assert list(first.parent.iterdir()) == [first]

    def test_of_an_unknown_one_it_says_which_there_are_and_how_to_add_one(self, folder: Path) -> None:
        done = tiny.run("--source", str(folder / "source"), "nobody")
        assert done.returncode == 1
        assert "there is no environment nobody; there are tiny." in done.stderr
        assert "requirements.in, then run: make lock" in done.stderr


class TestServing:
    @pytest.mark.parametrize("runtime", RUNTIMES)
    def test_a_model_imports_what_its_environment_has(self, front: Front, runtime: str) -> None:
        name = f"greeting-{runtime}"
        front.want(name, "1", greeting(front.folder / "g.mar"), runtime=runtime, environment=tiny.NAME)
        status = front.wait_until(name, state="ready")
        assert status["environment"] == tiny.NAME
        answer = answer_of(front, name)
        assert answer["word"] == "hello"
        assert Path(answer["prefix"]) == (front.folder.parent / "environments" / tiny.NAME).resolve()

    def test_it_does_not_in_the_base_environment(self, front: Front) -> None:
        front.want("without", "1", greeting(front.folder / "w.mar"), runtime="native")
        status = front.wait_until("without", state="failed")
        assert status["environment"] == BASE_ENVIRONMENT
        assert "No module named 'marina_greeting'" in status["reason"]

    def test_another_environment_takes_over_without_a_gap(self, front: Front) -> None:
        archive = greeting(front.folder / "m.mar")
        front.want("moving", "1", archive, runtime="native", environment=tiny.NAME)
        front.wait_until("moving", state="ready", live_version="1")
        front.want("moving", "2", archive, runtime="native", environment="nowhere")
        status = front.wait_until("moving", state="failed")
        assert status["live_version"] == "1"
        assert answer_of(front, "moving")["word"] == "hello"

    def test_a_new_build_is_for_what_is_loaded_then_and_takes_no_file_from_what_runs(
        self, tmp_path: Path
    ) -> None:
        tiny.build(tmp_path)
        built = tmp_path / "environments" / tiny.NAME
        first = built.resolve()
        running = Front(tmp_path / "front", SERVING_ENVIRONMENTS_DIR=str(tmp_path / "environments"))
        try:
            archive = greeting(tmp_path / "late.mar")
            running.want("before", "1", archive, runtime="native", environment=tiny.NAME)
            running.wait_until("before", state="ready")
            assert tiny.build(tmp_path, "WORD = 'good day'\n").returncode == 0
            assert built.resolve() != first
            assert first.exists()
            running.want("after", "1", archive, runtime="native", environment=tiny.NAME)
            running.wait_until("after", state="ready")
            assert [answer_of(running, name)["word"] for name in ("before", "after")] == ["hello", "good day"]
        finally:
            running.stop()
        assert tiny.run("--to", str(tmp_path / "environments"), "--tidy").returncode == 0
        assert list(first.parent.iterdir()) == [built.resolve()]

    def test_of_one_that_is_not_here_the_reason_says_what_makes_it(self, front: Front) -> None:
        front.want("nowhere", "1", greeting(front.folder / "n.mar"), environment="nowhere")
        reason = front.wait_until("nowhere", state="failed")["reason"]
        assert "the environment nowhere is not here" in reason
        assert "make environment NAME=nowhere" in reason
        assert "marina-serving-nowhere" in reason
