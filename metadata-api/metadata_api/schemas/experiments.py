"""Experiments and curves as the API takes and gives them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from metadata_api.schemas.fields import Body, Name, Scalars, ShortText, Text

MAX_NEW_POINTS = 250_000
Metric = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,59}$")]
Source = Literal["api", "import", "starter"]


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


class MetricSummary(BaseModel):
    """Final and best value of a curve; null where no value is finite."""

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
    created_at: datetime
    latest_version: int | None
    deployments: list[str]


class Listing(BaseModel):
    """Which experiments a list has, in which order, and what it shows of them; see docs/experiments.md."""

    filter: str | None = None
    sort: str = "-created_at"
    columns: str | None = None
    search: str | None = None
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


class Curve(BaseModel):
    """A downsampled curve; a value that is not finite is null and listed in `non_finite`."""

    experiment: str
    display_name: str
    steps: list[int]
    values: list[float | None]
    points: int
    non_finite: list[NonFinite]


class Curves(BaseModel):
    """One metric of many experiments."""

    metric: str
    curves: list[Curve]
