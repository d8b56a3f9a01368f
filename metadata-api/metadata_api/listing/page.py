"""Which experiments a page of a list has: their ids in order, and how many there are in all.

There are two ways, and both read index entries only. Up to COUNTED experiments that fit are gathered and sorted. Are
there more, the index is walked in the order of the list until a page of fitting ones is found, which is soon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, UnaryExpression, func, literal, null, select, text, true
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased, outerjoin
from sqlalchemy.sql.elements import SQLColumnExpression

from metadata_api.database.listing_tables import ExperimentKey
from metadata_api.database.tables import Experiment, ModelVersion
from metadata_api.listing import grammar
from metadata_api.listing.conditions import fits, has_value, holds, with_value
from metadata_api.listing.cursor import Place, after
from metadata_api.listing.expressions import All, AnyOf, Comparison, Contains, Expression, OneOf, SortKey
from metadata_api.listing.fields import Field
from metadata_api.schemas.experiments import Listing

Id = SQLColumnExpression[int]
Key = SQLColumnExpression[bytes]

COUNTED: Final = 10_000
"""So many experiments are counted exactly, of more only that there are more."""
CREATED_AT: Final = Field("", "created_at")
_ALWAYS: Final = frozenset(Field("", name) for name in ("name", "display_name", "created_at", "source"))
# Sets of ids are held in memory, and compiling a query takes longer than running it.
_SETTINGS = text("select set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")


@dataclass(frozen=True)
class Wanted:
    """What a list has, and in which order."""

    filter: tuple[Expression, ...]
    """All of them must be true."""
    order: tuple[SortKey, ...]
    with_model: bool


@dataclass(frozen=True)
class Found:
    """Places of the experiments of a page, one more than was asked for when there are more."""

    places: list[Place]
    total: int
    is_exact: bool


def read(asked: Listing) -> Wanted:
    """What a caller asked for; raises Invalid."""
    expression = grammar.read_filter(asked.filter) if asked.filter else None
    parts = expression.parts if isinstance(expression, All) else (expression,) if expression else ()
    if asked.search:
        parts += (AnyOf(tuple(Contains(Field("", name), asked.search) for name in ("name", "display_name"))),)
    return Wanted(parts, grammar.read_sort(asked.sort), asked.with_model)


def find(session: Session, wanted: Wanted, last: Place | None, count: int) -> Found:
    """The first `count` experiments after a place."""
    session.execute(_SETTINGS)
    if wanted.filter or wanted.with_model:
        total, places = _gather(session, wanted, last, count)
        if total <= COUNTED:
            return Found(places, total, is_exact=True)
    else:
        counted = select(Experiment.id).limit(COUNTED + 1).subquery()
        total = session.scalar(select(func.count()).select_from(counted)) or 0
    places = _walk(session, wanted, last, count)
    return Found(places, min(total, COUNTED), is_exact=total <= COUNTED)


def _gather(session: Session, wanted: Wanted, last: Place | None, count: int) -> tuple[int, list[Place]]:
    """How many fit, and the page; its places only where these are not more than COUNTED."""
    some = aliased(ExperimentKey)
    begin = next((one for one in wanted.filter if isinstance(one, Comparison | OneOf)), None)
    first = fits(begin, some.key) if begin else has_value(some.key, CREATED_AT)
    conditions = _conditions(wanted, some.experiment_id, but=begin)
    fitting = select(some.experiment_id).where(first, *conditions).limit(COUNTED + 1).cte("fitting")
    fitting = fitting.prefix_with("materialized")
    total = select(func.count()).select_from(fitting).scalar_subquery()
    rows = _Rows(fitting, fitting.c.experiment_id, wanted.order, ())
    page = rows.select(last).where(total <= COUNTED).limit(count).subquery()
    one = select(literal(1)).subquery()
    # The number is there when the page is empty; the order of a subquery is no promise.
    query = select(total, page).select_from(one.outerjoin(page, true()))
    found = session.execute(query.order_by(*_by(wanted.order, list(page.c)[1:], page.c[0]))).all()
    return found[0][0], [_place(row[1:]) for row in found if row[1] is not None]


def _walk(session: Session, wanted: Wanted, last: Place | None, count: int) -> list[Place]:
    """The page by the index of the first sorted field, then those without a value in it."""
    first = wanted.order[0]
    places: list[Place] = []
    if last is None or last.keys[0] is not None:
        some = aliased(ExperimentKey)
        query = _Rows(some, some.experiment_id, wanted.order, (some.key,)).select(last)
        query = query.where(has_value(some.key, first.field))
        # Tests of the same field make the way shorter.
        same = [
            one for one in wanted.filter if isinstance(one, Comparison | OneOf) and one.field == first.field
        ]
        query = query.where(*(fits(one, some.key) for one in same))
        query = query.where(*_conditions(wanted, some.experiment_id))
        if last is not None and (key := last.keys[0]) is not None:
            query = query.where(some.key <= key if first.descending else some.key >= key)
        places = [_place(row) for row in session.execute(query.limit(count))]
    if len(places) < count and first.field not in _ALWAYS:
        without = _Rows(Experiment, Experiment.id, wanted.order, (None,)).select(last)
        without = without.where(
            Experiment.id.not_in(with_value(first.field)), *_conditions(wanted, Experiment.id)
        )
        places += [_place(row) for row in session.execute(without.limit(count - len(places)))]
    return places


def _conditions(
    wanted: Wanted, experiment_id: Id, but: Expression | None = None
) -> list[ColumnElement[bool]]:
    found = [holds(one, experiment_id) for one in wanted.filter if one is not but]
    if wanted.with_model:
        found.append(experiment_id.in_(select(ModelVersion.experiment_id)))
    return found


class _Rows:
    """A set of ids with the key of each sorted field; those of the first fields may be known, None for no value."""

    def __init__(
        self, source: Any, experiment_id: Id, order: Sequence[SortKey], known: Sequence[Key | None]
    ) -> None:
        self.source = source
        self.experiment_id = experiment_id
        self.order = order
        self.keys = [*known]
        for by in order[len(known) :]:
            other = aliased(ExperimentKey)
            its = select(other.key).where(
                other.experiment_id == experiment_id, has_value(other.key, by.field)
            )
            found = its.limit(1).lateral()
            self.source = outerjoin(self.source, found, true())
            self.keys.append(found.c.key)

    def select(self, last: Place | None) -> Select[Any]:
        """The ids and keys after a place, in order."""
        columns = [
            (null() if key is None else key).label(f"key_{place}") for place, key in enumerate(self.keys)
        ]
        query: Select[*tuple[Any, ...]] = select(self.experiment_id.label("experiment_id"), *columns)
        query = query.select_from(self.source)
        if last is not None:
            query = query.where(after(last, self.order, self.keys, self.experiment_id))
        return query.order_by(*_by(self.order, self.keys, self.experiment_id))


def _by(
    order: Sequence[SortKey], keys: Sequence[Key | None], experiment_id: Id
) -> list[UnaryExpression[Any]]:
    found = []
    for by, key in zip(order, keys, strict=True):
        if key is not None:
            direction = key.desc() if by.descending else key.asc()
            # Only where it means something: it would keep the index from being used.
            found.append(direction if isinstance(key, InstrumentedAttribute) else direction.nulls_last())
    return [*found, experiment_id.desc() if order[0].descending else experiment_id.asc()]


def _place(row: Sequence[Any]) -> Place:
    experiment_id, *keys = row
    return Place(tuple(None if key is None else bytes(key) for key in keys), experiment_id)
