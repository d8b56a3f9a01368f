"""The servers that `make bench` compares: ours with both runtimes, and the peers, each started alone.

A peer's environment is made once, from its pinned requirements, in PEER_ENVS (default ~/.cache/marina/peers).
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from serving_runtime import processes
from tests.bench.kinds import DIGITS, Model
from tests.ports import free_port

READABLE = "readable"  # the folder beside a model that its handler may look into
PEERS = Path(__file__).with_name("peers")
ROOT = PEERS.parents[2]
ENVIRONMENTS = Path(os.environ.get("PEER_ENVS") or "~/.cache/marina/peers").expanduser()
OURS = {"marina native": "native", "marina torchserve": "torchserve"}
NAMES = {runtime: name for name, runtime in OURS.items()}
INFER = "/v2/models/digits/infer"
# Name -> command, path that is asked, path that says that it is ready.
COMMANDS = {
    "mlserver": (["{bin}/mlserver", "start", "."], INFER, "/v2/models/digits/ready"),
    "kserve": (["{bin}/python", "kserve_server.py", "{port}"], INFER, "/v2/models/digits/ready"),
    "litserve": (["{bin}/python", "litserve_server.py", "{port}"], "/predict", "/health"),
    "bentoml": (
        ["{bin}/bentoml", "serve", "bentoml_server:Digits", "--port", "{port}", "--host", "127.0.0.1"],
        "/predict",
        "/readyz",
    ),
    "starlette": (["{bin}/python", "starlette_server.py", "{port}"], INFER, "/v2/models/digits/ready"),
}
START_SECONDS = 90.0


@dataclass(frozen=True)
class Running:
    """A server that answers; `url` is its infer endpoint."""

    url: str
    process: psutil.Process

    def family(self) -> list[psutil.Process]:
        """The process and all that it started."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time that the family has used."""
        return sum(sum(each.cpu_times()[:2]) for each in self.family())

    def memory(self) -> int:
        """Resident bytes of the family; what its members share is counted once.

        Files count whole, so that it is the same whether or not another program has them in memory too.
        """
        used, files = 0, Counter[str]()
        for each in self.family():
            for region in each.memory_maps():
                if region.path.startswith("/"):
                    used += region.private_dirty
                    files[region.path] = max(files[region.path], region.rss - region.private_dirty)
                else:
                    used += region.pss  # only relatives share memory without a file
        return used + files.total()


def prepare(name: str) -> None:
    """Make a peer's environment if it is not there yet: minutes, and about 1 GB."""
    environment = ENVIRONMENTS / name
    if (environment / "done").exists():
        return
    print(f"making the environment of {name} in {environment}", file=sys.stderr, flush=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
    install: list[str | Path] = [
        environment / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "-r",
        PEERS / f"{name}.txt",
    ]
    subprocess.run(install, check=True)
    (environment / "done").touch()


@contextlib.contextmanager
def started(name: str, folder: Path, model: Model = DIGITS, **settings: str) -> Iterator[Running]:
    """Run a server alone, with its files in `folder`, until the block ends. Raises SystemExit when it cannot.

    `settings` are for ours only; it serves the archive in `folder`/models, or else one of the model.
    """
    port = free_port()
    read_anew(Path(sys.prefix) if name in OURS else ENVIRONMENTS / name)
    if name in OURS:
        command = [sys.executable, "-m", "serving_runtime"]
        environment = {**_ours(OURS[name], folder, port, model), **settings}
        path, ready = INFER, "/v2/health/ready"
    else:
        parts, path, ready = COMMANDS[name]
        command = [part.format(bin=ENVIRONMENTS / name / "bin", port=port) for part in parts]
        environment = dict(os.environ)
        _peer(name, folder, port, model)
    with open(folder / f"{name}.log", "ab") as log:
        process = processes.start(command, cwd=folder, env=environment, output=log)
    running = Running(f"http://127.0.0.1:{port}{path}", psutil.Process(process.pid))
    try:
        wait(f"http://127.0.0.1:{port}{ready}", process, folder / f"{name}.log")
        yield running
    finally:
        family = running.family() if process.poll() is None else []
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for each in alive:
            with contextlib.suppress(psutil.Error):
                each.kill()
        process.wait(10)


def read_anew(environment: Path) -> None:
    """Have the kernel read the libraries of an environment anew when they are next used.

    How much of a file one touch makes resident depends on how the file came into the kernel's cache: of libraries that
    were just installed, megabytes at a time, five times as much as of those that programs have read. After this, all
    servers begin as on a machine that has just booted.
    """
    processes.trim_memory()  # what is in use stays, and this process may use the same files
    for library in environment.rglob("*.so*"):
        with open(library, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def versions() -> dict[str, str]:
    """What is compared, by name."""
    pinned = {name: (PEERS / f"{name}.txt").read_text().split()[0] for name in COMMANDS}
    return {name: line.replace("==", " ") for name, line in pinned.items()}


def _ours(runtime: str, folder: Path, port: int, model: Model) -> dict[str, str]:
    models = folder / "models"
    models.mkdir(exist_ok=True)
    if not list(models.iterdir()):
        _archive(models / "digits.mar", model)
    readable = folder / READABLE
    readable.mkdir(exist_ok=True)
    readable.chmod(0o755)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("SERVING_")},
        "SERVING_MODEL_NAME": "digits",
        "SERVING_MODEL_DIR": str(models),
        "SERVING_RUNTIME": runtime,
        "SERVING_PORT": str(port),
        "SERVING_WORK_DIR": str(folder / "work"),
        "SERVING_WORKER_READABLE": str(readable),
    }


def _archive(path: Path, model: Model) -> None:
    """The model as we serve it: the starter, or what `marina pack` makes of its network."""
    from serving_runtime.packed.torch_model import network_of
    from tests.serving.starters import starter

    if model.starter:
        starter(path, model.starter)
        return
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from marina.packing.pack import Order, pack

    network, weights, example = ROOT / model.network, path.with_name("w.safetensors"), path.with_name("x.npy")
    torch.manual_seed(0)
    try:
        save_file(network_of(network).state_dict(), weights)
        np.save(example, model.data(1).reshape(1, *model.row))
        labels = [f"class {number}" for number in range(1000)]
        pack(Order(weights, example, "digits", labels=labels, network=network), path)
    finally:
        weights.unlink(missing_ok=True)
        example.unlink(missing_ok=True)


def _peer(name: str, folder: Path, port: int, model: Model) -> None:
    """Lay out what the program of a peer reads."""
    for file in PEERS.glob("*.py"):
        shutil.copy(file, folder)
    (folder / "shape.json").write_text(json.dumps([-1, *model.given]))
    python = ENVIRONMENTS / name / "bin/python"
    if not (folder / "model.pt").exists():
        divisor = "255" if model.datatype == "UINT8" else "1"
        subprocess.run(
            [python, "network.py", ROOT / model.network, "model.pt", divisor], cwd=folder, check=True
        )
    if name == "mlserver":
        ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
        server = {**ports, "parallel_workers": 1, "debug": False}
        described = {
            "name": "digits",
            "implementation": "mlserver_model.Digits",
            "max_batch_size": 16,
            "max_batch_time": 0.002,
        }
        (folder / "settings.json").write_text(json.dumps(server))
        (folder / "model-settings.json").write_text(json.dumps(described))


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"{url} did not become ready: {log.read_text(errors='replace')[-2000:]}")
