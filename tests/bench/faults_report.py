"""What `make faults` found, as a Markdown document."""

import math
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from serving_runtime.runtimes.torchserve import java
from tests.bench import overload, report, rounds
from tests.bench.victims import UNREADY_SECONDS

ORPHAN_SECONDS = 5.0
_HEAD = (
    "| fault | runtime | times | what clients saw | until the next 200, s: median | worst | limit |"
    " until not ready, s: median | worst | held |\n"
    "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |"
)
_END_HEAD = (
    "| runtime | times | processes | until all are gone, s: median | worst | left | held |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
)
_OVERLOAD_HEAD = (
    "| model | runtime | peak, requests/s | sent, requests/s | unloaded p99, ms | accepted p50, ms | accepted p99, ms |"
    " rejected p99, ms | goodput | held |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)


@dataclass(frozen=True)
class End:
    """A front that was killed: processes before, seconds until the last was gone, processes that stayed."""

    runtime: str
    family: int
    seconds: float
    left: int


@dataclass(frozen=True)
class Found:
    """All that was measured, and the load of the machine meanwhile."""

    rows: list[rounds.Row] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    overloads: list[overload.Overloaded] = field(default_factory=list)
    load: list[float] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What does not hold, in words."""
        return [
            *(f"{row.fault.what}, {row.runtime}: {each}" for row in self.rows for each in row.problems),
            *(f"kill -9 of the front, {end.runtime}: {end.left} left" for end in self.ends if end.left),
            *(
                f"overload of {each.kind.name}, {each.runtime}: {problem}"
                for each in self.overloads
                if each.kind.has_limits
                for problem in each.problems
            ),
        ]


def document(found: Found, options: Sequence[str]) -> str:
    """The whole report."""
    return _TEMPLATE.format(
        command=f"make faults FAULTS={shlex.quote(shlex.join(options))}" if options else "make faults",
        machine=_machine(),
        load=", ".join(f"{each:.1f}" for each in found.load),
        rows="\n".join((_HEAD, *map(line, found.rows))),
        ends="\n".join((_END_HEAD, *(_end_line(found, each) for each in _runtimes(found)))),
        overloads="\n".join((_OVERLOAD_HEAD, *map(overload.line, found.overloads))),
        problems="\n".join(f"- {each}." for each in found.problems) or "Every limit held.",
        rate=rounds.RATE,
        settle=rounds.SETTLE_SECONDS,
        unready=UNREADY_SECONDS,
        deadline=rounds.DEADLINE_SECONDS,
        way=rounds.WAY_SECONDS,
        orphan=ORPHAN_SECONDS,
        unloaded=overload.UNLOADED_RATE,
        over=overload.OVERLOAD_SECONDS,
        rejected=overload.REJECTED_SECONDS * 1000,
        goodput=overload.GOODPUT,
        slower=overload.SLOWER,
    )


def line(row: rounds.Row) -> str:
    """One fault as a line of the table."""
    counts = ", ".join(f"{count:,} x {status or 'nothing'}" for status, count in sorted(row.statuses.items()))
    healed = [math.inf if each.healed is None else each.healed for each in row.rounds]
    unready = [each.unready for each in row.rounds if each.unready is not None]
    cells = [
        row.fault.what,
        row.runtime,
        str(len(row.rounds)),
        counts,
        *_median_and_worst(healed),
        f"{row.fault.limit:g}",
        *_median_and_worst(unready),
        "no" if row.problems else "yes",
    ]
    return f"| {' | '.join(cells)} |"


def _end_line(found: Found, runtime: str) -> str:
    ends = [end for end in found.ends if end.runtime == runtime]
    seconds = [end.seconds for end in ends]
    left = sum(end.left for end in ends)
    cells = [
        runtime,
        str(len(ends)),
        str(max(end.family for end in ends)),
        f"{statistics.median(seconds):.2f}",
        f"{max(seconds):.2f}",
        str(left),
        "no" if left else "yes",
    ]
    return f"| {' | '.join(cells)} |"


def _runtimes(found: Found) -> list[str]:
    return list(dict.fromkeys(end.runtime for end in found.ends))


def _median_and_worst(seconds: list[float]) -> list[str]:
    if not seconds:
        return ["–", "–"]
    both = statistics.median(seconds), max(seconds)
    return ["never" if each == math.inf else f"{each:.1f}" for each in both]


def _machine() -> str:
    packages = ", ".join(f"{name} {_version(name)}" for name in ("torch", "torchserve", "uvicorn", "uvloop"))
    return f"Machine: {report.this_machine()}, Java {java.java_version() or 'none'}, {packages}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


_TEMPLATE = """# Faults

What clients of a front observe when its processes are killed, suspended or hang, and under overload.
`{command}` wrote this file. Other machines give other figures; the limits are the same.

{machine}.
Load of the machine before, between and after: {load}.

## Killed, suspended, hanging

{rows}

A front serves the starter CNN as a pod does: one model, default settings. Seven different requests are sent in turn
in an open loop of {rate} per second; readiness is polled fifty times a second. A fault is injected into one process by
its id. The next fault follows after {settle:g} s of nothing but 200, because the front takes a failure within five
seconds of the last one for the same and backs off longer before it restarts the model. "What clients saw" counts every
request from the first fault to the end of the last pause.

- Until the next 200: from the fault to the first 200 after the last request that failed.
- Until not ready: from the fault to the first negative readiness response; at most {unready:g} s if a request failed.
- Held also means: only 200, 503 with Retry-After, and 504; no response later than the {deadline:g} s of
  SERVING_DEADLINE_SECONDS plus {way:g} s for transport; every 200 is the right response to its request, compared with
  the model itself; no request fails once readiness is positive again; and the process that was hit is gone.
- The fork server is the parent of all workers. The shim is what TorchServe starts as its worker, a small program that
  exits with it. The code that hangs sleeps for an hour, which is detected after the deadline; a suspended process is
  detected within seconds.

## The front is killed

{ends}

kill -9 of the front itself: none of its processes may exist {orphan:g} s later. Restarting it is up to what runs it.

## Overload

{overloads}

Peak: wrk in a closed loop, with as many clients as fit into two batches. Unloaded: {unloaded} requests per second.
Overload: an open loop for {over:g} seconds, at the multiple of the peak that the table shows. Client and front share
the cores. The limits: rejections within {rejected:.0f} ms, each with Retry-After; goodput at least {goodput:.0%} of
the peak; accepted p99 at most {slower:g} times the unloaded p99; no rejections after the overload ends. The first three
models sleep instead of computing, so that this machine can send ten times what they can answer.

Shown without a limit:

- A model that gains nothing from batches, given batches of 16: a batch takes 16 times as long as one image, so no
  response under load can be fast. Such a model is better served with a small SERVING_MAX_BATCH, as the row above shows.
- The starter CNN, which answers thousands of requests per second: ten times as many can be neither sent nor read on two
  cores that client, front and model share. One front can read and reject little more than this model answers; anything
  beyond that waits in the sockets, outside the reach of any queue rule. The row shows a slight overload.

## What did not hold

{problems}
"""
