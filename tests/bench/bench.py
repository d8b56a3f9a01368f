"""Measure v2 inference of the running system with wrk, alone or beside other servers; `make bench-up` calls it.

    make bench-up                                    every deployment that is ready
    make bench-up BENCH="--seconds 10 --rounds 5"
    make bench-up BENCH="--model cnn-baseline peer=http://127.0.0.1:9100/v2/models/mnist/infer"

One request is one image as JSON: tensor `image`, 784 pixels, UINT8. Rounds are interleaved (first
every target once, then every target again), so a machine that slows down slows everybody down; the
table shows medians. Only addresses of this machine are loaded.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serving_runtime import processes

LOOPBACK = re.compile(r"^http://(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d+)?/")
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
SCRIPT = Path(__file__).with_name("post.lua")
WARM_UP_SECONDS, MOST_SECONDS, MOST_CLIENTS = 1, 120, 256


@dataclass(frozen=True)
class Result:
    """One measurement: requests per second, latency percentiles in milliseconds, answers that were no 2xx."""

    rate: float
    p50: float
    p99: float
    errors: int


def body(shape: list[int]) -> bytes:
    """The request that every target gets; the pixels are no digit, which a model takes as well as any."""
    pixels = [(index * 37) % 256 for index in range(784)]
    tensor = {"name": "image", "shape": shape, "datatype": "UINT8", "data": pixels}
    return json.dumps({"inputs": [tensor]}).encode()


def parse(report: str) -> Result:
    """What wrk printed as figures.

    Raises ValueError when there is no rate in it, which is what wrk prints for a target that is away.
    """
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", report, re.M)
    found = {name: re.search(rf"^\s+{name}%\s+([\d.]+)(us|ms|s|m)\b", report, re.M) for name in ("50", "99")}
    rejected = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    lost = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    if rate is None or not all(found.values()):
        raise ValueError(f"wrk measured nothing: {report.strip()[-300:]}")
    median, tail = (float(match[1]) * UNITS[match[2]] for match in found.values() if match)
    errors = int(rejected[1] if rejected else 0) + sum(
        int(count) for count in (lost.groups() if lost else ())
    )
    return Result(float(rate[1]), median, tail, errors)


def require_wrk() -> None:
    """Raise SystemExit that says how to get wrk, if it is not there."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing, which makes the load (Debian: apt install wrk)")


def measure(
    url: str,
    *,
    clients: int,
    seconds: int,
    request: Path,
    header_length: int | None = None,
    token: str | None = None,
) -> Result:
    """Load one target with some clients for some seconds.

    `header_length` is that of the JSON of a request with binary tensors; `token` goes with every request.
    """
    said = {"BODY": str(request), "HEADER_LENGTH": header_length, "TOKEN": token}
    command = [
        "wrk",
        "--threads",
        "1",
        "--connections",
        str(clients),
        "--duration",
        f"{seconds}s",
        "--latency",
    ]
    result = subprocess.run(
        [*command, "--script", str(SCRIPT), url],
        env={**os.environ, **{name: str(value) for name, value in said.items() if value is not None}},
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
        preexec_fn=partial(processes.die_with_parent, os.getpid()),
    )
    return parse(result.stdout + result.stderr)


def table(results: dict[str, dict[int, list[Result]]]) -> str:
    """Medians of all rounds, a line for each target; a target with errors is marked."""
    clients = list(next(iter(results.values())))
    width = max(len(name) for name in [*results, "target"]) + 2
    lines = [
        "target".ljust(width) + "".join(f"c={count} req/s   p50   p99 ms".rjust(30) for count in clients)
    ]
    for name, measured in results.items():
        cells = ""
        for rounds in measured.values():
            rate, p50, p99 = (
                statistics.median(getattr(r, key) for r in rounds) for key in ("rate", "p50", "p99")
            )
            cells += f"{rate:>16.0f}{p50:>7.2f}{p99:>7.2f}"
        bad = sum(result.errors for rounds in measured.values() for result in rounds)
        lines.append(name.ljust(width) + cells + (f"  {bad} ERRORS" if bad else ""))
    return "\n".join(lines)


def ready_models(serving: str) -> list[str]:
    """Names of the models that the running system serves.

    Raises SystemExit with one line when nothing runs.
    """
    try:
        with urllib.request.urlopen(f"{serving}/status", timeout=5) as response:
            models = json.load(response)["models"]
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"{serving} does not answer ({error}): run `make up` in another terminal first"
        ) from error
    return [model["name"] for model in models if model["state"] == "ready"]


def targets(arguments: argparse.Namespace) -> dict[str, str]:
    """Name -> URL of everything to measure, all on this machine."""
    others = dict(item.split("=", 1) for item in arguments.others)
    names = arguments.model or ready_models(arguments.serving)
    found = {name: f"{arguments.serving}/v2/models/{name}/infer" for name in names} | others
    for name, url in found.items():
        if not LOOPBACK.match(url):
            raise SystemExit(f"{name}: {url} is not an address of this machine, so it is not loaded")
    if not found:
        raise SystemExit("nothing is ready to be measured")
    return found


def run(arguments: argparse.Namespace) -> dict[str, dict[int, list[Result]]]:
    """All rounds; results by target and number of clients."""
    clients = [min(int(word), MOST_CLIENTS) for word in arguments.clients.split(",")]
    seconds = min(arguments.seconds, MOST_SECONDS)
    chosen = targets(arguments)
    results: dict[str, dict[int, list[Result]]] = {name: {count: [] for count in clients} for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        request.write_bytes(body([1, 784] if arguments.flat else [1, 28, 28]))
        for round_ in range(arguments.rounds):
            for name, url in chosen.items():
                measure(url, clients=4, seconds=WARM_UP_SECONDS, request=request)
                for count in clients:
                    measured = measure(url, clients=count, seconds=seconds, request=request)
                    results[name][count].append(measured)
            print(f"round {round_ + 1} of {arguments.rounds} done", file=sys.stderr, flush=True)
    return results


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    port = os.environ.get("MARINA_SERVING_PORT", "8080")
    parser.add_argument(
        "others", nargs="*", metavar="NAME=URL", help="further targets, with the same request"
    )
    parser.add_argument("--serving", default=f"http://127.0.0.1:{port}", help="address of the v2 endpoint")
    parser.add_argument("--model", action="append", help="model to measure; may be repeated; default: all")
    parser.add_argument("--clients", default="1,8,32", help="numbers of clients, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="seconds for each figure")
    parser.add_argument("--flat", action="store_true", help="shape [1, 784] instead of [1, 28, 28]")
    parser.add_argument("--out", type=Path, help="write every single figure as JSON")
    arguments = parser.parse_args()
    require_wrk()
    try:
        results = run(arguments)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    print(table(results))
    if arguments.out:
        plain = {
            name: {count: [vars(r) for r in rounds] for count, rounds in m.items()}
            for name, m in results.items()
        }
        arguments.out.write_text(json.dumps(plain, indent=1))
    return int(any(r.errors for measured in results.values() for rounds in measured.values() for r in rounds))


if __name__ == "__main__":
    sys.exit(main())
