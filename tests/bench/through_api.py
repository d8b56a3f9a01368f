"""v2 through the API beside v2 at the server itself: the same server, in turn, in one run."""

import contextlib
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from metadata_api.database import migrate
from metadata_api.database.session import connect
from serving_runtime import processes
from tests import postgres
from tests.bench import bench, servers
from tests.metadata_api.making import make_deployment
from tests.ports import free_port

CLIENTS = (1, 32)
LIMIT = 1.4
"""The most that p50 through the API may be of the server's own."""


@dataclass(frozen=True)
class Pair:
    """One measurement at the server itself, and the one through the API that followed it."""

    itself: bench.Result
    through: bench.Result
    front_cpu: float
    """Milliseconds of processor time of the front for one of its own requests, without its workers."""
    api_cpu: float
    """The same of the API for one request through it."""


class Comparison:
    """All pairs by server and number of clients, and the resident memory of front and API after each round, in bytes."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, int], list[Pair]] = {}
        self._memory: dict[str, list[tuple[int, int]]] = {}

    def add(self, name: str, clients: int, pair: Pair) -> None:
        """Remember a pair."""
        self._pairs.setdefault((name, clients), []).append(pair)

    def add_memory(self, name: str, front: int, api: int) -> None:
        """Remember what the two processes had after their load."""
        self._memory.setdefault(name, []).append((front, api))

    def table(self) -> list[str]:
        """Medians as lines of Markdown; empty when nothing was measured. A ratio is the median of those of all pairs."""
        if not self._pairs:
            return []
        lines = [
            f"JSON, 1 image a request. p50 through the API is at most {LIMIT:g} times the server's own at {CLIENTS[0]} and"
            f" {CLIENTS[1]} clients.",
            "CPU is that of one process for one request: of the front for its own, of the API for one through it.",
            "",
            "| server | clients | p50 ms: itself | through the API | ratio | reached | req/s: itself | through the API | ratio "
            "| CPU ms: front | API |",
            "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
            *(self._line(name, clients, pairs) for (name, clients), pairs in self._pairs.items()),
            "",
            "| server | resident MB: front | API |",
            "| --- | ---: | ---: |",
        ]
        for name, found in self._memory.items():
            front, api = (statistics.median(each) / 1e6 for each in zip(*found, strict=True))
            lines.append(f"| {name} | {front:,.0f} | {api:,.0f} |")
        return lines

    def _line(self, name: str, clients: int, pairs: Sequence[Pair]) -> str:
        ratio = statistics.median(pair.through.p50 / pair.itself.p50 for pair in pairs)
        rate = statistics.median(pair.through.rate / pair.itself.rate for pair in pairs)
        lost = sum(pair.itself.errors + pair.through.errors for pair in pairs)
        cells = [
            name + (f" ({lost} errors)" if lost else ""),
            str(clients),
            f"{statistics.median(pair.itself.p50 for pair in pairs):.2f}",
            f"{statistics.median(pair.through.p50 for pair in pairs):.2f}",
            f"{ratio:.2f}",
            "yes" if ratio <= LIMIT and not lost else "no",
            f"{statistics.median(pair.itself.rate for pair in pairs):,.0f}",
            f"{statistics.median(pair.through.rate for pair in pairs):,.0f}",
            f"{rate:.2f}",
            f"{statistics.median(pair.front_cpu for pair in pairs):.2f}",
            f"{statistics.median(pair.api_cpu for pair in pairs):.2f}",
        ]
        return "| " + " | ".join(cells) + " |"


def measure(
    found: Comparison, name: str, front: servers.Running, *, rounds: int, seconds: int, folder: Path
) -> None:
    """Load a front and an API before it in turn, with JSON of one image."""
    request = folder / "json-request"
    request.write_bytes(bench.body([1, 28, 28]))
    with _api(front.url, folder) as api:
        bench.measure(api.url, clients=8, seconds=seconds, request=request)  # warm
        for _ in range(rounds):
            for clients in CLIENTS:
                itself, front_cpu = _load(front, clients, seconds, request)
                through, api_cpu = _load(api, clients, seconds, request)
                found.add(name, clients, Pair(itself, through, front_cpu, api_cpu))
        found.add_memory(name, front.process.memory_info().rss, api.process.memory_info().rss)


def _load(target: servers.Running, clients: int, seconds: int, request: Path) -> tuple[bench.Result, float]:
    before = sum(target.process.cpu_times()[:2])
    result = bench.measure(target.url, clients=clients, seconds=seconds, request=request)
    return result, (sum(target.process.cpu_times()[:2]) - before) / (result.rate * seconds) * 1000


@contextlib.contextmanager
def _api(infer: str, folder: Path) -> Iterator[servers.Running]:
    """The API as a program of its own, which knows the model as a deployment; ends with the block."""
    port, address, home = free_port(), urlsplit(infer), folder / "api"
    home.mkdir(exist_ok=True)
    with postgres.database(home / "postgres") as database:
        engine = connect(database.url)
        migrate.upgrade(engine)
        make_deployment(engine, "digits")
        engine.dispose()
        environment = {
            **os.environ,
            "METADATA_API_DATABASE_URL": database.url,
            "METADATA_API_STORE_DIR": str(home / "store"),
            "METADATA_API_SERVING_MODELS_FILE": str(home / "models.json"),
            "METADATA_API_SERVING_URL": f"http://{address.netloc}",
            "METADATA_API_PORT": str(port),
            "METADATA_API_AUTH_MODE": "off",  # wrk sends no token
        }
        with open(home / "api.log", "ab") as log:
            process = processes.start(
                [sys.executable, "-m", "metadata_api"], cwd=home, env=environment, output=log
            )
        base = f"http://127.0.0.1:{port}"
        try:
            servers.wait(f"{base}/v2/models/digits/ready", process, home / "api.log")
            yield servers.Running(f"{base}{address.path}", psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(20)
