"""What a runtime is: it starts, calls, watches and ends the processes of one unpacked model version.

A new runtime is a module with a class that has the form of `Runtime`, an entry in `registry.py`, and its name in
`contracts.RUNTIMES`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serving_runtime.containment import Plan, Report
from serving_runtime.errors import LoadFailed
from serving_runtime.protocol import frames
from serving_runtime.runtimes.forkservers import ForkServers

OK = 200
_CHECK_SECONDS = 0.1

Done = Callable[[int, bytes], None]
"""Called once for each call: with 200 and the frame of the answer, or with another status when there is none."""
OnFailure = Callable[[str], None]


class Callee(Protocol):
    """What batches are sent to."""

    @property
    def free(self) -> bool:
        """Whether `call` may be used now."""

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        """Send one frame; `done(status, body)` follows unless this object fails first."""

    def poll(self) -> None:
        """Deliver an answer that is here already, instead of when the loop comes to it."""

    def fail(self, reason: str) -> None:
        """Take it out of service; the first call notifies the owner."""


class Runtime(Callee, Protocol):
    """Start once, call while it lives, stop once. A death or hang fails it as a whole; the owner makes a new one."""

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids, for /status and probes; empty until the worker has answered."""

    @property
    def containment(self) -> Report | None:
        """Which measures are in force for the worker; None while there is none, or when containment is off."""

    async def start(
        self,
        model: Path,
        probe: Sequence[bytes],
        plan: Plan | None = None,
        *,
        seconds: float,
        output: Path | None = None,
    ) -> bytes:
        """Load the unpacked archive `model` in a worker that is contained as `plan` says, or not at all without one.

        What the worker prints goes to the pipe `output`. Returns the answer to the frame `probe`. Raises LoadFailed,
        also when there is none after `seconds`.
        """

    async def stop(self) -> None:
        """End the processes and remove the folder. No state is lost: there is none."""


@dataclass(frozen=True)
class Resources:
    """What all runtimes of this process share."""

    forkservers: ForkServers
    java_cache: Path | None = None


def too_slow(seconds: float) -> LoadFailed:
    """The error of a model whose time to load is over."""
    return LoadFailed(
        f"the model did not answer within {seconds:g} s of its start, its startup_seconds; "
        "give the deployment more startup_seconds, or make the model load faster"
    )


async def first_answer(
    call: Callable[[Sequence[bytes], Done], None], probe: Sequence[bytes], check: Callable[[], None]
) -> bytes | None:
    """Send the frame `probe` to a worker that is starting; its answer, or None when the connection is lost.

    `check` is called now and then, and raises when no answer can come any more. Raises LoadFailed when the worker
    answers that it cannot load the model.
    """
    answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    def done(status: int, body: bytes) -> None:
        if not answered.done():
            answered.set_result((status, body))

    call(probe, done)
    while not answered.done():
        await asyncio.wait([answered], timeout=_CHECK_SECONDS)
        check()
    status, body = answered.result()
    if status != OK:
        return None
    header, _ = frames.decode(body)
    if "load_error" in header:
        raise LoadFailed(str(header["load_error"]))
    return body
