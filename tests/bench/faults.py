"""Processes of the front are killed, stopped and made to hang under load, and it is overloaded; `make faults` calls it.

    make faults                                     everything, about a quarter of an hour; writes docs/faults.md
    make faults FAULTS="--rounds 3 --runtime native --out /tmp/faults.md"

The document says what is done and which limits hold. 1 when one was missed; the document is written all the same.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from serving_runtime.contracts import RUNTIMES
from tests.bench import bench, faults_report, overload, servers
from tests.bench.digits import Digits
from tests.bench.rounds import Bench, Row
from tests.bench.victims import FAULTS, Fault, Scene, archive

ROUNDS = 20  # kills of the worker; every other fault is tried less often
FEWER = 6


def rows(runtime: str, rounds: int) -> list[Row]:
    """Every fault that this runtime can have; a front that does not heal is followed by a new one."""
    found: list[Row] = []
    left = [fault for fault in FAULTS if runtime in fault.runtimes]
    while left:
        with _bench(runtime) as bench:
            healed = True
            while left and healed:
                fault = left.pop(0)
                row, healed = bench.row(fault, runtime, times(fault, rounds))
                print(faults_report.line(row), flush=True)
                found.append(row)
    return found


def ends(runtime: str, rounds: int) -> list[faults_report.End]:
    """Fronts killed with -9, and what is left of them."""
    return [_end(runtime) for _ in range(rounds)]


def times(fault: Fault, rounds: int) -> int:
    """How often a fault is tried."""
    return rounds if fault.often else max(1, round(rounds / FEWER))


@contextlib.contextmanager
def _bench(runtime: str) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="faults") as temporary:
        folder = Path(temporary)
        (folder / "models").mkdir()
        mar = folder / "models" / "digits.mar"
        switch = folder / servers.READABLE / "switch"
        archive(mar, switch)
        digits = Digits(mar, folder / "unpacked")
        with servers.started(servers.NAMES[runtime], folder) as front:
            bench = Bench(Scene(front, switch), digits.requests, digits.right)
            with bench.running():
                yield bench


def _end(runtime: str) -> faults_report.End:
    with (
        tempfile.TemporaryDirectory(prefix="faults") as temporary,
        servers.started(servers.NAMES[runtime], Path(temporary)) as front,
    ):
        family = front.family()
        began = time.perf_counter()
        front.process.kill()
        _, alive = psutil.wait_procs(family, timeout=faults_report.ORPHAN_SECONDS)
        return faults_report.End(runtime, len(family), time.perf_counter() - began, len(alive))


def main() -> int:
    """Measure, print, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="kills of the worker; others: a sixth of it"
    )
    parser.add_argument("--runtime", choices=RUNTIMES, help="only this one")
    parser.add_argument("--out", type=Path, default=servers.ROOT / "docs" / "faults.md")
    arguments = parser.parse_args()
    runtimes = [arguments.runtime] if arguments.runtime else list(RUNTIMES)
    bench.require_wrk()
    found = faults_report.Found(load=[os.getloadavg()[0]])
    for runtime in runtimes:
        found.rows.extend(rows(runtime, arguments.rounds))
        found.ends.extend(ends(runtime, times(FAULTS[-1], arguments.rounds)))
        found.load.append(os.getloadavg()[0])
    for kind in overload.KINDS:
        for runtime in runtimes:
            found.overloads.append(overload.measure(kind, runtime))
            print(overload.line(found.overloads[-1]), flush=True)
    found.load.append(os.getloadavg()[0])
    text = faults_report.document(found, sys.argv[1:])
    arguments.out.write_text(text)
    print(text, flush=True)
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
