"""What a list has and in which order, as `gathering` and `walking` find it."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.sql.elements import SQLColumnExpression

from metadata_api.database.tables import ModelVersion
from metadata_api.listing import grammar
from metadata_api.listing.conditions import holds
from metadata_api.listing.expressions import All, Comparison, Contains, Expression, SortKey
from metadata_api.listing.fields import NAMES, TASK
from metadata_api.schemas.experiments import Listing


@dataclass(frozen=True)
class ListQuery:
    """The experiments of a list; equal ones are sorted by age, in the direction of the first key."""

    filter: tuple[Expression, ...]
    """All of them must be true."""
    order: tuple[SortKey, ...]
    with_model: bool

    @property
    def has_all(self) -> bool:
        """Whether every experiment is wanted."""
        return not self.filter and not self.with_model

    @property
    def newest_first(self) -> bool:
        """The order of equal ones."""
        return self.order[0].descending

    def conditions(
        self, tests: tuple[Expression, ...], experiment_id: SQLColumnExpression[int]
    ) -> list[ColumnElement[bool]]:
        """Whether these tests, and what else is wanted, are true of the experiment of this id."""
        found = [holds(one, experiment_id) for one in tests]
        if self.with_model:
            found.append(experiment_id.in_(select(ModelVersion.experiment_id)))
        return found


def read(asked: Listing) -> ListQuery:
    """What a caller asked for; raises Invalid."""
    expression = grammar.read_filter(asked.filter) if asked.filter else None
    parts = expression.parts if isinstance(expression, All) else (expression,) if expression else ()
    if asked.task is not None:
        parts += (Comparison(TASK, "=", asked.task),)
    if asked.search:
        parts += (Contains(NAMES, asked.search),)
    return ListQuery(parts, grammar.read_sort(asked.sort), asked.with_model)
