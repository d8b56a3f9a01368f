"""Start everything on one machine, in steps with a line each, and stop it again; `__main__` calls `up`."""

import asyncio
import errno
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from marina_local import environment, folder, services, starters, tokens
from marina_local.errors import LocalError, NotReady, Unusable
from marina_local.ports import NAMES, check_ports
from marina_local.postgres import Postgres
from marina_local.process import Service, run
from marina_local.readiness import await_predictions
from marina_local.settings import LocalSettings
from marina_local.supervisor import Supervised, Supervisor

LOOK_SECONDS = 0.1
# A line for the terminal alone: it holds a token.
SECRET = {"secret": True}

log = logging.getLogger(__name__)


async def up(settings: LocalSettings) -> int:
    """Start everything and stay until a signal comes; the exit code of the program.

    Raises a LocalError, after having stopped what was started, when something keeps it from starting.
    """
    with folder.lock(settings):
        services.check_packages()
        environment.check_certificates(os.environ)
        await check_ports(settings)
        tokens.ensure(settings)
        launcher = Launcher(settings)
        try:
            return await launcher.run()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise Unusable(f"the disk is full: {error.filename or settings.home}") from error
            raise


class Launcher:
    """One run of the one-machine mode."""

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.supervisor = Supervisor(settings.logs)
        self._begin = time.monotonic()
        self._signals = 0
        self._stop_requested = asyncio.Event()

    async def run(self) -> int:
        """Start, wait for a signal, stop; 0 after a signal, also when it came during the start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        start = asyncio.create_task(self._start())
        stop = asyncio.create_task(self._stop_requested.wait())
        try:
            await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                await start
                await stop
            return 0
        finally:
            start.cancel()
            stop.cancel()
            await asyncio.gather(start, stop, return_exceptions=True)
            begin = time.monotonic()
            await self.supervisor.stop(last="postgres")
            log.info("stopped in %.1f s; the data stays in %s", time.monotonic() - begin, self.settings.home)

    async def _start(self) -> None:
        """Serving first: its models take longest to load, and it knows them from the last time."""
        self._say("starting", f"data and logs are in {self.settings.home}")
        async with starters.training(self.settings) as training:
            try:
                async with asyncio.TaskGroup() as group:
                    serving = services.serving(self.settings)
                    group.create_task(self._http(serving, "serving", "/v2/health/live"))
                    group.create_task(self._database_and_api())
                    group.create_task(self._http(services.ui(self.settings), "ui", "/livez"))
            except* LocalError as errors:
                raise _first(errors) from None
            self._addresses()
            async for archives in starters.changes(self.settings, training):
                await self._register(archives)
            if code := await training:
                log.warning("training starter experiments failed (exit code %s): see the lines above", code)
        await self._predictions()
        await run(services.tidying(self.settings), None)

    async def _database_and_api(self) -> None:
        postgres = await asyncio.to_thread(Postgres, self.settings)
        service = await asyncio.to_thread(postgres.prepare)
        await postgres.ready(self.supervisor.start(service), self.settings.start_seconds)
        self._say("postgres", f"ready on 127.0.0.1:{postgres.port}")
        await self._api(postgres)

    async def _api(self, postgres: Postgres) -> None:
        """Start the API; migrate when it says that its database is behind, which saves a process when it is not."""
        migrated = False

        async def look() -> bool:
            nonlocal migrated
            answer = await _get(client, url)
            if (
                answer is not None
                and answer.status_code == 503
                and "schema_behind" in answer.text
                and not migrated
            ):
                migrated = True
                await self._step("database", services.migration(self.settings, postgres))
            return answer is not None and answer.status_code == 200

        supervised = self.supervisor.start(services.api(self.settings, postgres))
        url = f"{self.settings.address('api')}/readyz"
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            await self._until(look, f"{NAMES['api']} does not answer on {url}", supervised)
        self._say("api", f"ready on {self.settings.address('api')}")

    async def _register(self, archives: list[Path]) -> None:
        """Without a starter experiment Marina runs as well."""
        try:
            await self._step("register", services.registration(self.settings, archives))
        except NotReady as error:
            log.warning("%s", error)

    async def _step(self, name: str, service: Service) -> None:
        """A service that ends by itself, with its output in its log; its last line is what the step says."""
        supervised = Supervised(service, self.settings.logs)
        with supervised.log_path.open("ab") as output:
            try:
                code = await asyncio.wait_for(run(service, output), self.settings.start_seconds)
            except TimeoutError:
                raise NotReady(f"{name} took longer than {self.settings.start_seconds:.0f} s") from None
        if code != 0:
            raise NotReady(f"{name} failed: {supervised.last_line()} (log: {supervised.log_path})")
        self._say(name, supervised.last_line())

    async def _http(self, service: Service, name: str, path: str) -> None:
        """Start a service and wait until an address of it answers 200."""
        supervised = self.supervisor.start(service)
        url = self.settings.address(name) + path
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            await self._until(
                lambda: _answers(client, url), f"{NAMES[name]} does not answer on {url}", supervised
            )
        self._say(name, f"ready on {self.settings.address(name)}")

    async def _until(
        self, look: Callable[[], Awaitable[bool]], complaint: str, supervised: Supervised | None = None
    ) -> None:
        end = time.monotonic() + self.settings.start_seconds
        while not await look():
            if supervised is not None:
                supervised.check()
            if time.monotonic() > end:
                hint = f": {supervised.last_line()} (log: {supervised.log_path})" if supervised else ""
                raise NotReady(f"{complaint} within {self.settings.start_seconds:.0f} s{hint}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _predictions(self) -> None:
        answers = await await_predictions(self.settings)
        silent = {name: reason for name, reason in answers.items() if reason is not None}
        count = f"{len(answers) - len(silent)} of {len(answers)}" if silent else f"all {len(answers)}"
        self._say("models", f"{count} models answer" if answers else "none is deployed")
        for name, reason in silent.items():
            log.warning("%s does not answer: %s", name, reason)

    def _addresses(self) -> None:
        address = self.settings.address
        log.info(
            "\nMarina is up after %.1f s, its models follow. Ctrl-C stops it, the data stays.",
            time.monotonic() - self._begin,
        )
        log.info("  UI    %s", tokens.link(self.settings), extra=SECRET)
        lines = [
            f"  API   {address('api')}/docs",
            f"  v2    {address('serving')}/v2",
            *([f"  curl  -H @{self.settings.header_file}"] if self.settings.auth == "on" else []),
            "",
        ]
        for line in lines:
            log.info("%s", line)

    def _say(self, step: str, text: str) -> None:
        log.info("%6.1f s  %-9s %s", time.monotonic() - self._begin, step, text)

    def _on_signal(self) -> None:
        """The first signal stops in order, the second at once."""
        self._signals += 1
        if self._signals == 1:
            log.info("stopping")
            self._stop_requested.set()
        else:
            self.supervisor.kill()


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    answer = await _get(client, url)
    return answer is not None and answer.status_code == 200


async def _get(client: httpx.AsyncClient, url: str) -> httpx.Response | None:
    try:
        return await client.get(url)
    except httpx.HTTPError:
        return None


def _first(errors: BaseExceptionGroup[LocalError]) -> LocalError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LocalError)
    return error


def setup_logging(settings: LocalSettings) -> None:
    """Lines for people on the terminal; the same with times in `launcher.log`."""
    root = logging.getLogger("marina_local")
    root.setLevel(logging.INFO)
    root.propagate = False
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(terminal)
    if os.access(settings.logs, os.W_OK):
        file = logging.FileHandler(settings.logs / "launcher.log")
        file.addFilter(lambda record: not getattr(record, "secret", False))
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        root.addHandler(file)
