"""Runs the v2 front: `python -m serving_runtime`, settings from the environment (see settings.py)."""

import asyncio
import contextlib
import fcntl
import gc
import hashlib
import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop
from pydantic import ValidationError

from serving_runtime import landlock, processes
from serving_runtime.bounded_http import KEPT_SECONDS, allow_many_connections
from serving_runtime.connection import CoalescedHttpProtocol
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
from serving_runtime.models.version import Shared, WorkFolder
from serving_runtime.runtimes.base import Resources
from serving_runtime.runtimes.forkservers import ForkServers
from serving_runtime.runtimes.registry import REGISTRY
from serving_runtime.settings import Settings

_STARTS_AT_ONCE = 2
_DRAIN_SECONDS = 5
_PLAIN_PATH = re.compile("[A-Za-z0-9/._-]+")
_LONGEST_WORK_FOLDER = 70  # a UNIX socket's path may have 107 characters, ours add up to 33

_log = logging.getLogger("serving_runtime")


def main() -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean end, 1 when the port is taken, 2 when the settings are wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings = Settings()
        if settings.model.name is not None:
            REGISTRY[settings.runtime].check()  # a pod that fails it can never become ready
    except (ValidationError, LoadFailed) as error:
        _log.error("%s", error)
        return 2
    try:
        with _own_folder(settings.work_dir) as folder:
            return uvloop.run(_serve(settings, folder))
    except BlockingIOError:
        _log.error(
            "another serving process works in %s; give each its own SERVING_WORK_DIR", settings.work_dir
        )
        return 2


class _Server(uvicorn.Server):
    """Ends with exit code 0 on a signal; uvicorn's own handling raises the signal again at its end."""

    def __init__(self, config: uvicorn.Config, dataplane: DataPlane) -> None:
        super().__init__(config)
        self._dataplane = dataplane

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self._dataplane.stopping = True  # not ready any more; what is under way is still answered
        self.should_exit = True


async def _serve(settings: Settings, folder: Path) -> int:
    if settings.containment != "off" and landlock.abi() is None:
        processes.hide_memory()
    allow_many_connections()
    listener = _listen(settings)
    if listener is None:
        return 1
    metrics = Metrics()
    forkservers = ForkServers(
        folder,
        settings.threads,
        settings.worker.variables,
        max_batch=settings.max.batch,
        folder=settings.environments_dir,
    )
    resources = Resources(forkservers, settings.java_cache)
    starts = asyncio.Semaphore(_STARTS_AT_ONCE)
    logs = ModelLogs(folder, settings.log)
    shared = Shared(settings, WorkFolder(folder), resources, metrics, starts, Containment(settings), logs)
    models = Models(shared)
    source = ModelSource(settings, models)
    dataplane = DataPlane(models, source)
    recorder = Recorder(settings.recordings, Sender(metrics))
    app = App(settings, dataplane, metrics, recorder)
    config = uvicorn.Config(
        app,
        loop="none",
        http=CoalescedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the address of the client is of no use here
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=_drain_seconds(settings),
    )
    gc.collect()
    gc.freeze()  # what is imported stays: to look through it again would hold up every request for 10 ms and more
    listener.listen()  # so that the next line is true: uvicorn does it a moment later
    _log.info("listening on http://%s:%d", *listener.getsockname()[:2])
    tasks = [asyncio.create_task(source.follow()), asyncio.create_task(recorder.follow())]
    if os.getpid() == 1:
        tasks.append(asyncio.create_task(processes.reap_orphans()))
    unserved = None
    try:
        await _Server(config, dataplane).serve(sockets=[listener])
        unserved = None if settings.model.name is None else _unserved(models)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await recorder.close()
        await models.close()
        await forkservers.stop()
        logs.close()
    _log.info("stopped")
    if unserved is not None:  # the last line, which Kubernetes keeps of a container that it has stopped
        _log.error("%s", unserved)
        return 1
    return 0


def _unserved(models: Models) -> str | None:
    """Why the only model of a pod does not answer, when it does not."""
    for model in models.status():
        if model["live_version"] is None:
            reason = model["reason"] or "it was stopped before it was ready"
            return f"model {model['name']} version {model['desired_version']} cannot be served: {reason}"
    return None


def _drain_seconds(settings: Settings) -> int:
    """How long requests that are under way may take when this process ends; a pod is given the time by its cluster."""
    return (
        _DRAIN_SECONDS
        if settings.model.name is None
        else max(_DRAIN_SECONDS, int(settings.model.response_seconds or settings.deadline_seconds) + 1)
    )


def _listen(settings: Settings) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        _log.error("cannot listen on %s port %d: %s; set SERVING_PORT", settings.host, settings.port, error)
        return None
    return listener


@contextlib.contextmanager
def _own_folder(work_dir: Path) -> Iterator[Path]:
    """A short empty folder below `work_dir` for as long as we run. Raises BlockingIOError when another process has it.

    What a killed process left there is removed, and its TorchServes died with it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = _short(work_dir.resolve())
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)  # fails when another user owns the name
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _short(work_dir: Path) -> Path:
    """A folder whose path is short, and plain: Java finds no socket at others, nor TorchServe its files."""
    if len(str(work_dir)) <= _LONGEST_WORK_FOLDER and _PLAIN_PATH.fullmatch(str(work_dir)):
        return work_dir / "run"
    mark = hashlib.sha256(os.fsencode(work_dir)).hexdigest()[:12]
    elsewhere = tempfile.gettempdir()
    return Path(elsewhere if _PLAIN_PATH.fullmatch(elsewhere) else "/tmp") / f"marina-{os.getuid()}-{mark}"


if __name__ == "__main__":
    sys.exit(main())
