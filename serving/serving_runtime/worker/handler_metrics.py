"""What a handler in TorchServe's style is given as `context.metrics`: TorchServe's interface, in both runtimes alike.

Values are checked as TorchServe checks them and then forgotten; /metrics shows what the front measures itself.
"""

# ruff: noqa: ARG002 - the signatures are TorchServe's

from collections.abc import Sequence
from typing import Any

_TIMES, _SIZES = ("ms", "s"), ("MB", "kB", "GB", "B")


class HandlerMetric:
    """One metric of a handler; its values go nowhere."""

    def __init__(self, name: str, unit: str, dimension_names: Sequence[str], kind: str) -> None:
        self.metric_name = name
        self.unit = unit
        self.dimension_names = [*dimension_names]
        self.metric_type = kind

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), request_id: str = "") -> None:
        """One more value. What does not fit is ignored, as TorchServe only logs it."""

    def update(self, value: float, request_id: str = "", dimensions: Sequence[Any] = ()) -> None:
        """One more value."""

    def emit_metrics(self, request_id: str, value: float, dimension_string: str) -> None:
        """One more value."""


class HandlerMetrics:
    """The metrics of one loaded model, by type and name."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self.cache: dict[str, dict[str, HandlerMetric]] = {"counter": {}, "gauge": {}, "histogram": {}}
        self.request_ids: Any = None

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
        metric = HandlerMetric(metric_name, unit, dimension_names, kind)
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
        self._add(name, value, unit, metric_type)

    def add_counter(self, name: str, value: float, idx: Any = None, dimensions: Sequence[Any] = ()) -> None:
        self._add(name, value, "count", "counter")

    def add_error(self, name: str, value: float, dimensions: Sequence[Any] = ()) -> None:
        self._add(name, value, "", "counter")

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
        self._add(name, value, unit, metric_type)

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
        self._add(name, value, unit, metric_type)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: Any = None,
        dimensions: Sequence[Any] = (),
        metric_type: Any = "gauge",
    ) -> None:
        self._add(name, value, "percent", metric_type)

    def _add(self, name: str, value: float, unit: str, metric_type: Any) -> None:
        self.add_metric_to_cache(name, unit, (), metric_type).add_or_update(value)
