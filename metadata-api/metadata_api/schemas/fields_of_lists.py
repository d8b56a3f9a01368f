"""Fields that lists can be filtered and sorted by, as the API gives them."""

from typing import Literal

from pydantic import BaseModel


class ListField(BaseModel):
    """A field with the types that its values have; `min` and `max` are of its numbers."""

    field: str
    """As it is written in a filter."""
    section: Literal["metrics", "params", "tags"]
    name: str
    types: list[Literal["bool", "number", "text"]]
    experiments: int
    """How many have a value there."""
    experiments_is_exact: bool
    """Else there are more."""
    min: float | None
    max: float | None


class ListFields(BaseModel):
    """Fields by section and name."""

    items: list[ListField]


class Tasks(BaseModel):
    """Names of tasks, sorted."""

    items: list[str]
