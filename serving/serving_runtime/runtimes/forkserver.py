"""Keeps the fork server alive (see worker/forkserver_main.py for what it does), and has it spawn workers."""

import asyncio
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving_runtime import processes
from serving_runtime.containment import Plan, Report
from serving_runtime.contracts import BASE_ENVIRONMENT
from serving_runtime.errors import LoadFailed
from serving_runtime.runtimes import environment

_PROGRAM = "serving_runtime.worker.forkserver_main"
_POLL_SECONDS = 0.02
_END_SECONDS = 5.0
_TERM_SECONDS = 1.0
_BACKLOG = 64
_LONGEST_REPORT = 64 * 1024

_log = logging.getLogger(__name__)


class ForkServer:
    """One helper process for all models of an environment; started with the first one, and again when it dies."""

    def __init__(
        self,
        directory: Path,
        threads: int,
        more: Sequence[str] = (),
        *,
        max_batch: int = 1,
        python: Path | None = None,
        preload: Sequence[str] = (),
        name: str = BASE_ENVIRONMENT,
    ) -> None:
        """`more` names variables that handlers need beside `environment.INHERITED`.

        `max_batch` is what they are told of the most rows of concurrent requests in a call. `python` is that of the
        environment `name`, ours by default, and `preload` what is imported for all workers beside the usual.
        """
        self._python = str(python or sys.executable)
        self._preload = preload
        self._name = name
        # Who may not list the folder cannot guess the name, and the fork server itself, whose memory the workers
        # inherit, never learns it: it gets the listening socket.
        self.socket = directory / f"f{secrets.token_hex(6)}"
        self._listener: socket.socket | None = None
        self._directory = directory
        self.environment = environment.of_workers(os.environ, threads, more, max_batch=max_batch)
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: processes.Watch | None = None

    def ensure(self) -> None:
        """Start it if it does not run. It answers when PyTorch is imported; its clients wait for that.

        One that is stopped forks nothing and is replaced. Its workers die with it, so only now, when one is needed.
        """
        if self._process is not None and self._process.poll() is None:
            if not processes.is_stopped(self._process.pid):
                return
            _log.error("the fork server of %s is stopped; replacing it", self._name)
            assert self._watch is not None
            self._watch.close()
            processes.kill(self._process.pid)
            self._process.wait(_END_SECONDS)
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self.socket))
            self._listener.listen(_BACKLOG)
        descriptor = self._listener.fileno()
        with open(self._directory / f"forkserver-{self._name}.log", "wb") as log:
            self._process = processes.start(
                # -P: modules are not looked for in the work folder, so that workers need not read it.
                [self._python, "-P", "-m", _PROGRAM, str(descriptor), *self._preload],
                cwd=self._directory,
                env=self.environment,
                output=log,
                descriptors=[descriptor],
            )
        self._watch = processes.Watch(self._process.pid, self._died)

    async def fork(
        self, model: Path, channel: socket.socket, plan: Plan | None, output: Path | None
    ) -> tuple[int, Report | None]:
        """Spawn a native worker for the unpacked archive `model`, which answers on `channel` and prints into `output`.

        Returns its process id, and which measures of `plan` are in force. Raises LoadFailed. The caller sets a
        deadline: the fork server may be importing PyTorch still.
        """
        self.ensure()
        request = json.dumps({"native": str(model), **_job(plan, output)}).encode()
        with await self._connect() as connection:
            try:
                socket.send_fds(connection, [request + b"\n"], [channel.fileno()])
                report = json.loads(await asyncio.get_running_loop().sock_recv(connection, _LONGEST_REPORT))
            except (OSError, ValueError):
                raise LoadFailed("the fork server died while it spawned a worker") from None
        return contained(report)

    async def _connect(self) -> socket.socket:
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(connection, str(self.socket))
                return connection
            except OSError:  # it does not listen yet
                connection.close()
                await asyncio.sleep(_POLL_SECONDS)
            except BaseException:
                connection.close()
                raise

    def worker_command(self, script: Path, reports: Path, plan: Plan | None, output: Path | None) -> None:
        """Write the executable that TorchServe starts in place of Python; each worker adds a line to `reports`."""
        entry = Path(__file__).parents[1] / "worker" / "torchserve_shim.py"
        job = script.with_name("job.json")
        job.write_text(json.dumps({"pid_file": str(reports), **_job(plan, output)}), "utf-8")
        words = [sys.executable, "-I", "-S", str(entry), str(self.socket), str(job)]
        script.write_text(f'#!/bin/sh\nexec {" ".join(map(_quoted, words))} "$@"\n', "utf-8")
        script.chmod(0o700)

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.close()
        if self._process is not None:
            await processes.end(self._process, term_seconds=_TERM_SECONDS)
            self._process = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self.socket.unlink(missing_ok=True)

    def _died(self) -> None:
        # Its workers died with it, so every model is about to ask for a new one.
        _log.error("the fork server of %s died; starting a new one", self._name)
        self.ensure()


def contained(report: dict[str, Any]) -> tuple[int, Report | None]:
    """What a new worker says of itself: process id and measures. Raises LoadFailed when it cannot be contained."""
    if "error" in report:
        raise LoadFailed(report["error"])
    return report["pid"], report["containment"]


def _job(plan: Plan | None, output: Path | None) -> dict[str, Any]:
    """What both runtimes say of a new worker."""
    containment = None if plan is None else plan.to_json()
    return {"containment": containment, "output": None if output is None else str(output)}


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
