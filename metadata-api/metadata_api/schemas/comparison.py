"""What differs between experiments; values are in the order in which the experiments were named."""

from typing import Any

from pydantic import BaseModel

from metadata_api.directions import Direction


class Compared(BaseModel):
    """One of the experiments."""

    name: str
    display_name: str
    state: str


class Difference(BaseModel):
    """A parameter or tag that is not the same for all; null where an experiment has none."""

    name: str
    values: list[Any]


class MetricDifference(BaseModel):
    """A metric whose best or final value is not the same for all."""

    name: str
    direction: Direction
    best: list[float | None]
    final: list[float | None]


class Same(BaseModel):
    """How many names have one value for all."""

    params: int
    metrics: int
    tags: int


class Comparison(BaseModel):
    """What differs, and how much does not."""

    experiments: list[Compared]
    params: list[Difference]
    metrics: list[MetricDifference]
    tags: list[Difference]
    same: Same
