"""What /metrics shows; one registry for each front, so that tests can run several in one process."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving_runtime.models.handler_series import HandlerCollector, HandlerSeries

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 64)


@dataclass(slots=True)
class InferenceCounters:
    """How many requests of one version succeeded and failed, for v2's statistics."""

    success: int = 0
    success_rows: int = 0
    success_ns: int = 0
    failure: int = 0
    failure_ns: int = 0
    last_ms: int = 0  # since 1970

    def count(self, rows: int, seconds: float) -> None:
        """One more request: `rows` is 0 when it failed."""
        spent = int(seconds * 1e9)
        self.last_ms = int(time.time() * 1000)
        if rows:
            self.success += 1
            self.success_rows += rows
            self.success_ns += spent
        else:
            self.failure += 1
            self.failure_ns += spent


@dataclass(frozen=True, slots=True)
class VersionMetrics:
    """The series of one version, looked up once: the look-up costs more than the increment."""

    model: str
    version: str
    seconds: Histogram
    batch_rows: Histogram
    batch_requests: Histogram
    restarts: Counter
    counters: InferenceCounters = field(default_factory=InferenceCounters)
    handler: HandlerSeries = field(default_factory=HandlerSeries)

    @property
    def calls(self) -> int:
        """Calls of the model so far, one for each batch."""
        samples = (sample for found in self.batch_requests.collect() for sample in found.samples)
        return int(next(sample.value for sample in samples if sample.name.endswith("_count")))


class Gauges(NamedTuple):
    """What is read of one version when /metrics is asked for."""

    metrics: VersionMetrics
    queued: int
    ready: bool


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "marina_infer_requests",
            "Infer requests that were answered, by HTTP status.",
            ("model", "version", "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "marina_infer_seconds",
            "From the complete request to its answer, status 200 only.",
            ("model", "version"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Histogram(
            "marina_batch_rows",
            "Rows of each call to a model.",
            ("model", "version"),
            buckets=_ROWS,
            registry=self._registry,
        )
        self._batched = Histogram(
            "marina_batch_requests",
            "Requests in each call to a model.",
            ("model", "version"),
            buckets=_ROWS,
            registry=self._registry,
        )
        self._restarts = Counter(
            "marina_worker_restarts",
            "Times that a model's processes were replaced after a crash, a hang or a failed self-test.",
            ("model", "version"),
            registry=self._registry,
        )
        self._queued = Gauge(
            "marina_queue_requests",
            "Requests waiting for a model.",
            ("model", "version"),
            registry=self._registry,
        )
        self._ready = Gauge(
            "marina_model_ready",
            "1 when the last inference of the version worked.",
            ("model", "version"),
            registry=self._registry,
        )
        self._recordings_sent = Counter(
            "marina_recordings_sent",
            "Recorded requests that the metadata API took.",
            ("model", "version"),
            registry=self._registry,
        )
        self._recordings_dropped = Counter(
            "marina_recordings_dropped",
            "Requests that were to be recorded and are not: the queue was full, the API rejected them or did not "
            "take them in time.",
            ("model", "version", "reason"),
            registry=self._registry,
        )
        self._handlers = HandlerCollector()
        self._registry.register(self._handlers)
        self._codes: dict[tuple[str, str, int], Counter] = {}

    def version(self, model: str, version: str) -> VersionMetrics:
        """The series of one version."""
        return VersionMetrics(
            model,
            version,
            self._seconds.labels(model, version),
            self._rows.labels(model, version),
            self._batched.labels(model, version),
            self._restarts.labels(model, version),
        )

    def count(self, found: VersionMetrics | None, code: int, rows: int, began: float) -> None:
        """Count one infer request, of no version when there is no such model; called once for each.

        `rows` is 0 when it failed; `began` is what time.perf_counter() was when it was complete, 0 if it never was.
        """
        key = (found.model, found.version, code) if found is not None else ("", "", code)
        counter = self._codes.get(key)
        if counter is None:
            model, version, _ = key
            counter = self._codes[key] = self._requests.labels(model, version, str(code))
        counter.inc()
        if found is not None and began:
            seconds = time.perf_counter() - began
            found.counters.count(rows, seconds)
            if rows:
                found.seconds.observe(seconds)

    def count_sent_recordings(self, model: str, version: str, count: int) -> None:
        """Requests whose recording was taken; called by the thread that sends them."""
        self._recordings_sent.labels(model, version).inc(count)

    def count_dropped_recordings(self, model: str, version: str, reason: str, count: int) -> None:
        """Requests that were to be recorded and are not: queue_full, rejected, not_taken."""
        self._recordings_dropped.labels(model, version, reason).inc(count)

    def text(self, gauges: Iterable[Gauges]) -> bytes:
        """Everything in Prometheus' text format; versions without `gauges` have none: they take no traffic."""
        self._queued.clear()
        self._ready.clear()
        found = list(gauges)
        self._handlers.versions = [(each.model, each.version, each.handler) for each, _, _ in found]
        for metrics, queued, ready in found:
            self._queued.labels(metrics.model, metrics.version).set(queued)
            self._ready.labels(metrics.model, metrics.version).set(ready)
        return generate_latest(self._registry)
