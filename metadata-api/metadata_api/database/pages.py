"""Pages of lists: newest first, and bounded in bytes as well as in rows where rows may be large."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Text, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from metadata_api.memory import charge

PAGE_BYTES = 1024 * 1024
# Of JSON as text, as objects of Python, as a body: about so many times what the server says.
_COPIES = 8

Row = TypeVar("Row")


def newest(
    session: Session,
    query: Select[Row],
    number: InstrumentedAttribute[int],
    *,
    limit: int,
    before: int | None,
    large: Sequence[Any] = (),
) -> tuple[list[Row], str | None]:
    """The `limit` rows with the highest `number`, or those below `before`, and the cursor of the next page.

    None where no more follow. There are fewer, as `first_rows` says, when the columns `large` are; it also raises.
    """
    if before is not None:
        query = query.where(number < before)
    query = query.order_by(number.desc())
    if large:
        rows, more = first_rows(session, query, large, limit)
    else:
        found = session.scalars(query.limit(limit + 1)).all()
        rows, more = list(found[:limit]), len(found) > limit
    return rows, str(getattr(rows[-1], number.key)) if more else None


def first_rows(
    session: Session, query: Select[Row], large: Sequence[Any], limit: int
) -> tuple[list[Row], bool]:
    """The first rows of a sorted query, and whether it has more; `large` are the columns that may be.

    At most `limit` rows, and fewer when they would have more than a mebibyte, but one at least. Raises Unavailable when
    other requests leave no room for them.
    """
    sizes = session.scalars(query.with_only_columns(row_bytes(large)).limit(limit + 1)).all()
    count = room(sizes[:limit])
    charge_rows(sizes[:count])
    rows = list(session.scalars(query.limit(count)).all()) if count else []
    return rows, len(sizes) > count


def counted(session: Session, query: Select[Any], most: int) -> int:
    """How many rows a query has; `most` + 1 for more than `most`."""
    return session.scalar(select(func.count()).select_from(query.limit(most + 1).subquery())) or 0


def room(sizes: Sequence[int]) -> int:
    """How many of the first rows of these sizes a page has: one at least, if there is any."""
    count = total = 0
    for size in sizes:
        if count and total + size > PAGE_BYTES:
            break
        count, total = count + 1, total + size
    return count


def charge_rows(sizes: Sequence[int]) -> None:
    """Hold what rows of these sizes take until their response is sent; raises Unavailable."""
    charge(sum(sizes) * _COPIES)


def row_bytes(columns: Sequence[Any]) -> ColumnElement[int]:
    """Bytes of a row's large columns as text."""
    lengths = [func.coalesce(func.octet_length(cast(column, Text)), 0) for column in columns]
    return sum(lengths[1:], lengths[0])
