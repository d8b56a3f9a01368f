"""One version of one model while it is served: unpack, check, start, self-test, watch, replace what fails, stop."""

import asyncio
import logging
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving_runtime import processes
from serving_runtime.archive import interface, mar
from serving_runtime.archive.manifest import BATCH_SIZE
from serving_runtime.archive.model_config import ModelConfig
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.containment import Plan, Report
from serving_runtime.contracts import BASE_ENVIRONMENT, RESPONSE_SECONDS_BOUNDS, STARTUP_SECONDS_BOUNDS
from serving_runtime.errors import HandlerStatus, InvalidRequest, LoadFailed, ModelFailed, ServingError
from serving_runtime.models.batching import Batcher
from serving_runtime.models.containment import Containment, bytes_in, open_for_all
from serving_runtime.models.logs import ModelLogs, Output
from serving_runtime.models.metrics import Metrics
from serving_runtime.models.self_test import SelfTest
from serving_runtime.runtimes.base import Resources, Runtime
from serving_runtime.runtimes.registry import REGISTRY, RuntimeEntry
from serving_runtime.settings import Settings

PROBE_SECONDS = 3.0  # a version without traffic for this long is probed
_RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_STABLE_SECONDS = 5.0  # ready for so long: the next failure is a new one

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelEntry:
    """One model that shall be served. Two entries that differ are two versions, even with one number."""

    name: str
    version: str
    mar: Path
    sha256: str | None
    runtime: str
    startup_seconds: float | None = None
    response_seconds: float | None = None
    environment: str = BASE_ENVIRONMENT
    batch_size: int | None = None
    batch_delay_ms: int | None = None


class WorkFolder:
    """Hands out short private folders that cannot be guessed; all is removed at the start and at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def new(self) -> Path:
        folder = self.path / secrets.token_hex(6)
        folder.mkdir(mode=0o700)
        return folder


@dataclass(frozen=True)
class Shared:
    """What all versions use together."""

    settings: Settings
    folder: WorkFolder
    resources: Resources
    metrics: Metrics
    starts: asyncio.Semaphore
    containment: Containment
    logs: ModelLogs
    runtimes: Mapping[str, RuntimeEntry] = field(default_factory=lambda: REGISTRY)


class Version:
    """`ready` after `start` and whenever the last inference worked; `reason` says why not."""

    def __init__(self, entry: ModelEntry, shared: Shared) -> None:
        self.entry = entry
        self.ready = False
        self.reason: str | None = None
        self.restarts = 0
        self.inputs: tuple[TensorSpec, ...] = interface.PLAIN.inputs
        self.outputs: tuple[TensorSpec, ...] = interface.PLAIN.outputs
        self.runtime = shared.runtimes[entry.runtime]
        self.parameters: frozenset[str] = frozenset()
        self.takes_context = False
        self.config = ModelConfig()
        self.metrics = shared.metrics.version(entry.name, entry.version)
        self.response_seconds = entry.response_seconds or shared.settings.deadline_seconds
        self.batcher = Batcher(
            max_rows=shared.settings.max.batch,
            queue_limit=shared.settings.queue.limit,
            queue_seconds=shared.settings.queue.seconds,
            deadline_seconds=self.response_seconds,
            busy_poll=shared.settings.busy_poll,
            on_batch=self._count_batch,
            on_metrics=self.metrics.handler.add,
        )
        self._shared = shared
        self._output: Output | None = None
        self._model: Path | None = None
        self._self_test: SelfTest | None = None
        self._backend: Runtime | None = None
        self._plan: Plan | None = None
        self._scratch: Path | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._ready_at = 0.0
        self._attempt = 0

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of Java, if there is one, and the worker; empty while there are none."""
        return self._backend.processes if self._backend is not None else ()

    @property
    def containment(self) -> Report | None:
        """Which measures are in force for the worker; None while there is none, or when containment is off."""
        return self._backend.containment if self._backend is not None else None

    @property
    def _startup_seconds(self) -> float:
        """What the deployment says, else what its archive asks for, else the default."""
        asked = self.entry.startup_seconds or self.config.startup_seconds
        return min(asked or self._shared.settings.startup_seconds, STARTUP_SECONDS_BOUNDS[1])

    async def start(self) -> None:
        """Bring the version to its first right answer. Raises LoadFailed with the reason."""
        self._output = self._shared.logs.open(self.entry.name, self.entry.version)
        await self._unpack()
        await self._start_backend()
        self._run(self._probe_now_and_then())

    async def stop(self, *, drain_seconds: float = 0.0) -> None:
        """Let requests that are here be answered for at most `drain_seconds`, then end the processes."""
        self._stopping = True
        deadline = asyncio.get_running_loop().time() + drain_seconds
        while not self.batcher.idle and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        self.ready = False
        self.batcher.close("the model is being stopped")
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end_backend()
        if self._model is not None:
            await asyncio.to_thread(shutil.rmtree, self._model, ignore_errors=True)
        if self._output is not None:
            self._output.close()
            self._output = None

    def note(self, text: str) -> None:
        """Add a line to the model's log."""
        if self._output is not None:
            self._output.note(text)

    async def _unpack(self) -> None:
        folder = self._shared.folder.new()
        self._model = folder
        try:
            info = await asyncio.to_thread(mar.unpack, self.entry.mar, folder)
            if self.entry.batch_size is not None:
                (folder / BATCH_SIZE).write_text(str(self.entry.batch_size), "ascii")
            await asyncio.to_thread(open_for_all, folder)
        except FileNotFoundError:
            # Reasons are shown to everybody, so that paths of this machine are for the log only.
            _log.warning("model %s: there is no archive %s", self.entry.name, self.entry.mar)
            raise LoadFailed("the archive is missing; restore it, or upload it as a new version") from None
        except OSError as error:
            _log.warning("model %s: %s cannot be unpacked: %s", self.entry.name, self.entry.mar, error)
            raise LoadFailed(f"the archive cannot be unpacked: {error.strerror}") from None
        except mar.MarError as error:
            raise LoadFailed(f"the archive cannot be used: {error}") from None
        if self.entry.sha256 is not None and info.sha256 != self.entry.sha256:
            raise LoadFailed(
                f"the archive's sha256 is {info.sha256[:12]}..., registered was {self.entry.sha256[:12]}...; "
                "upload it again as a new version"
            )
        self.inputs, self.outputs = info.interface.inputs, info.interface.outputs
        if info.config is not None:
            self.config = info.config
            if self.config.response_seconds and not self.entry.response_seconds:
                self.response_seconds = min(self.config.response_seconds, RESPONSE_SECONDS_BOUNDS[1])
        delay_ms = self.entry.batch_delay_ms
        self.batcher.configure(
            max_rows=self.entry.batch_size or self.config.batch_size,
            delay_seconds=self.config.batch_delay_seconds if delay_ms is None else delay_ms / 1000,
            deadline_seconds=self.response_seconds,
        )
        self._self_test = SelfTest(self.inputs, self.outputs, info.golden, has_spec=info.spec is not None)

    async def _start_backend(self) -> None:
        self._backend = backend = self.runtime.make(
            self._shared.folder.new(), self._shared.resources, self.entry.environment, self._failed
        )
        assert self._model is not None
        assert self._self_test is not None
        self._scratch = self._shared.folder.new()
        self._plan = self._shared.containment.plan(self.entry.name, self._model, self._scratch)
        answer = await backend.start(
            self._model,
            self._self_test.frame,
            self._plan,
            seconds=self._startup_seconds,
            output=self._output.pipe if self._output is not None else None,
        )
        self.parameters, self.takes_context = self._self_test.check_first_answer(answer)
        self.batcher.open(backend)
        self.ready, self.reason = True, None
        self._ready_at = asyncio.get_running_loop().time()

    async def _end_backend(self) -> None:
        if self._backend is not None:
            await self._backend.stop()
            self._backend = None
        self._shared.containment.release(self._plan)
        self._plan = None
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            self._scratch = None

    async def _overfull(self) -> bool:
        """Whether the scratch folder, which is a part of the disk here, holds more than it may."""
        watched = self.containment is not None and self.containment["scratch"] == "watched"
        if not watched or self._plan is None or self._scratch is None:
            return False
        return await asyncio.to_thread(bytes_in, self._scratch) > self._plan.scratch_bytes

    async def _probe_now_and_then(self) -> None:
        """Probe the idle worker: detect hangs and wrong answers when there is no traffic."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            backend = self._backend
            if not self.ready or backend is None or self._self_test is None:
                continue
            if any(map(processes.is_stopped, backend.processes)):
                backend.fail("one of the model's processes is stopped")
                continue
            if await self._overfull():
                backend.fail("the worker wrote more than SERVING_WORKER_SCRATCH_BYTES")
                continue
            if not self.batcher.idle:
                continue
            try:
                self._self_test.check((await self.batcher.submit(self._self_test.request)).outputs)
            except LoadFailed as error:
                backend.fail(str(error))
            except (InvalidRequest, ModelFailed, HandlerStatus) as error:
                if self._self_test.has_spec:
                    backend.fail(f"the model does not answer its probe any more: {error}")
            except ServingError:
                pass  # busy, or failed already: both show elsewhere

    def _failed(self, reason: str) -> None:
        if self._stopping:
            self.batcher.close(reason)  # nothing replaces it: what waits is told now, not at its deadline
            return
        if not self.ready:
            return  # while it starts, `start` raises the reason
        _log.warning("model %s version %s: %s; replacing it", self.entry.name, self.entry.version, reason)
        self.note(f"{reason}; it is being replaced")
        self.ready, self.reason = False, f"{reason}; it is being replaced"
        self.restarts += 1
        self.metrics.restarts.inc()
        self.batcher.close(self.reason)
        stable = asyncio.get_running_loop().time() - self._ready_at > _STABLE_SECONDS
        self._attempt = 0 if stable else self._attempt
        self._run(self._replace_backend())

    async def _replace_backend(self) -> None:
        while True:
            await self._end_backend()
            await asyncio.sleep(_RESTART_SECONDS[min(self._attempt, len(_RESTART_SECONDS) - 1)])
            self._attempt += 1
            try:
                await self._start_backend()
            except LoadFailed as error:
                self.reason = f"could not be started again: {error}"
                self.batcher.close(self.reason)
                self.note(self.reason)
                _log.warning("model %s version %s %s", self.entry.name, self.entry.version, self.reason)
            else:
                _log.info("model %s version %s is ready again", self.entry.name, self.entry.version)
                return

    def _run(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count_batch(self, requests: int, rows: int) -> None:
        self.metrics.batch_requests.observe(requests)
        self.metrics.batch_rows.observe(rows)
