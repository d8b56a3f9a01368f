"""The images as they will run: a read-only root, a user without rights, no capabilities, no network."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp:rw,exec,nosuid,nodev,mode=1777"),
    *("--user", "10001:10001", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
COMMAND_SECONDS = 180


def _script() -> ModuleType:
    """.ci/images, which builds what is tested here."""
    loader = SourceFileLoader("images", str(ROOT / ".ci" / "images"))
    spec = importlib.util.spec_from_loader("images", loader)
    assert spec
    # A dataclass looks its module up by name.
    module = importlib.util.module_from_spec(spec)
    sys.modules["images"] = module
    loader.exec_module(module)
    return module


BUILDER = _script()
NAMES: list[str] = list(BUILDER.ALL)


def docker(*words: str, seconds: float = COMMAND_SECONDS, data: bytes | None = None) -> str:
    """What a command of the engine prints; a failure shows what it said."""
    done = subprocess.run(
        [*BUILDER.docker(), *words], capture_output=True, input=data, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.decode()[-3000:]}"
    return done.stdout.decode()


def reference(name: str) -> str:
    """The full name of an image of this version."""
    return f"{name}:{BUILDER.tag()}"


def described(name: str) -> dict[str, Any]:
    """What the engine knows about an image."""
    found: list[dict[str, Any]] = json.loads(docker("image", "inspect", reference(name)))
    return found[0]


def python(name: str, code: str) -> str:
    """Run Python code in a fresh container without network; what it prints."""
    run = ("run", "--rm", "--interactive", "--network", "none", *HARDENED, "--entrypoint", "python")
    return docker(*run, reference(name), "-", data=code.encode())


@dataclass(frozen=True)
class Container:
    """One running container."""

    id: str

    def ask(self, url: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of an address inside; GET without a body, else POST. Status 0: nothing listens."""
        code = (
            "import sys, urllib.error, urllib.request\n"
            "body = sys.stdin.buffer.read()\n"
            "try:\n    answer = urllib.request.urlopen(sys.argv[1], body or None, timeout=20)\n"
            "except urllib.error.HTTPError as error:\n    answer = error\n"
            "except OSError:\n    sys.exit(print(0))\n"
            "print(answer.status, flush=True)\nsys.stdout.buffer.write(answer.read())"
        )
        out = docker("exec", "--interactive", self.id, "python", "-c", code, url, data=body)
        status, _, rest = out.partition("\n")
        return int(status), rest.encode()

    def wait_for(self, url: str, seconds: float) -> float:
        """Return after how many seconds an address answered 200; fail with the log when it does not in time."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            assert self.running, self.log()
            if self.ask(url)[0] == 200:
                return time.monotonic() - began
            time.sleep(0.2)
        pytest.fail(f"{url} does not answer 200 after {seconds} s: {self.log()}")

    def wait_until_it_handles(self, number: signal.Signals, seconds: float = 30) -> None:
        """Return when the program has a handler: before, the first process of a container ignores a signal."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            caught = docker("exec", self.id, "grep", "SigCgt", "/proc/1/status").split()[1]
            if int(caught, 16) >> (number - 1) & 1:
                return
            time.sleep(0.1)
        pytest.fail(f"no handler for {number.name} after {seconds} s: {self.log()}")

    @property
    def running(self) -> bool:
        return docker("inspect", "--format", "{{.State.Running}}", self.id).strip() == "true"

    def stop(self, seconds: int = 30) -> tuple[int, float]:
        """Exit code, and seconds from SIGTERM to the end; 137 means that it had to be killed."""
        began = time.monotonic()
        docker("stop", "--time", str(seconds), self.id)
        code = docker("inspect", "--format", "{{.State.ExitCode}}", self.id)
        return int(code), time.monotonic() - began

    def ended(self, seconds: float = COMMAND_SECONDS) -> int:
        """Its exit code, once it has ended by itself."""
        return int(docker("wait", self.id, seconds=seconds))

    def log(self) -> str:
        """The last lines that it wrote."""
        command = [*BUILDER.docker(), "logs", "--tail", "40", self.id]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False
        )
        return done.stdout.decode()


Start = Callable[..., Container]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start containers: start(NAME, *options, command=(...)); removed with their volumes at the end."""
    started: list[str] = []

    def start(name: str, *options: str, command: tuple[str, ...] = (), network: str = "none") -> Container:
        image = reference(name) if name in NAMES else name
        rights = HARDENED if name in NAMES else ()
        words = ("run", "--detach", "--network", network, *rights, *options, image, *command)
        started.append(docker(*words).strip())
        return Container(started[-1])

    yield start
    for container in reversed(started):
        docker("rm", "--force", "--volumes", container)


@pytest.fixture(scope="session")
def starters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /models of marina-models: NAME/NAME.mar."""
    folder = tmp_path_factory.mktemp("starters")
    container = docker("create", reference("marina-models")).strip()
    try:
        docker("cp", f"{container}:/models", str(folder))
    finally:
        docker("rm", container)
    # Docker hands it to a container of another user.
    for path in (folder, *folder.parents):
        if path.owner() == "root" and path != Path("/") and "pytest" in str(path):
            path.chmod(0o755)
    return folder / "models"
