"""A real front with real TorchServes and native workers, in a process of its own, as the product runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from serving_runtime.archive import mar
from serving_runtime.contracts import RUNTIMES
from tests.waiting import until

from . import archives

DEADLINE_SECONDS = 3.0
QUEUE_LIMIT = 40


class Front:
    """One serving process; `want` tells it what to serve, with `runtime` if nothing else is said."""

    def __init__(self, folder: Path, runtime: str = "torchserve", **settings: str) -> None:
        self.folder = folder
        self.runtime = runtime
        folder.mkdir(parents=True, exist_ok=True)
        self.models_file = folder / "models.json"
        self._entries: dict[str, dict[str, Any]] = {}
        self.log = folder / "front.log"
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(mar.__file__).parents[2]),
            "SERVING_PORT": "0",
            "SERVING_WORK_DIR": str(folder / ".marina"),  # as on one machine; it has `.mar` in it
            "SERVING_JAVA_CACHE": str(Path(sys.prefix) / "java.aot"),
            "SERVING_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
            "SERVING_QUEUE_LIMIT": str(QUEUE_LIMIT),
            "SERVING_MAX_BODY_BYTES": str(1024 * 1024),
            **({} if "SERVING_MODEL_NAME" in settings else {"SERVING_MODELS_FILE": str(self.models_file)}),
            **settings,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving_runtime"], env=environment, stdout=log, stderr=log
            )
        self.url = until(self._address, "the front listens", seconds=30)
        # Every connection is kept: httpx closes those above a limit although another thread is just taking one of them.
        kept = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None)
        self.client = httpx.Client(base_url=self.url, timeout=20, limits=kept)

    def want(
        self,
        name: str,
        version: str,
        path: Path,
        sha256: str | None = None,
        runtime: str | None = None,
        options: Mapping[str, float] | None = None,
        environment: str | None = None,
    ) -> None:
        """Add or change one model."""
        self._entries[name] = {
            "name": name,
            "version": version,
            "mar": str(path),
            "sha256": sha256 or mar.sha256_of(path),
            "runtime": runtime or self.runtime,
            **(options or {}),
            **({"environment": environment} if environment else {}),
        }
        self._write()

    def want_no_more(self, name: str) -> None:
        del self._entries[name]
        self._write()

    def status(self, name: str) -> dict[str, Any]:
        listed = self.client.get("/status").json()["models"]
        return next((item for item in listed if item["name"] == name), {})

    def wait_until(self, name: str, seconds: float = 60, **expected: Any) -> dict[str, Any]:
        """Wait until /status says what is expected of a model."""
        status: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            status.clear()
            status.update(self.status(name))
            return status if expected.items() <= status.items() else None

        return until(look, lambda: f"{name} is {expected}, it is {status}", seconds)

    def infer(self, name: str, pixels: list[int], version: str | None = None, **more: Any) -> httpx.Response:
        """Ask with rows of 6 pixels."""
        path = f"/v2/models/{name}" + (f"/versions/{version}" if version else "") + "/infer"
        return self.client.post(path, content=body_of(pixels, **more))

    def batches(self, name: str) -> int:
        """How many batches have left for a model so far."""
        start = f'marina_batch_requests_count{{model="{name}"'
        lines = self.client.get("/metrics").text.splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith(start))

    def tree(self) -> list[psutil.Process]:
        """The process and all that it started."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def stop(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            finally:
                self.process.kill()

    def _write(self) -> None:
        temporary = self.models_file.with_suffix(".new")
        temporary.write_bytes(orjson.dumps({"models": list(self._entries.values())}))
        temporary.replace(self.models_file)

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        return next(
            (line.split()[-1] for line in self.log.read_text().splitlines() if "listening on" in line), None
        )


def body_of(pixels: list[int], **more: Any) -> bytes:
    """A v2 request for the summing model."""
    shape = [len(pixels) // 6, 2, 3]
    image = {"name": "image", "datatype": "UINT8", "shape": shape, "data": pixels}
    return orjson.dumps({"inputs": [image], **more})


def _with_three_models(folder: Path, runtime: str) -> Iterator[Front]:
    running = Front(folder, runtime)
    try:
        archives.summing(folder / "summing.mar")
        archives.summing(folder / "other.mar", name="other", offset=1000)
        archives.plain(folder / "plain.mar")
        for name in ("summing", "other", "plain"):
            running.want(name, "1", folder / f"{name}.mar")
        for name in ("summing", "other", "plain"):
            running.wait_until(name, state="ready")
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def torchserve_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front with two summing models (the second adds 1000) and an archive without a model spec, all ready."""
    yield from _with_three_models(tmp_path_factory.mktemp("torchserve"), "torchserve")


@pytest.fixture(scope="session")
def native_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The same with the native runtime."""
    yield from _with_three_models(tmp_path_factory.mktemp("native"), "native")


@pytest.fixture(scope="session", params=RUNTIMES)
def front(request: pytest.FixtureRequest) -> Front:
    """Both of them in turn: what the front promises holds with every runtime."""
    running: Front = request.getfixturevalue(f"{request.param}_front")
    return running


@pytest.fixture(params=RUNTIMES)
def new_front(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Front]]:
    """Start a front of one's own, with one ready model; stopped at the end."""
    started: list[Front] = []

    def start(**settings: str) -> Front:
        pod = {"SERVING_RUNTIME": request.param} if "SERVING_MODEL_NAME" in settings else {}
        running = Front(tmp_path / f"front{len(started)}", request.param, **pod, **settings)
        started.append(running)
        archives.summing(running.folder / "summing.mar")
        if "SERVING_MODEL_NAME" not in settings:
            running.want("summing", "1", running.folder / "summing.mar")
        running.wait_until("summing", state="ready")
        return running

    yield start
    for running in started:
        running.stop()
