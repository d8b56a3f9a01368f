"""Both runtimes under load for long: their memory must stay as it was once they were warm; `make soak` calls it.

    make soak                 ten minutes
    make soak MINUTES=60      an hour

wrk asks each of two fronts, one for each runtime, without a pause. Prints the memory of all processes of each front
every half minute, and at the end how much more the last fifth of the time has than the second. 1 when that is over the
limit, when an answer was not a 200, or when a process was replaced.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench import bench, servers

CLIENTS = 4
SAMPLE_SECONDS = 2.0
SHOWN_EVERY = 15
LARGEST_GROWTH = 0.02  # of the memory after the first fifth


def main() -> int:
    """Load, sample, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    seconds = int(parser.parse_args().minutes * 60)
    bench.require_wrk()
    with tempfile.TemporaryDirectory(prefix="soak") as temporary, contextlib.ExitStack() as stack:
        request = Path(temporary) / "request"
        request.write_bytes(bench.body([1, 28, 28]))
        fronts = {}
        for name in servers.OURS:
            folder = Path(temporary) / name.replace(" ", "-")
            folder.mkdir()
            fronts[name] = stack.enter_context(servers.started(name, folder))
        before = {name: pids(front) for name, front in fronts.items()}
        with ThreadPoolExecutor() as pool:
            loads = {
                name: pool.submit(bench.measure, front.url, clients=CLIENTS, seconds=seconds, request=request)
                for name, front in fronts.items()
            }
            samples = sample(fronts, seconds)
        faults: list[str] = []
        for name, front in fronts.items():
            summary, found = verdict(name, samples[name], loads[name].result())
            say(summary)
            faults += found
            if pids(front) != before[name]:
                faults.append(f"{name}: a process was replaced")
    for fault in faults:
        say(f"FAULT {fault}")
    return 1 if faults else 0


def sample(fronts: dict[str, servers.Running], seconds: int) -> dict[str, list[float]]:
    """Megabytes of each front, every SAMPLE_SECONDS until the load ends."""
    samples: dict[str, list[float]] = {name: [] for name in fronts}
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds - SAMPLE_SECONDS:
        for name, front in fronts.items():
            samples[name].append(front.memory() / 1e6)
        if len(samples[next(iter(fronts))]) % SHOWN_EVERY == 1:
            shown = ", ".join(f"{name} {found[-1]:.1f} MB" for name, found in samples.items())
            say(f"{passed:6.0f} s  {shown}")
        time.sleep(SAMPLE_SECONDS)
    return samples


def verdict(name: str, samples: list[float], result: bench.Result) -> tuple[str, list[str]]:
    """A summary of a front, and its faults."""
    fifth = max(1, len(samples) // 5)
    warm, end = statistics.median(samples[fifth : 2 * fifth]), statistics.median(samples[-fifth:])
    growth = end / warm - 1
    summary = (
        f"{name}: {warm:.1f} MB warm, {end:.1f} MB at the end ({growth:+.2%}), {result.rate:,.0f} requests/s"
    )
    faults = []
    if growth > LARGEST_GROWTH:
        faults.append(f"{name}: its memory grew by {growth:.1%}")
    if result.errors:
        faults.append(f"{name}: {result.errors} answers were no 200")
    return summary, faults


def pids(front: servers.Running) -> set[int]:
    """The processes of a front."""
    return {each.pid for each in front.family()}


def say(text: str) -> None:
    """To the terminal at once: it takes long."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
