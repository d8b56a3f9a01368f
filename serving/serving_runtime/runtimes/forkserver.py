"""Keeps the fork server alive (see worker/forkserver_main.py for what it does), and has it spawn workers."""

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from serving_runtime import processes
from serving_runtime.errors import LoadFailed
from serving_runtime.runtimes import environment

_POLL_SECONDS = 0.02
_END_SECONDS = 5.0

_log = logging.getLogger(__name__)


class ForkServer:
    """One helper process for all models; started with the first one, started again when it dies."""

    def __init__(self, directory: Path, threads: int, more: Sequence[str] = ()) -> None:
        """`more` names variables that handlers need beside `environment.INHERITED`."""
        self.socket = directory / "forkserver.sock"
        self._directory = directory
        self.environment = environment.of_workers(os.environ, threads, more)
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: processes.Watch | None = None

    def ensure(self) -> None:
        """Start it if it does not run. It answers when PyTorch is imported; its clients wait for that.

        One that is stopped forks nothing and is replaced. Its workers die with it, so only now, when one is needed.
        """
        if self._process is not None and self._process.poll() is None:
            if not processes.is_stopped(self._process.pid):
                return
            _log.error("the fork server is stopped; replacing it")
            assert self._watch is not None
            self._watch.close()
            processes.kill(self._process.pid)
            self._process.wait(_END_SECONDS)
        self.socket.unlink(missing_ok=True)
        with open(self._directory / "forkserver.log", "wb") as log:
            self._process = processes.start(
                [sys.executable, "-m", "serving_runtime.worker.forkserver_main", str(self.socket)],
                cwd=self._directory,
                env=self.environment,
                output=log,
            )
        self._watch = processes.Watch(self._process.pid, self._died)

    async def fork(self, model: Path, channel: socket.socket) -> int:
        """Spawn a native worker for the unpacked archive `model`, which answers on `channel`; its process id.

        Raises LoadFailed. The caller sets a deadline: the fork server may be importing PyTorch still.
        """
        self.ensure()
        request = json.dumps({"native": str(model)}).encode()
        with await self._connect() as connection:
            try:
                socket.send_fds(connection, [request + b"\n"], [channel.fileno()])
                reply = await asyncio.get_running_loop().sock_recv(connection, 32)
                return int(reply)
            except (OSError, ValueError):
                raise LoadFailed("the fork server died while it spawned a worker") from None

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

    def worker_command(self, script: Path, pid_file: Path) -> None:
        """Write the executable that TorchServe starts in place of Python."""
        entry = Path(__file__).parents[1] / "worker" / "torchserve_shim.py"
        words = [sys.executable, "-I", "-S", str(entry), str(self.socket), str(pid_file)]
        script.write_text(f'#!/bin/sh\nexec {" ".join(map(_quoted, words))} "$@"\n', "utf-8")
        script.chmod(0o700)

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.close()
        if self._process is not None:
            await processes.end(self._process)
            self._process = None

    def _died(self) -> None:
        # Its workers died with it, so every model is about to ask for a new one.
        _log.error("the fork server died; starting a new one")
        self.ensure()


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
