"""v2 that is recorded in full beside v2 that is not: the same server twice, loaded in turn, in one run."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from serving_runtime import processes
from tests.bench import servers, with_tokens
from tests.ports import free_port

CLIENTS = (1, 32)
LIMIT = 0.05
"""The most that recording may cost, as a share of p50 and of requests per second."""


class Comparison(with_tokens.Comparison):
    """All pairs by server and number of clients."""

    limit = LIMIT
    heading = (
        "JSON, 1 image a request, by a server that records every request with its answer and sends both to a program"
        f" that only takes them. p50 and requests/s are within {LIMIT:.0%} of those of the same server without."
    )


def measure(
    found: Comparison, name: str, without: servers.Running, *, rounds: int, seconds: int, folder: Path
) -> None:
    """Load a server that records nothing and another of its kind that records all."""
    own = folder / "with-recording"
    own.mkdir(exist_ok=True)
    with (
        _sink(own) as url,
        servers.started(name, own, SERVING_RECORDINGS_FILE=str(_rule(own, url))) as recording,
    ):
        pair = (without, recording)
        with_tokens.in_turn(found, name, pair, CLIENTS, rounds=rounds, seconds=seconds, folder=folder)
        require_all_counted(recording)


def require_all_counted(recording: servers.Running) -> None:
    """Raise SystemExit when a request was answered and neither recorded nor counted as dropped."""
    answered = counted = 0.0
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = _counters(recording.url)
        answered = found["marina_infer_requests_total", "200"]
        counted = sum(
            value for (series, _), value in found.items() if series.startswith("marina_recordings_")
        )
        if answered == counted:
            return
        time.sleep(0.2)
    raise SystemExit(f"{answered:.0f} requests were answered, {counted:.0f} recorded or counted as dropped")


def _counters(url: str) -> dict[tuple[str, str], float]:
    """Values of the series that end in _total, by name and code."""
    address = url.partition("/v2/")[0] + "/metrics"
    with urllib.request.urlopen(address, timeout=5) as response:
        lines = response.read().decode().splitlines()
    found: dict[tuple[str, str], float] = {}
    for line in lines:
        name, _, labels = line.partition("{")
        if name.endswith("_total"):
            code = labels.partition('code="')[2].partition('"')[0] or labels.partition("}")[0]
            found[name, code] = found.get((name, code), 0.0) + float(line.split()[-1])
    return found


@contextlib.contextmanager
def _sink(folder: Path) -> Iterator[str]:
    """A program that takes events and does nothing with them; its address."""
    port = free_port()
    with (folder / "sink.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.bench.event_sink", str(port)]
        process = processes.start(command, cwd=servers.ROOT, env=os.environ, output=log)
    try:
        servers.wait(f"http://127.0.0.1:{port}/", process, folder / "sink.log")
        yield f"http://127.0.0.1:{port}/v1/recordings/digits/key"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _rule(folder: Path, url: str) -> Path:
    file = folder / "recordings.json"
    rule = {"rate": 1, "answers": True, "url": url}
    file.write_text(json.dumps({"namespace": "models", "models": {"digits": rule}}))
    return file
