"""What all tests share: a real Postgres, the trained starter models, the whole running system."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import psutil
import pytest
from httpx._transports import default as http_transports

from marina_local.postgres import delete
from marina_local.settings import LocalSettings
from tests import leftovers, postgres
from tests.groups import alone as alone
from tests.groups import others as others
from tests.groups import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.groups import pytest_itemcollected as pytest_itemcollected
from tests.groups import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).parent.parent
TRAINED = ROOT / ".marina" / "models"
START_SECONDS = 240
# The words that tell a part's process by its command line.
PARTS = {
    "ui": "model_ui",
    "api": "metadata_api",
    "serving": "serving_runtime",
    "java": "org.pytorch.serve.ModelServer",
    "worker": "serving_runtime.worker.forkserver_main",
    "postgres": "-D",
}
# Each client of httpx reads all certificates of authorities, 20 ms, though hardly a test speaks TLS: once is enough.
http_transports.create_ssl_context = cache(httpx.create_ssl_context)  # type: ignore[attr-defined]


def pytest_sessionstart(session: pytest.Session) -> None:
    """What killed test runs left of Postgres outside their folders goes, before a worker begins; only root has such."""
    if os.geteuid() == 0 and not hasattr(session.config, "workerinput"):
        leftovers.remove()


@dataclass(frozen=True)
class Stack:
    """The running system: addresses, data folder, and the launcher's process."""

    home: Path
    ui_url: str
    api_url: str
    serving_url: str
    launcher: psutil.Process

    @property
    def headers(self) -> dict[str, str]:
        """What a program of this folder sends to the API."""
        name, _, value = (self.home / "run" / "header").read_text().strip().partition(": ")
        return {name: value}

    @property
    def link(self) -> str:
        """The address of the UI that lets its reader in, as the launcher prints it."""
        return f"{self.ui_url}/?token={(self.home / 'run' / 'token').read_text().strip()}"

    def pids(self, part: str) -> list[int]:
        """Processes of a part, among those that this launcher started."""
        found = []
        for process in self.launcher.children(recursive=True):
            with suppress(psutil.Error):
                words = process.cmdline()
                # A worker is a fork of the process that imports PyTorch for all of them.
                is_fork = process.parent().cmdline() == words  # type: ignore[union-attr]
                if PARTS[part] in words and is_fork == (part == "worker"):
                    found.append(process.pid)
        return sorted(found)

    def wait_until_ready(self, deployment: str, seconds: float = 60) -> None:
        """Return when a deployment is ready; fail with its reason when it is not in time."""
        found: dict[str, object] = {}

        def ready() -> bool:
            url = f"{self.api_url}/v1/deployments/{deployment}"
            found.update(httpx.get(url, headers=self.headers, timeout=10).json())
            return bool(found.get("ready"))

        until(ready, lambda: f"{deployment} is ready, it is {found.get('observed')}", seconds)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Database]:
    """A real Postgres with an empty database; stopped at the end."""
    with postgres.database(tmp_path_factory.mktemp("postgres")) as database:
        yield database


@pytest.fixture(scope="session")
def postgres_url(database: postgres.Database) -> str:
    """URL of the database of this test run."""
    return database.url


@pytest.fixture(scope="session")
def starter_mars() -> dict[str, Path]:
    """The `.mar` of every starter experiment, as `make starters` trains them and `make up` looks for them."""
    command = [sys.executable, str(ROOT / "models" / "train.py"), "--all", "--out", str(TRAINED)]
    TRAINED.mkdir(parents=True, exist_ok=True)
    with (TRAINED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process of a run trains, the others find what it made
        subprocess.run(command, check=True, timeout=600)
    return {path.stem: path for path in TRAINED.glob("*/*.mar")}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, starter_mars: dict[str, Path]) -> Iterator[Stack]:
    """The system as `make up` starts it, with all starter experiments deployed; stopped at the end."""
    # Named as people's data folder is: TorchServe once stumbled over the `.mar` in it.
    with launched(tmp_path_factory.mktemp("system") / ".marina") as running:
        yield running


@contextmanager
def launched(home: Path, until: str = "models answer") -> Iterator[Stack]:
    """The system on an empty data folder, once it has said `until`; stopped and its database deleted at the end."""
    home.mkdir()
    (home / "models").symlink_to(TRAINED)
    ports = {part: free_port() for part in ("UI", "API", "SERVING", "POSTGRES")}
    environment = {
        **os.environ,
        "MARINA_HOME": str(home),
        **{f"MARINA_{part}_PORT": str(port) for part, port in ports.items()},
    }
    log = home / "launcher-output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "marina_local", "up"],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(process, log, until)
        urls = {part: f"http://127.0.0.1:{port}" for part, port in ports.items()}
        yield Stack(home, urls["UI"], urls["API"], urls["SERVING"], psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            delete(LocalSettings(home=home))


def _wait_for(process: subprocess.Popen[bytes], log: Path, words: str) -> None:
    until(
        lambda: words in log.read_text() or process.poll() is not None,
        lambda: f"the system starts: {log.read_text()[-3000:]}",
        START_SECONDS,
    )
    assert words in log.read_text(), f"the system did not start: {log.read_text()[-3000:]}"
