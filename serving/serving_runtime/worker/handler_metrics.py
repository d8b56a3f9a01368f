"""What a handler in TorchServe's style is given as `context.metrics`: TorchServe's interface, in both runtimes alike.

Values are checked as TorchServe checks them; the front shows them at /metrics.
"""

# ruff: noqa: ARG002 - the signatures are TorchServe's

import logging
import math
from collections.abc import Sequence
from typing import Any

_TIMES, _SIZES = ("ms", "s"), ("MB", "kB", "GB", "B")
_MOST = 200  # series in one batch

_log = logging.getLogger(__name__)


class _Recorder:
    """What was reported since `take`: counters and histograms as sums, gauges as their last value."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], list[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, kind: str, name: str, unit: str, dimensions: str, value: float) -> None:
        known = self._found.get((kind, name, unit, dimensions))
        if known is None:
            if len(self._found) < _MOST:
                self._found[(kind, name, unit, dimensions)] = [1, value]
        elif kind == "gauge":
            known[1] = value
        else:
            known[0] += 1
            known[1] += value

    def take(self) -> list[list[Any]]:
        found, self._found = self._found, {}
        return [[*key, *values] for key, values in found.items()]


class HandlerMetric:
    """One metric of a handler, with the names of its dimensions."""

    def __init__(
        self, name: str, unit: str, dimension_names: Sequence[str], kind: str, recorder: _Recorder
    ) -> None:
        self.metric_name = name
        self.unit = unit
        self.dimension_names = [*dimension_names]
        self.metric_type = kind
        self._recorder = recorder

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), request_id: str = "") -> None:
        """One more value. What does not fit is only logged, as TorchServe does."""
        try:
            dimensions = zip(self.dimension_names, dimension_values, strict=True)
            text = ",".join(f"{_text(name)}:{_text(each)}" for name, each in dimensions)
            number = float(value)
            if not math.isfinite(number) or (self.metric_type == "counter" and number < 0):
                raise ValueError(f"{number} is no value of a {self.metric_type}")
        except (TypeError, ValueError) as error:
            _log.warning("metric %s is left out: %s", self.metric_name, error)
        else:
            self._recorder.add(self.metric_type, _text(self.metric_name), _text(self.unit), text, number)

    def update(self, value: float, request_id: str = "", dimensions: Sequence[Any] = ()) -> None:
        """One more value, with these dimensions from now on."""
        self.dimension_names = [each.name for each in dimensions]
        self.add_or_update(value, [each.value for each in dimensions], request_id)

    def emit_metrics(self, request_id: str, value: float, dimension_string: str) -> None:
        """One more value, with dimensions as they are shown."""
        self._recorder.add(
            self.metric_type, _text(self.metric_name), _text(self.unit), _text(dimension_string), float(value)
        )


class HandlerMetrics:
    """The metrics of one loaded model, by type and name."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self.cache: dict[str, dict[str, HandlerMetric]] = {"counter": {}, "gauge": {}, "histogram": {}}
        self.request_ids: Any = None
        self.recorder = _Recorder()

    def set_request_ids(self, request_ids: Any) -> None:
        self.request_ids = request_ids

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] = (),
        metric_type: Any = "counter",
    ) -> HandlerMetric:
        """A metric to update later. Raises ValueError for a type that there is none of."""
        kind = str(getattr(metric_type, "value", metric_type)).lower()
        if kind not in self.cache:
            raise ValueError(f"the type of metric {metric_name} must be counter, gauge or histogram")
        metric = HandlerMetric(metric_name, unit, dimension_names, kind, self.recorder)
        return self.cache[kind].setdefault(metric_name, metric)

    def get_metric(self, metric_name: str, metric_type: Any = "counter") -> HandlerMetric:
        """A metric that was added before. Raises KeyError."""
        kind = str(getattr(metric_type, "value", metric_type)).lower()
        return self.cache[kind][metric_name]

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str,
        idx: Any = None,
        dimensions: Sequence[Any] = (),
        metric_type: Any = "counter",
    ) -> None:
        """One more value of any metric."""
        self._add(name, value, unit, metric_type, dimensions)

    def add_counter(self, name: str, value: float, idx: Any = None, dimensions: Sequence[Any] = ()) -> None:
        self._add(name, value, "count", "counter", dimensions)

    def add_error(self, name: str, value: float, dimensions: Sequence[Any] = ()) -> None:
        self._add(name, value, "", "counter", dimensions)

    def add_time(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "ms",
        dimensions: Sequence[Any] = (),
        metric_type: Any = "gauge",
    ) -> None:
        """Raises ValueError for a unit that is none of time."""
        if unit not in _TIMES:
            raise ValueError(f"the unit of the time {name} must be one of {', '.join(_TIMES)}")
        self._add(name, value, unit, metric_type, dimensions)

    def add_size(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "MB",
        dimensions: Sequence[Any] = (),
        metric_type: Any = "gauge",
    ) -> None:
        """Raises ValueError for a unit that is none of size."""
        if unit not in _SIZES:
            raise ValueError(f"the unit of the size {name} must be one of {', '.join(_SIZES)}")
        self._add(name, value, unit, metric_type, dimensions)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: Any = None,
        dimensions: Sequence[Any] = (),
        metric_type: Any = "gauge",
    ) -> None:
        self._add(name, value, "percent", metric_type, dimensions)

    def _add(self, name: str, value: float, unit: str, metric_type: Any, dimensions: Sequence[Any]) -> None:
        metric = self.add_metric_to_cache(name, unit, [each.name for each in dimensions], metric_type)
        metric.add_or_update(value, [each.value for each in dimensions])


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()[:200]
