"""Gives birth to TorchServe's workers: imports PyTorch once, then forks a worker whenever TorchServe wants one.

Importing PyTorch costs 2.5 seconds of CPU and 200 MB; forked workers share both, so five models start as fast as one
and a killed worker is back within a second. Started by `nursery.py`; TorchServe reaches it through `worker_entry.py`.

    python -m serving_runtime.worker_nursery SOCKET
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
from types import FrameType
from typing import Any

from serving_runtime.processes import die_with_parent

# What every worker imports anyway. No threads may start here: they would not live on in the forked worker.
_MODULES = (
    "numpy",
    "torch",
    "ts.model_loader",
    "ts.metrics.metric_cache_yaml_impl",
    "serving_runtime.torchserve_worker",
)
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
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(sys.argv[1])
    for name in _MODULES:
        importlib.import_module(name)
    for name in _OPTIONAL:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that it shares
    signal.signal(signal.SIGCHLD, _reap)
    listener.listen(64)
    while True:
        connection, _ = listener.accept()
        with connection:
            _serve(listener, connection)


def _serve(listener: socket.socket, connection: socket.socket) -> None:
    connection.settimeout(5)
    try:
        order, descriptors = _receive(connection)
    except (OSError, ValueError):
        return
    nursery = os.getpid()
    if os.fork() == 0:
        try:
            listener.close()
            die_with_parent(nursery)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become_worker(connection, order, descriptors)
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(connection, _LARGEST_MESSAGE, 3)
    while not data.endswith(b"\n"):
        more = connection.recv(_LARGEST_MESSAGE)
        if not more:
            raise ValueError("order is cut off")
        data += more
    order: dict[str, Any] = json.loads(data)
    return order, descriptors


def _become_worker(connection: socket.socket, order: dict[str, Any], descriptors: list[int]) -> None:
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    # TorchServe kills the entry process when it wants the worker gone.
    connection.settimeout(None)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    with open(order["pid_file"], "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    script, *arguments = order["argv"]
    sys.argv = [script, *arguments]
    sys.path[:0] = [part for part in order["env"].get("PYTHONPATH", "").split(os.pathsep) if part]
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
