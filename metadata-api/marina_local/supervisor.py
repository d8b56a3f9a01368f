"""Keep the services running: start, log, restart with growing pauses, stop in order; the launcher owns one."""

import asyncio
import logging
import shutil
from pathlib import Path

from marina_local.errors import LocalError, NotReady
from marina_local.process import Service, end, kill_group, spawn

FIRST_PAUSE, LONGEST_PAUSE = 0.3, 5.0
SETTLED_SECONDS = 30.0
# Ends in a row, before a service ever answered, after which waiting for it makes no sense.
HOPELESS = 4
LOG_BYTES = 10 * 2**20
LOG_LOOK_SECONDS = 10.0

log = logging.getLogger(__name__)


class Supervised:
    """One service and the task that keeps it running."""

    def __init__(self, service: Service, logs: Path) -> None:
        self.service = service
        self.log_path = logs / f"{service.name}.log"
        self.restarts = 0
        self.ends_in_a_row = 0
        self.process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the service and, from now on, whenever it ends."""
        self._task = asyncio.create_task(self._keep_running(), name=self.service.name)

    async def stop(self) -> None:
        """Stop the service for good; returns when no process of it is left."""
        self._stopping = True
        if self.process is not None:
            await end(self.service, self.process)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        # The cancelled task may have started a process after the look above.
        if self.process is not None and self.process.returncode is None:
            await end(self.service, self.process)

    def check(self) -> None:
        """Raise NotReady if the service ends again and again; called by whoever waits for its answer."""
        if self.ends_in_a_row >= HOPELESS:
            raise NotReady(
                f"{self.service.name} ends again and again: {self.last_line()} (log: {self.log_path})"
            )

    def last_line(self) -> str:
        """The last line that the service logged, for messages."""
        try:
            # One that was turned over a moment ago is empty, and goes on in the older one.
            lines = _last_lines(self.log_path) or _last_lines(_older(self.log_path))
        except OSError:
            return "it has no log" if not self.log_path.exists() else "its log is empty"
        return lines[-1] if lines else "its log is empty"

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while not self._stops():
            begin = clock()
            reason = await self._run_once()
            if self._stops():
                return
            settled = clock() - begin > SETTLED_SECONDS
            self.ends_in_a_row = 1 if settled else self.ends_in_a_row + 1
            pause = FIRST_PAUSE if settled or self.ends_in_a_row == 1 else min(pause * 2, LONGEST_PAUSE)
            self.restarts += 1
            log.warning("%s %s; starting it again in %.1f s", self.service.name, reason, pause)
            await asyncio.sleep(pause)

    def _stops(self) -> bool:
        return self._stopping

    async def _run_once(self) -> str:
        """Run the service until it ends; says how it ended."""
        try:
            if self.service.before_start is not None:
                await self.service.before_start()
            with self.log_path.open("ab") as output:
                self.process = await spawn(self.service, output)
        except (OSError, LocalError) as error:
            return f"does not start: {error}"
        code = await self.process.wait()
        kill_group(self.process.pid)
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


class Supervisor:
    """All services of one launcher, and the size of their logs."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.services: dict[str, Supervised] = {}
        self._rotation: asyncio.Task[None] | None = None

    def start(self, service: Service) -> Supervised:
        """Start a service and keep it running until `stop`."""
        if self._rotation is None:
            self._rotation = asyncio.create_task(self._rotate(), name="log rotation")
        supervised = self.services[service.name] = Supervised(service, self.logs)
        supervised.start()
        return supervised

    async def stop(self, *, last: str) -> None:
        """Stop all services at once, but `last` after the others, which need it to finish their work."""
        await asyncio.gather(*(service.stop() for name, service in self.services.items() if name != last))
        if last in self.services:
            await self.services[last].stop()
        if self._rotation is not None:
            self._rotation.cancel()
            await asyncio.gather(self._rotation, return_exceptions=True)

    def kill(self) -> None:
        """Kill everything at once: for people who press Ctrl-C twice."""
        for service in self.services.values():
            if service.process is not None and service.process.returncode is None:
                kill_group(service.process.pid)

    async def _rotate(self) -> None:
        """Copy and truncate: services write into their logs directly, whatever the launcher does."""
        while True:
            await asyncio.sleep(LOG_LOOK_SECONDS)
            for service in self.services.values():
                try:
                    if service.log_path.stat().st_size > LOG_BYTES:
                        shutil.copyfile(service.log_path, _older(service.log_path))
                        with service.log_path.open("r+b") as file:
                            file.truncate(0)
                except OSError as error:
                    log.warning("the log of %s cannot be rotated: %s", service.service.name, error)


def _older(log: Path) -> Path:
    return log.with_suffix(".log.1")


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return [line.strip()[:300] for line in lines if line.strip()]
