"""A front in this process: the real HTTP side, data plane, queue and worker code over a runtime without processes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from serving_runtime.archive import mar
from serving_runtime.archive.manifest import read_manifest
from serving_runtime.containment import Plan, Report
from serving_runtime.errors import LoadFailed
from serving_runtime.front.app import App
from serving_runtime.front.recording import Recorder
from serving_runtime.front.recording_sender import Sender
from serving_runtime.models.containment import Containment
from serving_runtime.models.dataplane import DataPlane
from serving_runtime.models.logs import ModelLogs
from serving_runtime.models.metrics import Metrics
from serving_runtime.models.registry import Models
from serving_runtime.models.source import ModelSource
from serving_runtime.models.version import ModelEntry, Shared, WorkFolder
from serving_runtime.runtimes.base import OK, Done, OnFailure, Resources
from serving_runtime.runtimes.forkservers import ForkServers
from serving_runtime.runtimes.registry import RuntimeEntry
from serving_runtime.settings import Settings
from serving_runtime.worker import batches
from serving_runtime.worker.handlers import HandlerAdapter


class InProcessRuntime:
    """Runs the archive's handler in this process, when the loop comes to it; `hold` keeps calls unanswered."""

    def __init__(self, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._model: HandlerAdapter | None = None
        self._waiting: list[tuple[bytes, Done]] = []
        self.hold = False
        self.containment: Report | None = None
        self.plan: Plan | None = None

    @property
    def processes(self) -> tuple[int, ...]:
        return ()

    @property
    def free(self) -> bool:
        return not self._waiting

    async def start(
        self,
        model: Path,
        probe: Sequence[bytes],
        plan: Plan | None = None,
        *,
        seconds: float,
        output: Path | None = None,
    ) -> bytes:
        self.plan = plan
        self._model, problem = batches.load(model, read_manifest(model))
        if self._model is None:
            raise LoadFailed(problem)
        return b"".join(batches.run_batch(self._model, b"".join(probe)))

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        self._waiting.append((b"".join(frame), done))
        if not self.hold:
            asyncio.get_running_loop().call_soon(self.answer)

    def answer(self) -> None:
        """Answer what waits."""
        assert self._model is not None
        while self._waiting:
            frame, done = self._waiting.pop(0)
            done(OK, b"".join(batches.run_batch(self._model, frame)))

    def poll(self) -> None:
        pass

    def fail(self, reason: str) -> None:
        self._on_failure(reason)

    async def stop(self) -> None:
        self._waiting.clear()


class InProcessFront:
    """`client` speaks to the application itself; `serve` says which archives it has, by name and version."""

    def __init__(self, folder: Path, **settings: object) -> None:
        values = {"models_file": folder / "models.json", "work_dir": folder, "port": 0, **settings}
        self.settings = Settings.model_validate(values)
        self.runtimes: list[InProcessRuntime] = []
        metrics = Metrics()
        work = folder / "work"
        work.mkdir()
        self.logs = ModelLogs(work, self.settings.log)
        shared = Shared(
            self.settings,
            WorkFolder(work),
            Resources(ForkServers(work, threads=1)),
            metrics,
            asyncio.Semaphore(2),
            Containment(self.settings),
            self.logs,
            {"native": RuntimeEntry(self._make, "fake", "fake")},
        )
        self.models = Models(shared)
        source = ModelSource(self.settings, self.models)
        self.dataplane = DataPlane(self.models, source)
        app = App(self.settings, self.dataplane, metrics, Recorder(self.settings.recordings, Sender(metrics)))
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://localhost",
        )

    def _make(
        self, _folder: Path, _resources: Resources, _environment: str, on_failure: OnFailure
    ) -> InProcessRuntime:
        self.runtimes.append(InProcessRuntime(on_failure))
        return self.runtimes[-1]

    async def serve(self, *entries: tuple[mar.MarInfo, Path, str]) -> None:
        """Serve exactly these: what was packed, its file, and its version; returns when all are ready."""
        desired = [
            ModelEntry(info.name, version, path, info.sha256, "native") for info, path, version in entries
        ]
        self.models.reconcile(desired)
        async with asyncio.timeout(10):
            while sorted((each.entry.name, each.entry.version) for each in self.models.live) != sorted(
                (entry.name, entry.version) for entry in desired
            ):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def in_process(folder: Path, **settings: object) -> AsyncIterator[InProcessFront]:
    """A front without models, ended with the block."""
    front = InProcessFront(folder, **settings)
    try:
        yield front
    finally:
        await front.client.aclose()
        await front.models.close()
        front.logs.close()
