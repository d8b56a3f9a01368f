"""What `/metrics` of the API shows; one registry for each application, so that tests can run several in one process."""

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Family = GaugeMetricFamily | CounterMetricFamily
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters that the parts of the application increment, and gauges that are read when they are asked for."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "marina_api_requests",
            "Requests that were answered, by method, route and HTTP status.",
            ("method", "route", "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "marina_api_request_seconds",
            "From the head of a request to the head of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Counter(
            "marina_import_rows",
            "Rows of imports, by what became of them: accepted, unchanged, rejected.",
            ("outcome",),
            registry=self._registry,
        )
        self._rounds = Counter(
            "marina_reconcile_rounds",
            "Rounds of the reconcile loop, by outcome: ok, failed.",
            ("outcome",),
            registry=self._registry,
        )
        self._round_seconds = Histogram(
            "marina_reconcile_round_seconds",
            "How long a round of the reconcile loop took.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._reconciled = Gauge(
            "marina_reconcile_last_success_timestamp_seconds",
            "When the last round of the reconcile loop ended well, in seconds since 1970.",
            registry=self._registry,
        )
        self._deployments = Gauge(
            "marina_deployments",
            "Deployments by observed state.",
            ("state",),
            registry=self._registry,
        )
        self._answered: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge without labels that is read when it is asked for."""
        Gauge(name, help_text, registry=self._registry).set_function(read)

    def gauges(self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A gauge with one label; `read` gives all its values."""
        self._registry.register(_Read(lambda: GaugeMetricFamily(name, help_text, labels=[label]), read))

    def counts(self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A counter with one label that somebody else counts; `read` gives all its values."""
        self._registry.register(_Read(lambda: CounterMetricFamily(name, help_text, labels=[label]), read))

    def count_request(self, method: str, route: str, code: int, seconds: float) -> None:
        """One answered request; the series are looked up once, because that costs more than the increment."""
        key = (method, route, code)
        counter = self._answered.get(key)
        if counter is None:
            counter = self._answered[key] = self._requests.labels(method, route, str(code))
        counter.inc()
        histogram = self._timed.get(route)
        if histogram is None:
            histogram = self._timed[route] = self._seconds.labels(route)
        histogram.observe(seconds)

    def count_import(self, *, accepted: int, unchanged: int, rejected: int) -> None:
        """One import that was stored."""
        rows = {"accepted": accepted, "unchanged": unchanged, "rejected": rejected}
        for outcome, count in rows.items():
            self._rows.labels(outcome).inc(count)

    def count_round(self, seconds: float, *, failed: bool) -> None:
        """One round of the reconcile loop."""
        self._rounds.labels("failed" if failed else "ok").inc()
        self._round_seconds.observe(seconds)
        if not failed:
            self._reconciled.set(time.time())

    def set_states(self, states: Iterable[str]) -> None:
        """The observed states of all deployments."""
        self._deployments.clear()
        for state, count in Counts(states).items():
            self._deployments.labels(state).set(count)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Read(Collector):
    """A family of samples that are read when they are asked for."""

    def __init__(self, family: Callable[[], Family], read: Callable[[], Mapping[str, float]]) -> None:
        self._family = family
        self._read = read

    def collect(self) -> Iterable[Family]:
        family = self._family()
        for value, number in dict(self._read()).items():
            family.add_metric([value], number)
        return [family]

    def describe(self) -> Iterable[Family]:
        """What is in it, without reading anything yet."""
        return [self._family()]
