"""One TorchServe (Java and its worker) for one unpacked model version: start it, call it, notice when it fails.

Java is started directly, without TorchServe's Python launcher, so that we hold the process that matters. It listens
on UNIX sockets in a private folder; only its two gRPC servers cannot be switched off and take a free port of
127.0.0.1 each, where they want a token that only we know. TorchServe's own restart of a worker waits a second without
notice, so any death or hang ends the whole pair: `on_failure` is called once, and whoever owns this object starts a
new one.
"""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from serving_runtime import processes
from serving_runtime.containment import Plan, Report
from serving_runtime.errors import LoadFailed
from serving_runtime.runtimes.base import OK, Done, first_answer, too_slow
from serving_runtime.runtimes.forkserver import ForkServer, contained
from serving_runtime.runtimes.torchserve import config, java
from serving_runtime.runtimes.torchserve.client import TorchServeClient

# With a second call waiting in Java the worker idles less but batches are smaller: no gain up to 128 clients.
CALLS_IN_FLIGHT = 1
_POLL_SECONDS = 0.02


class TorchServe:
    """Start once, call while it lives, stop once."""

    def __init__(
        self, directory: Path, forkserver: ForkServer, cache: java.Cache, on_failure: Callable[[str], None]
    ) -> None:
        """`directory` is private to this object, short (UNIX sockets), and removed by `stop`."""
        self._directory = directory
        self._sockets = directory / secrets.token_hex(6)  # which the model's own worker does not know either
        self._forkserver = forkserver
        self._cache = cache
        self._on_failure: Callable[[str], None] | None = on_failure
        self._java: subprocess.Popen[bytes] | None = None
        self._worker = 0
        self._seconds = 0.0
        self._watches: list[processes.Watch] = []
        self._clients: deque[TorchServeClient] = deque()
        self._asked: TorchServeClient | None = None
        self.containment: Report | None = None

    async def start(
        self,
        model: Path,
        probe: Sequence[bytes],
        plan: Plan | None = None,
        *,
        seconds: float,
        output: Path | None = None,
    ) -> bytes:
        """Start Java on the unpacked archive `model` and wait until its worker answers the frame `probe`.

        Returns the answer's frame. Raises LoadFailed with the reason when the model cannot be loaded.
        """
        self._forkserver.ensure()
        self._launch(model, plan, seconds, output)
        self._seconds = seconds
        deadline = asyncio.get_running_loop().time() + seconds
        while (answer := await self._first_answer(probe, deadline)) is None:
            self._check_alive(deadline)
            await asyncio.sleep(_POLL_SECONDS)
        self._worker, self.containment = contained(self._reports()[-1])
        assert self._java is not None
        self._watches = [
            processes.Watch(self._java.pid, lambda: self.fail("TorchServe's Java process died")),
            processes.Watch(self._worker, lambda: self.fail("the model's worker process died")),
        ]
        while len(self._clients) < CALLS_IN_FLIGHT:
            self._clients.append(await self._connect())
        return answer

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of Java and the worker, for /status and tests; empty until the worker has answered."""
        return (self._java.pid, self._worker) if self._java is not None and self._worker else ()

    @property
    def free(self) -> bool:
        """Whether `call` may be used now."""
        return bool(self._clients)

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        """Send one frame; `done(status, body)` follows unless this object fails first."""
        client = self._clients.popleft()
        if not client.usable:
            self.fail("TorchServe closed its connection")
            done(0, b"")
            return

        def finished(status: int, body: bytes) -> None:
            if status == OK:
                self._clients.append(client)
            else:
                self.fail(f"TorchServe answered {status or 'nothing'}")
            done(status, body)

        self._asked = client
        client.call(frame, finished)

    def poll(self) -> None:
        """Take an answer that is here already, instead of when the loop comes to it."""
        if self._asked is not None:
            self._asked.poll()

    def fail(self, reason: str) -> None:
        """Take it out of service; the first call tells the owner."""
        notify, self._on_failure = self._on_failure, None
        self._clients.clear()
        if notify is not None:
            notify(reason)

    async def stop(self) -> None:
        """Kill Java and the worker, wait for their end, remove their folder. No state is lost: there is none."""
        self._on_failure = None
        for watch in self._watches:
            watch.close()
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self._java is not None:
            await processes.end(self._java)
        for report in self._reports():
            processes.kill(report["pid"])
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def finish(self, seconds: float) -> None:
        """Ask Java to end by itself, as the run that trains its cache must. Raises TimeoutError."""
        assert self._java is not None
        self._on_failure = None
        os.kill(self._java.pid, signal.SIGTERM)
        async with asyncio.timeout(seconds):
            while self._java.poll() is None:
                await asyncio.sleep(0.1)

    def log_tail(self) -> str:
        """The last line that Java or the worker wrote to its log, for reasons."""
        try:
            lines = (self._directory / "log").read_bytes()[-4000:].decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    @property
    def _reports_file(self) -> Path:
        return self._directory / "workers"

    def _launch(self, model: Path, plan: Plan | None, seconds: float, output: Path | None) -> None:
        temporary = self._directory / "t"
        temporary.mkdir(parents=True, exist_ok=True)
        self._sockets.mkdir(mode=0o700)
        config.write(self._directory, self._sockets, model, calls=CALLS_IN_FLIGHT, start_seconds=seconds)
        plan = None if plan is None else replace(plan, sockets=str(temporary))
        self._forkserver.worker_command(self._directory / "python", self._reports_file, plan, output)
        home, jar = config.home_and_jar()
        command = [
            str(java.java_home() / "bin" / "java"),
            *java.options(self._cache),
            f"-Dmodel_server_home={home}",
            f"-Djava.io.tmpdir={temporary}",
            f"-Dlog4j.configurationFile={(self._directory / 'log4j2.xml').as_uri()}",
            "-cp",
            str(jar),
            "org.pytorch.serve.ModelServer",
            *("--python", str(self._directory / "python")),
            *("-f", str(self._directory / "config")),
            "-ncs",
        ]
        with open(self._directory / "log", "ab") as log:
            self._java = processes.start(
                command, cwd=self._directory, env=self._forkserver.environment, output=log
            )

    async def _first_answer(self, frame: Sequence[bytes], deadline: float) -> bytes | None:
        """What the worker answers; None while there is none. Raises LoadFailed when it says it cannot load."""
        try:
            client = await self._connect()
        except OSError:
            return None
        try:
            return await first_answer(client.call, frame, lambda: self._check_alive(deadline))
        finally:
            client.close()

    def _check_alive(self, deadline: float) -> None:
        assert self._java is not None
        if asyncio.get_running_loop().time() > deadline:
            raise too_slow(self._seconds)
        if self._java.poll() is not None:
            which = f" (Java of JAVA_HOME={home})" if (home := os.environ.get("JAVA_HOME")) else ""
            raise LoadFailed(f"TorchServe ended with code {self._java.returncode}{which}: {self.log_tail()}")
        reports = self._reports()
        for report in reports:
            contained(report)
        if len(reports) > 1:
            raise LoadFailed(
                "the worker process died while it loaded the model: its code ended it, or memory ran out"
            )

    async def _connect(self) -> TorchServeClient:
        return await TorchServeClient.connect(self._sockets / config.INFERENCE, config.token(self._directory))

    def _reports(self) -> list[dict[str, Any]]:
        """What the workers that were started have said of themselves."""
        try:
            return [json.loads(line) for line in self._reports_file.read_bytes().splitlines()]
        except (OSError, ValueError):
            return []
