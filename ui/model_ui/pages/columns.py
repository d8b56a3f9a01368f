"""Columns of the table of experiments: `metrics.f1`, `params."learning rate"`, `tags.team`; used by its pages."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model_ui.api_types import Experiment, Metric

_PARTS = re.compile(r'(?:[^,"]|"[^"]*")+')
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
KINDS = ("metrics", "params", "tags")
# What is shown where nobody has chosen: what judges a model on data it has not seen comes first.
JUDGING = (
    "test_accuracy",
    "val_accuracy",
    "accuracy",
    "test_f1",
    "f1",
    "auc",
    "r2",
    "test_loss",
    "val_loss",
    "rmse",
    "mae",
)
METRICS, PARAMETERS = 2, 4


@dataclass(frozen=True)
class Column:
    """One chosen column; `name` is that of the metric, parameter or tag."""

    kind: str
    name: str

    @property
    def field(self) -> str:
        """How the API's query names it."""
        return f"{self.kind}.{self.name if _PLAIN.fullmatch(self.name) else quoted(self.name)}"

    def of(self, item: Experiment) -> object:
        """What an experiment has in it, of a metric the best value; None for nothing."""
        if self.kind == "metrics":
            found = item.metrics.get(self.name)
            return found.best if found else None
        return (item.parameters if self.kind == "params" else item.tags).get(self.name)


def quoted(name: str) -> str:
    """A name in quotes, as the grammar of filters wants odd ones."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse(text: str) -> list[Column]:
    """The columns of a list with commas; what is none is left out."""
    found: dict[Column, None] = {}
    for part in _PARTS.findall(text):
        kind, _, name = part.strip().partition(".")
        if name.startswith('"') and name.endswith('"') and len(name) > 1:
            name = name[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if kind in KINDS and name:
            found[Column(kind, name)] = None
    return list(found)


def written(columns: Iterable[Column]) -> str:
    """The list as it stands in an address."""
    return ",".join(column.field for column in columns)


def usual(metrics: Sequence[str], shown: Sequence[Experiment]) -> list[Column]:
    """Columns where nobody has chosen: metrics that judge, then the parameters that most experiments shown have."""
    here = {name for item in shown for name in item.metrics} or set(metrics)
    ranked = key_metrics(shown)
    ranked += [name for name in JUDGING if name in here and name not in ranked]
    ranked += sorted(name for name in here if name not in ranked)
    if "loss" in ranked[METRICS:]:
        ranked.insert(METRICS - 1, ranked.pop(ranked.index("loss")))
    counts = counted(shown)
    return [Column("metrics", name) for name in ranked[:METRICS]] + [
        Column("params", name) for name in list(counts)[:PARAMETERS]
    ]


def key_metrics(shown: Sequence[Experiment]) -> list[str]:
    """The metrics by which experiments say that they are judged, the one that most say first."""
    said = Counter(item.key_metric for item in shown if item.key_metric in item.metrics)
    return [name for name, _ in said.most_common() if name]


def every(shown: Sequence[Experiment]) -> list[Column]:
    """All metrics, parameters and tags that one of the experiments has."""
    metrics = sorted({name for item in shown for name in item.metrics})
    tags = sorted({name for item in shown for name in item.tags})
    return [
        *(Column("metrics", name) for name in metrics),
        *(Column("params", name) for name in counted(shown)),
        *(Column("tags", name) for name in tags),
    ]


def counted(shown: Sequence[Experiment]) -> dict[str, int]:
    """How many of the experiments have each parameter, most first."""
    counts: dict[str, int] = {}
    for item in shown:
        for name in item.parameters:
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], len(pair[0]), pair[0])))


def numeric(chosen: Iterable[Column], shown: Sequence[Experiment]) -> set[Column]:
    """Columns that hold only numbers in the experiments shown: header and values stand on the right."""
    return {column for column in chosen if column.kind == "metrics" or _numbers(_values(column, shown))}


def _values(column: Column, shown: Sequence[Experiment]) -> list[object]:
    """The values of a parameter or tag among experiments."""
    found = (item.parameters if column.kind == "params" else item.tags for item in shown)
    return [values[column.name] for values in found if column.name in values]


def _numbers(values: list[object]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def direction(name: str, found: Metric | None) -> str:
    """`min` or `max`: which values of a metric are better, by what the API says, else by its name."""
    if found is not None and found.direction:
        return found.direction
    small = name.lower()
    low = any(
        word in small
        for word in ("loss", "error", "rmse", "mae", "mse", "perplexity", "wer", "cer", "seconds")
    )
    return "min" if low else "max"


def best(column: Column, shown: Sequence[Experiment]) -> dict[str | None, float]:
    """The best value of a metric by task, because one of another task is no better; none where all are the same."""
    if column.kind != "metrics":
        return {}
    found: dict[str | None, list[Metric]] = {}
    for item in shown:
        if (metric := item.metrics.get(column.name)) and metric.best is not None:
            found.setdefault(item.task, []).append(metric)
    values = {task: {one.best for one in metrics if one.best is not None} for task, metrics in found.items()}
    return {
        task: min(values[task]) if direction(column.name, metrics[0]) == "min" else max(values[task])
        for task, metrics in found.items()
        if len(values[task]) > 1
    }
