"""The supervisor: what ends is started again, what is stopped stays stopped, nothing is left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from marina_local import supervisor as module
from marina_local.errors import NotReady
from marina_local.process import Service, run
from marina_local.supervisor import Supervised, Supervisor
from tests.waiting import until_async

SLEEP = "import time; time.sleep(60)"


def python(tmp_path: Path, code: str, **more: object) -> Service:
    """A service that runs a piece of Python."""
    settings: dict[str, object] = {"stop_seconds": 5.0, **more}
    return Service("service", (sys.executable, "-c", code), dict(os.environ), tmp_path, **settings)  # type: ignore[arg-type]


async def until_started(supervised: Supervised, restarts: int = 0) -> int:
    """The pid of a service that has been started so often."""

    def pid() -> int | None:
        process = supervised.process
        started = process and supervised.restarts >= restarts and process.returncode is None
        return process.pid if process and started else None

    return await until_async(pid, "the service is started")


def gone(pid: int) -> bool:
    """Whether no such process is left."""
    return not Path(f"/proc/{pid}").exists()


class TestRestart:
    def test_a_killed_service_is_started_again(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            supervisor = Supervisor(tmp_path)
            supervised = supervisor.start(python(tmp_path, SLEEP))
            first = await until_started(supervised)
            os.kill(first, signal.SIGKILL)
            second = await until_started(supervised, restarts=1)
            assert second != first
            await supervisor.stop(last="")
            assert gone(second)

        asyncio.run(scenario())

    def test_a_service_that_ends_again_and_again_is_given_up_with_its_last_words(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)

        async def scenario() -> None:
            supervisor = Supervisor(tmp_path)
            supervised = supervisor.start(python(tmp_path, "raise SystemExit('no such table')"))
            await until_async(lambda: supervised.ends_in_a_row >= module.HOPELESS, "it is given up")
            with pytest.raises(NotReady, match="no such table"):
                supervised.check()
            await supervisor.stop(last="")

        asyncio.run(scenario())

    def test_a_program_that_does_not_exist_is_a_reason_and_not_a_crash(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            supervisor = Supervisor(tmp_path)
            service = Service("service", ("/nowhere/program",), dict(os.environ), tmp_path)
            supervised = supervisor.start(service)
            await until_async(lambda: supervised.restarts, "it has ended once")
            assert "/nowhere/program" in supervised.log_path.read_text()
            await supervisor.stop(last="")

        asyncio.run(scenario())


class TestStop:
    def test_a_deaf_service_is_killed_after_its_deadline(self, tmp_path: Path) -> None:
        deaf = f"import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"

        async def scenario() -> None:
            supervisor = Supervisor(tmp_path)
            supervised = supervisor.start(python(tmp_path, deaf, stop_seconds=0.3))
            pid = await until_started(supervised)
            await until_async(lambda: "deaf" in supervised.last_line(), "it is deaf")
            await supervisor.stop(last="")
            assert gone(pid)

        asyncio.run(scenario())

    def test_children_of_a_service_go_with_it(self, tmp_path: Path) -> None:
        parent = (
            "import subprocess, sys, time\n"
            f"print(subprocess.Popen([sys.executable, '-c', '{SLEEP}']).pid, flush=True)\n"
            "time.sleep(60)"
        )

        async def scenario() -> None:
            supervisor = Supervisor(tmp_path)
            supervised = supervisor.start(python(tmp_path, parent))
            await until_async(lambda: supervised.last_line().isdigit(), "the child is there")
            child = int(supervised.last_line())
            await supervisor.stop(last="")
            await until_async(
                lambda: gone(child) or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z",
                "the child ends",
                5,
            )

        asyncio.run(scenario())

    def test_a_service_stops_while_it_waits_to_be_started_again(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            supervisor = Supervisor(tmp_path)
            supervised = supervisor.start(python(tmp_path, "pass"))
            await until_async(lambda: supervised.restarts, "it has ended once")
            await asyncio.wait_for(supervisor.stop(last=""), 5)

        asyncio.run(scenario())


class TestRun:
    def test_a_cancelled_step_leaves_no_process(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            pid_file = tmp_path / "pid"
            code = (
                f"import os, pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); {SLEEP}"
            )
            task = asyncio.create_task(run(python(tmp_path, code), None))
            await until_async(lambda: pid_file.exists() and pid_file.read_text(), "it has written its pid")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert gone(int(pid_file.read_text()))

        asyncio.run(scenario())


class TestLogs:
    def test_a_long_log_is_turned_over_while_the_service_writes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LOG_BYTES", 1000)
        monkeypatch.setattr(module, "LOG_LOOK_SECONDS", 0.05)
        writer = "import time\nfor n in range(100000): print('line', n, flush=True); time.sleep(0.001)"

        async def scenario() -> None:
            supervisor = Supervisor(tmp_path)
            supervised = supervisor.start(python(tmp_path, writer))
            older = tmp_path / "service.log.1"
            await until_async(older.exists, "the log is turned over")
            assert older.read_text().startswith("line 0")
            await asyncio.sleep(0.2)
            assert supervised.last_line().startswith("line")
            await supervisor.stop(last="")

        asyncio.run(scenario())
