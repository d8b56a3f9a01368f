"""Times of the metadata API on a real Postgres: import of 100,000 rows, lists, and 100 curves of 10,000 points.

Run by `make bench-api`. Prints figures and compares nothing: machines differ. Loads only this machine.
"""

import argparse
import json
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from metadata_api.database.session import deadline
from tests.metadata_api.predicting.test_recorded import FILL

ROWS, CURVES, POINTS = 100_000, 100, 10_000


def write_rows(path: Path, rows: int) -> None:
    """A CSV with a curve of 20 points in each row."""
    steps = list(range(0, 200, 10))
    with path.open("w") as file:
        file.write("Experiment Name,Learning Rate,Momentum,Loss,Epochs\n")
        for number in range(rows):
            values = [round(2.3 / (step + 1) + number % 97 / 1000, 5) for step in range(20)]
            cell = json.dumps({"Step": steps, "Value": values}).replace('"', '""')
            file.write(f'run {number},{0.001 * (number % 50 + 1):.3f},0.9,"{cell}",{number % 7}\n')


def write_curves(path: Path, curves: int, points: int) -> None:
    """A CSV with a few rows of long curves."""
    with path.open("w") as file:
        file.write("Experiment Name,Learning Rate,Momentum,Loss\n")
        for number in range(curves):
            values = [
                round(math.exp(-step / 2000) + 0.05 * math.sin(step * number), 5) for step in range(points)
            ]
            cell = json.dumps({"Step": list(range(points)), "Value": values}).replace('"', '""')
            file.write(f'curve {number},0.01,0.9,"{cell}"\n')


def median_ms(call: Callable[[], httpx.Response], rounds: int = 15) -> float:
    """Median of the times of a call after two unmeasured ones, in milliseconds."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        call().raise_for_status()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[2:])


def measure(api: httpx.Client, folder: Path) -> Iterator[tuple[str, str]]:
    """Every figure with its name."""
    write_rows(folder / "rows.csv", ROWS)
    write_curves(folder / "curves.csv", CURVES, POINTS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("rows", "curves"):
        start = time.perf_counter()
        with (folder / f"{name}.csv").open("rb") as file:
            report = api.post("/v1/imports", content=file, timeout=600).raise_for_status().json()
        yield f"import of {report['accepted']:,} rows ({name})", f"{time.perf_counter() - start:.1f} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    yield "memory grown meanwhile, client and server", f"{grown:.0f} MB"
    for sort in ("-created_at", "name", "metrics.loss", "-metrics.loss.final"):
        page = partial(api.get, "/v1/experiments", params={"sort": sort, "limit": 20})
        yield f"first page by {sort}", f"{median_ms(page):.1f} ms"
    yield "first page of a search", f"{median_ms(lambda: api.get('/v1/experiments?search=run 77')):.1f} ms"
    names = [f"curve-{number}" for number in range(CURVES)]
    query = "&".join(f"experiment={name}" for name in names)
    curves = partial(api.get, f"/v1/curves?points=400&{query}")
    yield f"{CURVES} curves of {POINTS:,} points", f"{median_ms(curves):.0f} ms"


FILTERS: dict[str, dict[str, str]] = {
    "all": {},
    "of a deployment": {"deployment": "d7"},
    "of an alias": {"alias": "champion"},
    "of an experiment": {"experiment": "e7"},
    "that failed": {"status": "error"},
    "of a label": {"label": "77"},
    "that disagree": {"disagree": "true"},
    "that disagree of an experiment": {"disagree": "true", "experiment": "e0"},
}


def measure_predictions(api: httpx.Client, engine: Engine) -> Iterator[tuple[str, str]]:
    """Times of the first page of predictions by each filter, of 100,000."""
    with deadline(120), engine.begin() as connection:
        connection.execute(
            text("insert into inputs (sha256, kind, media_type, size) values ('t', 'text', 'text/plain', 1)")
        )
        connection.execute(text(FILL), {"count": ROWS})
    with deadline(120), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze predictions"))
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for name, query in {**FILTERS, "of the last hour": {"since": hour_ago}}.items():
        page = partial(api.get, "/v1/predictions", params=query)
        yield f"predictions {name}", f"{median_ms(page):.1f} ms"


@pytest.mark.timeout(1800)
def test_times_of_predictions(api: httpx.Client, engine: Engine) -> None:
    """Not collected by `make test`, as below."""
    for name, figure in measure_predictions(api, engine):
        print(f"{name:<48}{figure:>12}", flush=True)


@pytest.mark.timeout(1800)
def test_times_of_the_api(api: httpx.Client) -> None:
    """Not collected by `make test`: this folder holds no tests of behaviour."""
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in measure(api, Path(folder)):
            print(f"{name:<48}{figure:>12}", flush=True)


def main() -> int:
    """Run the measurement with the fixtures of the tests."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    here = Path(__file__)
    os.chdir(here.parents[2])
    return pytest.main(["-q", "-s", "-p", "tests.metadata_api.conftest", str(here)])


if __name__ == "__main__":
    sys.exit(main())
