"""More requests than a front can answer: how many of them it answers, how soon, and how soon it rejects the rest."""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench import bench, open_loop, servers
from tests.serving import archives

UNLOADED_RATE = 20
SLOWER, GOODPUT, REJECTED_SECONDS = 3.0, 0.8, 0.1  # the limits
OVERLOAD_SECONDS = 8
_PEAK_SECONDS, _UNLOADED_SECONDS, _AFTER_SECONDS = 3, 3, 1
_PAUSE_SECONDS = 1.0  # what stopped clients left in the queue is answered by then
_AFTER_RATE = 5
_SMALL = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}


@dataclass(frozen=True)
class Kind:
    """A model, by what each call does; without that it is the starter CNN."""

    name: str
    each_call: str | None = None
    max_batch: int = 16
    times: float = 10.0  # the peak
    has_limits: bool = True


KINDS = (
    Kind("10 ms a call, batches of 4", "time.sleep(0.01)", max_batch=4),
    Kind("8 ms an image, no batches", "time.sleep(0.008 * len(inputs['image']))", max_batch=1),
    Kind("8 ms an image, batches of 16", "time.sleep(0.008 * len(inputs['image']))", has_limits=False),
    Kind("starter CNN, batches of 16", times=1.5, has_limits=False),
)


@dataclass(frozen=True)
class Overloaded:
    """One model with one runtime: requests a second at its peak and sent, and what came back."""

    kind: Kind
    runtime: str
    peak: float
    sent: float
    unloaded_p99: float
    over: open_loop.Summary
    after: open_loop.Summary

    @property
    def problems(self) -> list[str]:
        """What does not hold."""
        found = []
        if set(self.over.statuses) - {200, 503}:
            found.append(f"answers other than 200 and 503: {dict(self.over.statuses)}")
        if not self.over.hints:
            found.append("a 503 without Retry-After")
        if self.over.rejected_p99 > REJECTED_SECONDS:
            found.append(f"rejected after {self.over.rejected_p99 * 1000:.0f} ms")
        if self.over.goodput < GOODPUT * self.peak:
            found.append(f"{self.over.goodput / self.peak:.0%} of the peak")
        if self.over.accepted_p99 > SLOWER * self.unloaded_p99:
            found.append(f"answers take {self.over.accepted_p99 / self.unloaded_p99:.1f} times as long")
        if set(self.after.statuses) != {200}:
            found.append(f"rejections after the overload: {dict(self.after.statuses)}")
        return found


def measure(kind: Kind, runtime: str) -> Overloaded:
    """Peak, unloaded, overload, and after it."""
    with tempfile.TemporaryDirectory(prefix="overload") as temporary:
        folder = Path(temporary)
        request = folder / "request"
        request.write_bytes(_prepare(kind, folder))
        body = request.read_bytes()
        with servers.started(servers.NAMES[runtime], folder, SERVING_MAX_BATCH=str(kind.max_batch)) as front:
            clients = 2 * kind.max_batch  # the model is always busy, and nothing is rejected
            bench.measure(front.url, clients=clients, seconds=1, request=request)
            time.sleep(_PAUSE_SECONDS)
            peak = bench.measure(front.url, clients=clients, seconds=_PEAK_SECONDS, request=request).rate
            time.sleep(_PAUSE_SECONDS)
            unloaded = _loaded(front.url, body, UNLOADED_RATE, _UNLOADED_SECONDS).accepted_p99
            over = _loaded(front.url, body, kind.times * peak, OVERLOAD_SECONDS)
            time.sleep(_PAUSE_SECONDS)
            after = _loaded(front.url, body, _AFTER_RATE, _AFTER_SECONDS)
    return Overloaded(kind, runtime, peak, kind.times * peak, unloaded, over, after)


def line(found: Overloaded) -> str:
    """One model as a line of the table."""
    over = found.over
    held = ("no" if found.problems else "yes") if found.kind.has_limits else "no limit"
    cells = [
        found.kind.name,
        found.runtime,
        f"{found.peak:,.0f}",
        f"{found.sent:,.0f} ({found.kind.times:g} x)",
        f"{found.unloaded_p99 * 1000:.1f}",
        f"{over.accepted_p50 * 1000:.0f}",
        f"{over.accepted_p99 * 1000:.0f} ({over.accepted_p99 / found.unloaded_p99:.1f} x)",
        f"{over.rejected_p99 * 1000:.0f}",
        f"{over.goodput / found.peak:.0%}",
        held,
    ]
    return f"| {' | '.join(cells)} |"


def _prepare(kind: Kind, folder: Path) -> bytes:
    """Lay out the archive; a request for it."""
    if kind.each_call is None:
        return bench.body([1, 28, 28])
    (folder / "models").mkdir()
    archives.summing(folder / "models" / "model.mar", each_call=kind.each_call)
    return json.dumps({"inputs": [_SMALL]}).encode()


def _loaded(url: str, body: bytes, rate: float, seconds: float) -> open_loop.Summary:
    answers = open_loop.load(url, body, rate=rate, seconds=seconds)
    first, last = min(each.due for each in answers), max(each.ended for each in answers)
    return open_loop.summary(answers, max(seconds, last - first))
