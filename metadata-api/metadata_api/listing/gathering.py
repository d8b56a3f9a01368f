"""Few experiments that fit: all are gathered with the keys that they are sorted by, and the page is cut out."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ScalarSelect, UnaryExpression, func, literal, select, true
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import SQLColumnExpression

from metadata_api.database.listing_tables import ExperimentKey
from metadata_api.listing.conditions import fits_once, has_value
from metadata_api.listing.cursor import Place, after
from metadata_api.listing.expressions import Comparison, Contains, Expression, OneOf, SortKey
from metadata_api.listing.fields import CREATED_AT
from metadata_api.listing.list_query import ListQuery


def gather(
    session: Session, wanted: ListQuery, last: Place | None, count: int, most: int
) -> tuple[int, list[Place]]:
    """How many fit, `most` + 1 for more than `most`, and the first `count` after a place; none when there are more."""
    some = aliased(ExperimentKey)
    begin = _begin(wanted.filter)
    first = fits_once(begin, some.key) if begin else has_value(some.key, CREATED_AT)
    others = tuple(one for one in wanted.filter if one is not begin)
    query = select(some.experiment_id).where(first, *wanted.conditions(others, some.experiment_id))
    fitting = query.limit(most + 1).cte("fitting").prefix_with("materialized")
    total = select(func.count()).select_from(fitting).scalar_subquery()
    keyed = select(
        fitting.c.experiment_id,
        *(_key(by, fitting.c.experiment_id).label(f"key_{place}") for place, by in enumerate(wanted.order)),
    ).subquery()
    experiment_id, *keys = keyed.c
    page = select(keyed).where(total <= most)
    if last is not None:
        page = page.where(after(last, wanted.order, keys, experiment_id))
    cut = page.order_by(*_by(wanted.order, keys, experiment_id)).limit(count).subquery()
    one = select(literal(1)).subquery()
    # The number is there when the page is empty; the order of a subquery is no promise.
    whole = select(total, cut).select_from(one.outerjoin(cut, true()))
    found = session.execute(whole.order_by(*_by(wanted.order, list(cut.c)[1:], cut.c[0]))).all()
    return found[0][0], [
        Place(tuple(None if key is None else bytes(key) for key in row[2:]), row[1])
        for row in found
        if row[1] is not None
    ]


def _begin(tests: Sequence[Expression]) -> Comparison | OneOf | Contains | None:
    """A test that is a range of keys, as small a one as can be told."""
    for kind in (Comparison | OneOf, Contains):
        for one in tests:
            if isinstance(one, kind):
                return one
    return None


def _key(by: SortKey, experiment_id: SQLColumnExpression[int]) -> ScalarSelect[bytes]:
    """The key of one experiment in a field: a look into the index for each, where a join would read the whole field."""
    its = aliased(ExperimentKey)
    found = select(its.key).where(its.experiment_id == experiment_id, has_value(its.key, by.field))
    return found.limit(1).scalar_subquery()


def _by(
    order: Sequence[SortKey], keys: Sequence[Any], experiment_id: SQLColumnExpression[int]
) -> list[UnaryExpression[Any]]:
    found = [
        (key.desc() if by.descending else key.asc()).nulls_last() for by, key in zip(order, keys, strict=True)
    ]
    return [*found, experiment_id.desc() if order[0].descending else experiment_id.asc()]
