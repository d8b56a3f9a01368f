"""The native runtime: one worker process for one unpacked model version, without Java.

The fork server forks the worker, which talks to the front over a socket pair. Its death or hang ends it as a whole:
`on_failure` is called once, and whoever owns this object starts a new one. So a handler that crashes, hangs or leaks
takes its own worker down and nothing else.
"""

import asyncio
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from serving_runtime import processes
from serving_runtime.containment import Plan, Report
from serving_runtime.errors import LoadFailed
from serving_runtime.runtimes.base import Done, first_answer, too_slow
from serving_runtime.runtimes.channel import Channel
from serving_runtime.runtimes.forkserver import ForkServer

CALLS_IN_FLIGHT = 1


class Native:
    """Start once, call while it lives, stop once."""

    def __init__(self, directory: Path, forkserver: ForkServer, on_failure: Callable[[str], None]) -> None:
        """`directory` is private to this object and removed by `stop`."""
        self._directory = directory
        self._forkserver = forkserver
        self._on_failure: Callable[[str], None] | None = on_failure
        self._worker = 0
        self._watch: processes.Watch | None = None
        self._channel: Channel | None = None
        self._in_service = False
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
        """Fork a worker, let it load the unpacked archive `model`, and wait until it answers the frame `probe`.

        Returns the answer's frame. Raises LoadFailed with the reason when the model cannot be loaded.
        """
        ours, theirs = socket.socketpair()
        try:
            async with asyncio.timeout(seconds):
                with theirs:
                    self._worker, self.containment = await self._forkserver.fork(model, theirs, plan, output)
                answer = await self._first_answer(ours, probe)
        except TimeoutError:
            raise too_slow(seconds) from None
        finally:
            if self._channel is None:
                ours.close()
        if self._on_failure is None:  # it failed before anything watched it
            raise LoadFailed("the worker process died after its first answer")
        self._watch = processes.Watch(self._worker, self._died)
        self._in_service = True
        return answer

    @property
    def processes(self) -> tuple[int, ...]:
        """Process id of the worker, for /status and tests; empty until it has answered."""
        return (self._worker,) if self._watch is not None else ()

    @property
    def free(self) -> bool:
        """Whether `call` may be used now."""
        return self._in_service and self._channel is not None and self._channel.calls < CALLS_IN_FLIGHT

    def call(self, frame: Sequence[bytes], done: Done) -> None:
        """Send one frame; `done(status, body)` follows unless this object fails first."""
        assert self._channel is not None
        self._channel.call(frame, done)

    def poll(self) -> None:
        """Take an answer that is here already, instead of when the loop comes to it."""
        if self._channel is not None:
            self._channel.poll()

    def fail(self, reason: str) -> None:
        """Take it out of service; the first call tells the owner."""
        self._in_service = False
        notify, self._on_failure = self._on_failure, None
        if notify is not None:
            notify(reason)

    async def stop(self) -> None:
        """Kill the worker and remove its folder. No state is lost: there is none."""
        self._on_failure = None
        self._in_service = False
        if self._watch is not None:
            self._watch.close()
        if self._channel is not None:
            self._channel.close()
        if self._worker:
            processes.kill(self._worker)
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def _first_answer(self, ours: socket.socket, probe: Sequence[bytes]) -> bytes:
        self._channel = Channel(ours, self._died)
        answer = await first_answer(self._channel.call, probe, check=lambda: None)
        if answer is None:
            raise LoadFailed(
                "the worker process died while it loaded the model: its code ended it, or memory ran out"
            )
        return answer

    def _died(self) -> None:
        self.fail("the model's worker process died")
