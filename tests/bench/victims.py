"""What is done to the processes of a front, and what it promises for each: the faults that `make faults` tries."""

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from serving_runtime.contracts import RUNTIMES
from serving_runtime.starter import handler
from tests.bench import servers
from tests.serving import starters

UNREADY_SECONDS = 15.0
_HANGING = """
import os
import time

import starter_handler

BORN = time.time()

class Hanging(starter_handler.Handler):
    def predict(self, inputs, **more):
        try:
            if os.stat({switch!r}).st_mtime > BORN:
                time.sleep(3600)
        except FileNotFoundError:
            pass
        return super().predict(inputs, **more)
"""


@dataclass(frozen=True)
class Scene:
    """A front that serves the starter CNN; its model hangs for an hour once the file `switch` is touched.

    A worker that was started later does not.
    """

    front: servers.Running
    switch: Path

    @property
    def worker(self) -> int:
        return int(self._status()["processes"][-1])

    @property
    def java(self) -> int:
        return int(self._status()["processes"][0])

    @property
    def shim(self) -> int:
        """The shim that TorchServe starts as its worker; the worker ends with it."""
        children = psutil.Process(self.java).children(recursive=True)
        return next(
            each.pid for each in children if any("torchserve_shim" in word for word in each.cmdline())
        )

    @property
    def forkserver(self) -> int:
        """The parent of the worker."""
        return psutil.Process(self.worker).ppid()

    def _status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.front.url.partition('/v2/')[0]}/status", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)["models"][0]
            return found


@dataclass(frozen=True)
class Fault:
    """`strike` does it and gives the processes that have to be gone when all is well again."""

    what: str
    strike: Callable[[Scene], list[int]]
    runtimes: tuple[str, ...] = RUNTIMES
    limit: float = 30.0  # seconds until the next 200
    often: bool = False


def archive(path: Path, switch: Path) -> None:
    """Pack the starter CNN with a switch for Scene."""
    files: dict[str, bytes | Path] = {
        "handler.py": _HANGING.format(switch=str(switch)).encode(),
        "starter_handler.py": Path(handler.__file__),
    }
    starters.starter(path, "cnn-baseline", more=files)


def _sent(number: signal.Signals, who: str) -> Callable[[Scene], list[int]]:
    def strike(scene: Scene) -> list[int]:
        pid: int = getattr(scene, who)
        os.kill(pid, number)
        return [pid]

    return strike


def _hang(scene: Scene) -> list[int]:
    worker = scene.worker
    scene.switch.touch()
    return [worker]


def _stop_forkserver_and_kill_worker(scene: Scene) -> list[int]:
    worker, forkserver = scene.worker, scene.forkserver
    os.kill(forkserver, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    return [worker, forkserver]


_JAVA = ("torchserve",)
FAULTS = (
    Fault("kill -9 of the worker", _sent(signal.SIGKILL, "worker"), limit=10, often=True),
    Fault("SIGSTOP of the worker", _sent(signal.SIGSTOP, "worker")),
    Fault("the model's code hangs", _hang),
    Fault("kill -9 of Java", _sent(signal.SIGKILL, "java"), _JAVA),
    Fault("SIGSTOP of Java", _sent(signal.SIGSTOP, "java"), _JAVA),
    Fault("kill -9 of the worker's shim", _sent(signal.SIGKILL, "shim"), _JAVA),
    Fault("the worker's shim exits", _sent(signal.SIGTERM, "shim"), _JAVA),
    Fault("kill -9 of the fork server", _sent(signal.SIGKILL, "forkserver")),
    Fault("SIGSTOP of the fork server, kill -9 of the worker", _stop_forkserver_and_kill_worker),
)
