"""Few experiments that fit: all are gathered with the keys that they are sorted by, and the page is cut out."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import UnaryExpression, and_, func, literal, select, true
from sqlalchemy.orm import Session, aliased, outerjoin
from sqlalchemy.sql.elements import SQLColumnExpression

from metadata_api.database.listing_tables import ExperimentKey
from metadata_api.listing.conditions import fits, has_value
from metadata_api.listing.cursor import Place, after
from metadata_api.listing.expressions import Comparison, OneOf, SortKey
from metadata_api.listing.fields import CREATED_AT
from metadata_api.listing.wanted import Wanted

Key = SQLColumnExpression[bytes]


def gather(
    session: Session, wanted: Wanted, last: Place | None, count: int, most: int
) -> tuple[int, list[Place]]:
    """How many fit, `most` + 1 for more than `most`, and the first `count` after a place; none when there are more."""
    some = aliased(ExperimentKey)
    # A test that is a range of keys is where to begin; all experiments have the other.
    begin = next((one for one in wanted.filter if isinstance(one, Comparison | OneOf)), None)
    first = fits(begin, some.key) if begin else has_value(some.key, CREATED_AT)
    others = tuple(one for one in wanted.filter if one is not begin)
    query = select(some.experiment_id).where(first, *wanted.conditions(others, some.experiment_id))
    fitting = query.limit(most + 1).cte("fitting").prefix_with("materialized")
    total = select(func.count()).select_from(fitting).scalar_subquery()
    source: Any = fitting
    keys: list[Key] = []
    for by in wanted.order:
        its = aliased(ExperimentKey)
        same = its.experiment_id == fitting.c.experiment_id
        source = outerjoin(source, its, and_(same, has_value(its.key, by.field)))
        keys.append(its.key)
    columns: list[Any] = [key.label(f"key_{place}") for place, key in enumerate(keys)]
    page = select(fitting.c.experiment_id, *columns).select_from(source).where(total <= most)
    if last is not None:
        page = page.where(after(last, wanted.order, keys, fitting.c.experiment_id))
    cut = page.order_by(*_by(wanted.order, keys, fitting.c.experiment_id)).limit(count).subquery()
    one = select(literal(1)).subquery()
    # The number is there when the page is empty; the order of a subquery is no promise.
    whole = select(total, cut).select_from(one.outerjoin(cut, true()))
    found = session.execute(whole.order_by(*_by(wanted.order, list(cut.c)[1:], cut.c[0]))).all()
    return found[0][0], [
        Place(tuple(None if key is None else bytes(key) for key in row[2:]), row[1])
        for row in found
        if row[1] is not None
    ]


def _by(
    order: Sequence[SortKey], keys: Sequence[Any], experiment_id: SQLColumnExpression[int]
) -> list[UnaryExpression[Any]]:
    found = [
        (key.desc() if by.descending else key.asc()).nulls_last() for by, key in zip(order, keys, strict=True)
    ]
    return [*found, experiment_id.desc() if order[0].descending else experiment_id.asc()]
