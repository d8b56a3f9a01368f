"""What handlers report as metrics of their own (`context.metrics`), as series of /metrics.

A worker may say anything, so names and values are checked here, and a version has at most 200 series.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

MAX_SERIES = 200
_LONGEST = 200
_LABELS = ("model", "version", "name", "unit", "dimensions")


class Series(NamedTuple):
    """Which metric of a handler: `dimensions` are `NAME:VALUE`, separated by commas."""

    kind: str
    name: str
    unit: str
    dimensions: str


class HandlerSeries:
    """The series of one version."""

    def __init__(self) -> None:
        self._values: dict[Series, list[float]] = {}

    def add(self, found: Any) -> None:
        """What a worker reports with a batch: `[kind, name, unit, dimensions, count, value]` of each series.

        A gauge has its last value, the others the sum of `count` new ones. What is none of this is left out.
        """
        if not isinstance(found, list):
            return
        for item in found[:MAX_SERIES]:
            if not isinstance(item, list) or len(item) != 6:
                continue
            *names, count, value = item
            if not all(isinstance(name, str) and len(name) <= _LONGEST for name in names):
                continue
            if not all(
                isinstance(number, int | float) and math.isfinite(number) for number in (count, value)
            ):
                continue
            self._add(Series(*names), count, value)

    def __iter__(self) -> Iterator[tuple[Series, float, float]]:
        """Each series with how many values it has had, and its value."""
        return iter([(series, count, value) for series, (count, value) in self._values.items()])

    def _add(self, series: Series, count: float, value: float) -> None:
        known = self._values.get(series)
        if known is None:
            if len(self._values) < MAX_SERIES:
                self._values[series] = [count, value]
        elif series.kind == "gauge":
            known[1] = value
        elif count >= 0:
            known[0] += count
            known[1] += value if series.kind == "histogram" or value >= 0 else 0


class HandlerCollector(Collector):
    """The series of the versions in `versions`, each with the model and version that they belong to."""

    def __init__(self) -> None:
        self.versions: Iterable[tuple[str, str, HandlerSeries]] = ()

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterable[Any]:
        text = "Of handlers: what they report as %s, by name, unit and dimensions."
        counters = CounterMetricFamily("marina_handler_counter", text % "counters", labels=_LABELS)
        gauges = GaugeMetricFamily("marina_handler_gauge", text % "gauges", labels=_LABELS)
        histograms = SummaryMetricFamily("marina_handler_histogram", text % "histograms", labels=_LABELS)
        for model, version, all_series in self.versions:
            for series, count, value in all_series:
                labels = (model, version, series.name, series.unit, series.dimensions)
                match series.kind:
                    case "counter":
                        counters.add_metric(labels, value)
                    case "gauge":
                        gauges.add_metric(labels, value)
                    case "histogram":
                        histograms.add_metric(labels, count_value=int(count), sum_value=value)
        return [family for family in (counters, gauges, histograms) if family.samples]
