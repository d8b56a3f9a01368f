"""One service of the system as a process that cannot outlive the launcher; supervisor and launcher call it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

CHILD = Path(__file__).with_name("exec_child.py")
KEEP = "-1"


@dataclass(frozen=True)
class Account:
    """A system user that a service runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Service:
    """What to run and how to end it; `name` is also the name of its log."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends to the service when the launcher itself is killed."""
    before_start: Callable[[], Awaitable[None]] | None = None
    """Called before every start; clears what a killed predecessor could not."""


async def spawn(service: Service, output: int | IO[bytes] | None) -> asyncio.subprocess.Process:
    """Start a service in its own session, with its output in `output` (None: the terminal).

    Must be called on the main thread: the kernel sends the death signal when the *thread* that
    started the service ends.
    """
    who = (str(service.account.uid), str(service.account.gid)) if service.account else (KEEP, KEEP)
    wrapper = (sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), str(int(service.death_signal)), *who)
    return await asyncio.create_subprocess_exec(
        *wrapper,
        *service.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=service.folder,
        env=dict(service.environment),
        start_new_session=True,
    )


async def end(service: Service, process: asyncio.subprocess.Process) -> None:
    """Ask a service to stop, wait for its deadline, then kill it and whatever it left in its process group."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(service.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), service.stop_seconds)
        except TimeoutError:
            kill_group(process.pid)
            await process.wait()
    kill_group(process.pid)


def kill_group(leader: int) -> None:
    """Kill what is left of a service's process group; nothing if it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


async def run(service: Service, output: int | IO[bytes] | None) -> int:
    """Run a service that ends by itself, such as a migration; its exit code. A cancelled caller ends it."""
    process = await spawn(service, output)
    try:
        return await process.wait()
    finally:
        await asyncio.shield(end(service, process))


def has_workers(folder: Path) -> bool:
    """Whether any process works in a folder, as every backend of Postgres does in its data."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink() == folder:
                return True
    return False
