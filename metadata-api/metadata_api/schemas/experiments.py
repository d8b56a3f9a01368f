"""Experiments and curves as the API takes and gives them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from metadata_api.directions import Direction
from metadata_api.schemas.fields import Body, Name, ScalarChanges, Scalars, ShortText, Text, metric_name

MAX_NEW_POINTS = 250_000
MAX_APPENDED_POINTS = 20_000
Metric = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    AfterValidator(metric_name),
    Field(description="Letters and digits of any script, and _ . / -; it begins with a letter."),
]
Step = Annotated[int, Field(ge=-(2**53), le=2**53)]
Source = Literal["api", "import", "starter"]
State = Literal["running", "finished", "failed", "stopped"]
Axis = Literal["step", "time"]
Directions = Annotated[
    dict[Metric, Direction],
    Field(max_length=500, description="Which is better, per metric; by default its name tells."),
]


class NewCurve(Body):
    """Steps that grow, and as many values."""

    steps: list[int]
    values: list[float]


def _bounded(curves: dict[str, NewCurve]) -> dict[str, NewCurve]:
    if sum(len(curve.steps) for curve in curves.values()) > MAX_NEW_POINTS:
        raise ValueError(f"all curves together may have {MAX_NEW_POINTS:,} points; leave some out")
    return curves


class NewExperiment(Body):
    """An experiment to create."""

    name: Name
    display_name: ShortText | None = None
    description: Text = ""
    parameters: Scalars = {}
    tags: Scalars = {}
    curves: Annotated[dict[Metric, NewCurve], AfterValidator(_bounded)] = Field({}, max_length=50)
    source: Source = "api"
    notes: Text = ""
    directions: Directions = {}
    key_metric: Metric | None = Field(None, description="The metric that it is judged by.")
    state: State = Field("finished", description="Points can be appended to one that is running.")


class ExperimentChange(Body):
    """What to change; what is left out stays as it is."""

    display_name: Annotated[ShortText, Field(min_length=1)] = ""
    description: Text = ""
    notes: Text = ""
    parameters: ScalarChanges = {}
    tags: ScalarChanges = {}
    directions: Annotated[dict[Metric, Direction | None], Field(max_length=500)] = {}
    key_metric: Metric | None = None
    state: State = "running"


class NewPoints(Body):
    """Points of one metric: as many steps and values, and as many times if there are any.

    A value that is not finite is "NaN", "Infinity" or "-Infinity"; null is NaN. A time is seconds since 1970, or text
    as ISO 8601 has it, in UTC unless it says otherwise.
    """

    # Python's json writes bare NaN and Infinity, and reads them.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=True)

    steps: list[Step]
    values: list[float | None]
    times: list[float | datetime | None] | None = None


def _few(points: dict[str, NewPoints]) -> dict[str, NewPoints]:
    if sum(len(one.steps) for one in points.values()) > MAX_APPENDED_POINTS:
        raise ValueError(f"one request may have {MAX_APPENDED_POINTS:,} points; send the others in another")
    return points


class AppendedPoints(Body):
    """Points to append, by metric."""

    points: Annotated[dict[Metric, NewPoints], AfterValidator(_few)] = Field(max_length=200)


class MetricSummary(BaseModel):
    """Final and best value of a curve, the best by its direction; null where no value is finite."""

    direction: Direction
    final: float | None
    final_step: int
    best: float | None
    best_step: int | None
    points: int


class Experiment(BaseModel):
    """An experiment with the summaries of its curves, its newest version and what serves it."""

    name: str
    display_name: str
    description: str
    parameters: dict[str, Any]
    tags: dict[str, Any]
    metrics: dict[str, MetricSummary]
    source: Source
    state: State
    notes: str
    directions: dict[str, Direction]
    key_metric: str | None
    created_at: datetime
    updated_at: datetime
    """Of the last edit; `unchanged_since` takes it. Points are no edit."""
    points_at: datetime | None
    """Of the last append that changed a curve; null where all curves came with the experiment."""
    ended_at: datetime | None
    task: str | None
    """Of its newest version; null as long as it has none."""
    latest_version: int | None
    deployments: list[str]


class Appended(BaseModel):
    """What an append did: how many points are new, how many have another value or time; summaries of their curves."""

    experiment: str
    added: int
    changed: int
    metrics: dict[str, MetricSummary]


class Listing(BaseModel):
    """Which experiments a list has, in which order, and what it shows of them; see docs/experiments.md."""

    filter: str | None = None
    sort: str = "-created_at"
    columns: str | None = None
    search: str | None = None
    task: str | None = None
    with_model: bool = False


class ExperimentPage(BaseModel):
    """One page of experiments; `next` is the cursor of the page after it."""

    items: list[Experiment]
    total: int
    total_is_exact: bool
    """Whether there are `total` in all; else there are more."""
    next: str | None


class MetricNames(BaseModel):
    """Names of metrics, sorted."""

    items: list[str]


class NonFinite(BaseModel):
    """A point whose value JSON has no number for."""

    step: int
    value: Literal["NaN", "Infinity", "-Infinity"]
    time: float | None = None


class Curve(BaseModel):
    """A downsampled curve; a value that is not finite is null and listed in `non_finite`.

    By time, it has the times of its points, seconds since 1970, and is in their order.
    """

    experiment: str
    display_name: str
    steps: list[int]
    values: list[float | None]
    times: list[float] | None = None
    points: int
    non_finite: list[NonFinite]


class Curves(BaseModel):
    """One metric of many experiments."""

    metric: str
    curves: list[Curve]
