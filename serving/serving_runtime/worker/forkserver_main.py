"""The fork server for both runtimes: imports PyTorch once and forks a worker per spawn request.

Importing PyTorch costs 2.5 seconds of CPU and 200 MB; forked workers share both, so five models start as fast as one
and a killed worker is back within a second. Started by `runtimes/forkserver.py`, which requests native workers;
TorchServe requests its own through `torchserve_shim.py`. A spawn request is one line of JSON with file descriptors: the
channel of a native worker, or the three standard streams that TorchServe's worker shall have. A forked worker closes
itself in (`containment.py`) and reports that before it imports anything of an archive.

The front made the socket that is listened on, and no worker finds its path in the memory that it shares with us.

    python -P -m serving_runtime.worker.forkserver_main DESCRIPTOR [MODULE...]

Each MODULE is one more that is imported for all workers, as the environment of the models has it.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from serving_runtime import landlock
from serving_runtime.containment import Plan, Uncontained
from serving_runtime.processes import die_with_parent, hide_memory, trim_memory, tune_malloc
from serving_runtime.worker import containment, namespaces, native_main, orphans, output, torchserve_receiving

# What every worker imports anyway. No threads may start here: they would not live on in the forked worker.
_MODULES = ("numpy", "torch", "serving_runtime.worker.torchserve_main")
# Imported with TorchServe's first spawn request, because a native worker can do without.
_TORCHSERVE = ("ts.model_loader", "ts.metrics.metric_cache_yaml_impl")
_OPTIONAL = (
    "PIL.Image",
    "PIL.PngImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.ImageOps",
    "safetensors.torch",
    "yaml",
)
_LARGEST_MESSAGE = 1024 * 1024


class _Workers:
    """The workers that live; what they leave behind when they die is ended."""

    def __init__(self) -> None:
        self._pids: set[int] = set()

    def fork(self) -> int:
        """Like os.fork, with the worker on the list before anybody can notice its death."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM))
        worker = os.fork()
        if worker:
            self._pids.add(worker)
        else:
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, signal.SIGTERM))
        return worker

    def reap(self, _signal: int, _frame: FrameType | None) -> None:
        lost = False
        with contextlib.suppress(ChildProcessError):
            while (dead := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                lost = lost or dead in self._pids
                self._pids.discard(dead)
        if lost:
            orphans.end(self._pids)

    def end(self, _signal: int, _frame: FrameType | None) -> None:
        orphans.end(())
        os._exit(0)


def main() -> None:
    """Listen on DESCRIPTOR and fork until killed, or asked to end."""
    die_with_parent(os.getppid())
    orphans.adopt()
    namespaces_possible = namespaces.possible(Path.cwd())
    if landlock.abi() is None:
        hide_memory()
    tune_malloc()
    listener = socket.socket(fileno=int(sys.argv[1]))
    for name in _MODULES:
        importlib.import_module(name)
    _import_optional((*_OPTIONAL, *sys.argv[2:]))
    workers = _Workers()
    signal.signal(signal.SIGCHLD, workers.reap)
    signal.signal(signal.SIGTERM, workers.end)
    while True:
        connection, _ = listener.accept()
        with connection:
            _serve(listener, connection, workers, namespaces_possible=namespaces_possible)


def _serve(
    listener: socket.socket, connection: socket.socket, workers: _Workers, *, namespaces_possible: bool
) -> None:
    connection.settimeout(5)
    try:
        request, descriptors = _receive(connection)
    except (OSError, ValueError):
        return
    native = "native" in request
    if not native and _TORCHSERVE[0] not in sys.modules:
        _import_optional(_TORCHSERVE)
    forkserver = os.getpid()
    if workers.fork() == 0:
        try:
            listener.close()
            sys.dont_write_bytecode = True  # an archive's folder stays as it was unpacked
            become = _become_native if native else _become_torchserve
            become(_Birth(request, descriptors, connection, forkserver, namespaces_possible))
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)


@dataclass(frozen=True)
class _Birth:
    """What a forked worker knows of itself."""

    request: dict[str, Any]
    descriptors: list[int]
    connection: socket.socket
    forkserver: int
    namespaces_possible: bool

    def enter(self) -> dict[str, Any]:
        """Close this process in; what the front shall know of it. `error` is set when it must not go on."""
        report: dict[str, Any] = {"pid": os.getpid(), "containment": None}
        plan = self.request["containment"]
        try:
            if plan is not None:
                report["containment"] = containment.enter(
                    Plan.from_json(plan), namespaces_possible=self.namespaces_possible
                )
        except (Uncontained, OSError) as error:
            report["error"] = f"the worker cannot be contained: {error}"
        die_with_parent(self.forkserver)  # a change of user has ended that
        return report


def _import_optional(names: tuple[str, ...]) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
        except Exception:
            traceback.print_exc()  # the model that needs it says so itself
    gc.collect()
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that it shares
    trim_memory()


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(connection, _LARGEST_MESSAGE, 3)
    while not data.endswith(b"\n"):
        more = connection.recv(_LARGEST_MESSAGE)
        if not more:
            raise ValueError("the spawn request is cut off")
        data += more
    request: dict[str, Any] = json.loads(data)
    return request, descriptors


def _become_native(birth: _Birth) -> None:
    output.redirect(output.open_pipe(birth.request["output"]))
    report = birth.enter()
    birth.connection.sendall(_line(report))
    birth.connection.close()
    if "error" not in report:
        output.take_over()
        (channel,) = birth.descriptors
        native_main.serve(socket.socket(fileno=channel), Path(birth.request["native"]))


def _become_torchserve(birth: _Birth) -> None:
    request, connection = birth.request, birth.connection
    for target, descriptor in enumerate(birth.descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    output.keep(output.open_pipe(request["output"]))
    with open(request["pid_file"], "ab", buffering=0) as file:  # out of reach afterwards
        report = birth.enter()
        file.write(_line(report))
    if "error" in report:
        return
    # TorchServe kills the entry process when it wants the worker gone.
    connection.settimeout(None)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    torchserve_receiving.read_ahead()
    script, *arguments = request["argv"]
    sys.argv = [script, *arguments]
    sys.path[:0] = [part for part in request["env"].get("PYTHONPATH", "").split(os.pathsep) if part]
    runpy.run_path(script, run_name="__main__")


def _line(report: dict[str, Any]) -> bytes:
    return json.dumps(report).encode() + b"\n"


def _end_with(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(1)
    os._exit(1)


if __name__ == "__main__":
    main()
