"""The fork server for both runtimes: imports PyTorch once and forks a worker per spawn request.

Importing PyTorch costs 2.5 seconds of CPU and 200 MB; forked workers share both, so five models start as fast as one
and a killed worker is back within a second. Started by `runtimes/forkserver.py`, which requests native workers;
TorchServe requests its own through `torchserve_shim.py`. A spawn request is one line of JSON with file descriptors: the
channel of a native worker, or the three standard streams that TorchServe's worker shall have.

    python -m serving_runtime.worker.forkserver_main SOCKET
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
from pathlib import Path
from types import FrameType
from typing import Any

from serving_runtime.processes import die_with_parent, trim_memory, tune_malloc
from serving_runtime.worker import native_main, torchserve_receiving

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


def main() -> None:
    """Listen on SOCKET and fork until killed."""
    die_with_parent(os.getppid())
    tune_malloc()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(sys.argv[1])
    for name in _MODULES:
        importlib.import_module(name)
    _import_optional(_OPTIONAL)
    signal.signal(signal.SIGCHLD, _reap)
    listener.listen(64)
    while True:
        connection, _ = listener.accept()
        with connection:
            _serve(listener, connection)


def _serve(listener: socket.socket, connection: socket.socket) -> None:
    connection.settimeout(5)
    try:
        request, descriptors = _receive(connection)
    except (OSError, ValueError):
        return
    native = "native" in request
    if not native and _TORCHSERVE[0] not in sys.modules:
        _import_optional(_TORCHSERVE)
    forkserver = os.getpid()
    worker = os.fork()
    if worker == 0:
        try:
            listener.close()
            die_with_parent(forkserver)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.dont_write_bytecode = True  # an archive's folder stays as it was unpacked
            if native:
                connection.close()
                _become_native(request, *descriptors)
            else:
                _become_torchserve(connection, request, descriptors)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    if native:
        with contextlib.suppress(OSError):
            connection.sendall(b"%d" % worker)


def _import_optional(names: tuple[str, ...]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that it shares
    trim_memory()


def _become_native(request: dict[str, Any], channel: int) -> None:
    native_main.serve(socket.socket(fileno=channel), Path(request["native"]))


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(connection, _LARGEST_MESSAGE, 3)
    while not data.endswith(b"\n"):
        more = connection.recv(_LARGEST_MESSAGE)
        if not more:
            raise ValueError("the spawn request is cut off")
        data += more
    request: dict[str, Any] = json.loads(data)
    return request, descriptors


def _become_torchserve(connection: socket.socket, request: dict[str, Any], descriptors: list[int]) -> None:
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    # TorchServe kills the entry process when it wants the worker gone.
    connection.settimeout(None)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    with open(request["pid_file"], "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    torchserve_receiving.read_ahead()
    script, *arguments = request["argv"]
    sys.argv = [script, *arguments]
    sys.path[:0] = [part for part in request["env"].get("PYTHONPATH", "").split(os.pathsep) if part]
    runpy.run_path(script, run_name="__main__")


def _end_with(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(1)
    os._exit(1)


def _reap(_signal: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
