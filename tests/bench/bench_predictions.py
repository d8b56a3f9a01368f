"""One call to many deployments beside the call to each of them alone, of the running system, in turn, in one run.

Run by `make bench-predictions`. What counts is p50 of the one call over p50 of the slowest deployment alone: the models
compute side by side, so that all else is what the API adds. Prints figures; loads only this machine.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "models" / "examples" / "digit-5.png"
GOAL = 1.3
WARMUP = 10


def measure(api: httpx.Client, names: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call: of each deployment alone by its name, and of all together by the empty name."""
    found: dict[str, list[float]] = {name: [] for name in (*names, "")}
    image = IMAGE.read_bytes()
    for turn in range(WARMUP + rounds):
        for name, times in found.items():
            asked = [name] if name else list(names)
            begin = time.perf_counter()
            answer = api.post("/v1/predictions", files={"image": image}, data={"deployments": asked})
            spent = 1000 * (time.perf_counter() - begin)
            answer.raise_for_status()
            told = answer.json()
            if missing := told["not_asked"]:
                raise SystemExit(f"{missing[0]['deployment']} takes no image: name others")
            if failed := [row for row in told["results"] if row["status"] != "ok"]:
                raise SystemExit(f"{failed[0]['deployment']} did not answer: {failed[0]['error']}")
            if turn >= WARMUP:
                times.append(spent)
    return found


def table(found: dict[str, list[float]]) -> list[str]:
    """p50 of each, and the ratio, as lines."""
    medians = {name: statistics.median(times) for name, times in found.items()}
    together = medians.pop("")
    slowest = max(medians.values())
    lines = [f"{name}: {value:.2f} ms" for name, value in medians.items()]
    ratio = together / slowest
    reached = "reached" if ratio <= GOAL else "not reached"
    return [*lines, f"all {len(medians)}: {together:.2f} ms, {ratio:.2f} x the slowest ({GOAL:g}: {reached})"]


def main() -> int:
    """Measure the deployments that are named, or the first four that are ready and take an image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    port = os.environ.get("MARINA_API_PORT", "8000")
    home = Path(os.environ.get("MARINA_HOME", ROOT / ".marina"))
    name, _, value = (home / "run" / "header").read_text().strip().partition(": ")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={name: value}, timeout=60) as api:
        items = api.get("/v1/deployments?limit=200").json()["items"]
        ready = [one["name"] for one in items if one["ready"] and one["inputs"][0]["kind"] == "image"]
        names = arguments.names or ready[:4]
        sys.stdout.write("\n".join(table(measure(api, names, arguments.rounds))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
