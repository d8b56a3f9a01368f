"""A front with one hostile model for each runtime, and everything that they try to get at."""

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil

from serving_runtime.archive import mar
from serving_runtime.contracts import RUNTIMES
from tests.serving.conftest import Front
from tests.serving.containment import acts

PROCESSES = 32
SCRATCH_BYTES = 8 * 1024**2
MODELS: dict[str, str] = {**{runtime: runtime for runtime in RUNTIMES}, "networked": "native"}
SECRET = "a secret that nobody may see"


def build_archive(path: Path) -> None:
    """Pack the hostile handler."""
    files: dict[str, bytes | Path] = {"handler.py": Path(acts.__file__)}
    mar.build(path, name="hostile", handler="handler.py", serialized_file=None, files=files)


class Targets:
    """What a hostile handler may try to reach on this machine, besides the front: files, memory, listeners."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.fields: dict[str, Any] = {}
        for name, where in (("object", "store/object"), ("password", "run/postgres-password")):
            path = folder / where
            path.parent.mkdir(mode=0o700, parents=True)
            self._secret(name, path)
        if os.path.isdir("/dev/shm"):
            shared = Path("/dev/shm", f"marina-test-{secrets.token_hex(6)}")
            stack.callback(shared.unlink)
            self._secret("shared_memory", shared)
        self.outside = folder / "outside"
        self.fields["outside"] = str(self.outside)
        self.heard: list[str] = []
        abstract = secrets.token_hex(6)
        self._listen("an abstract socket", socket.AF_UNIX, "\0" + abstract, stack)
        tcp = self._listen("TCP", socket.AF_INET, ("127.0.0.1", 0), stack)
        self.fields |= {"abstract": abstract, "tcp": tcp[1], "udp": self._echo(stack)}

    def _secret(self, name: str, path: Path) -> None:
        path.write_text(SECRET)
        path.chmod(0o600)
        self.fields[name] = str(path)

    def _listen(self, name: str, family: int, address: Any, stack: ExitStack) -> Any:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.bind(address)
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()
                    self.heard.append(name)

        threading.Thread(target=accept, daemon=True).start()
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        return listener.getsockname()

    def _echo(self, stack: ExitStack) -> int:
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    data, sender = listener.recvfrom(64)
                    if not data:
                        return
                    self.heard.append("UDP")
                    listener.sendto(data, sender)

        def end() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))

        threading.Thread(target=answer, daemon=True).start()
        stack.callback(end)
        return port


class Scene:
    """A running front, its hostile models by name, and what each has got hold of.

    Two are named by their runtimes; `networked` may open connections.
    """

    def __init__(self, front: Front, targets: Targets) -> None:
        self.front = front
        self.targets = targets
        self.status = {name: front.status(name) for name in MODELS}
        self.answers = {name: self._ask(name) for name in MODELS}

    def worker(self, name: str) -> psutil.Process:
        return psutil.Process(self.status[name]["processes"][-1])

    def in_reach_of(self, name: str) -> dict[str, Any]:
        """The targets of one model: everything but itself."""
        work = self.front.folder / ".marina" / "run"
        forkserver = self.worker(name).parent()
        assert forkserver is not None
        others = [status["processes"] for other, status in self.status.items() if other != name]
        archives = {self.worker(other).cwd() for other in MODELS if other != name}
        return {
            **self.targets.fields,
            "work": str(work),
            "archive": min(archives),
            # A worker's own socket lies in the temporary folder of its Java, `t`.
            "sockets": [
                str(path) for path in sorted(work.rglob("*")) if path.is_socket() and path.parent.name != "t"
            ],
            "processes": [self.front.process.pid, forkserver.pid, *(pid for pids in others for pid in pids)],
        }

    def _ask(self, name: str) -> dict[str, Any]:
        body = orjson.dumps(self.in_reach_of(name)).decode()
        document = {"inputs": [{"name": "data", "datatype": "BYTES", "shape": [1], "data": [body]}]}
        answer = self.front.client.post(f"/v2/models/{name}/infer", json=document, timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = orjson.loads(answer.json()["outputs"][0]["data"][0])
        return found


@contextmanager
def scene(folder: Path, **settings: str) -> Iterator[Scene]:
    """All hostile models, each asked once."""
    with ExitStack() as stack:
        targets = Targets(folder, stack)
        front = Front(
            folder / "front",
            SERVING_DEADLINE_SECONDS="60",
            SERVING_WORKER_PROCESSES=str(PROCESSES),
            SERVING_WORKER_SCRATCH_BYTES=str(SCRATCH_BYTES),
            SERVING_WORKER_NETWORK="networked",
            **settings,
        )
        stack.callback(front.stop)
        archive = folder / "hostile.mar"
        build_archive(archive)
        for name, runtime in MODELS.items():
            front.want(name, "1", archive, runtime=runtime)
        for name in MODELS:
            front.wait_until(name, state="ready")
        yield Scene(front, targets)
