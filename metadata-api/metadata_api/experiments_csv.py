"""Lists of experiments as CSV, page by page while they are sent; called by its route."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.orm import Session

from metadata_api import experiments, memory
from metadata_api.csv_cells import cell, lines
from metadata_api.database.session import Sessions
from metadata_api.errors import Invalid
from metadata_api.listing import choices, grammar
from metadata_api.listing.fields import COLUMNS, Field
from metadata_api.schemas import experiments as bodies

PAGE = 200


def stream(sessions: Sessions, asked: bodies.Listing, limit: int) -> Iterator[str]:
    """Text with a header and up to `limit` experiments; each page of them is a transaction of its own.

    Begins to read at once, so that what cannot be answered is an error and no broken file. Raises Invalid.
    """
    with sessions.begin() as session:
        fields = _fields(session, asked)
        asked = asked.model_copy(update={"columns": ",".join(map(str, fields))})
        first = _page(session, asked, min(PAGE, limit), None)
    return _lines(sessions, asked, fields, limit, first)


def _lines(
    sessions: Sessions,
    asked: bodies.Listing,
    fields: Sequence[Field],
    limit: int,
    page: bodies.ExperimentPage,
) -> Iterator[str]:
    yield lines([[cell(str(field)) for field in fields]])
    while True:
        yield lines([[_cell(_value(item, field)) for field in fields] for item in page.items])
        limit -= len(page.items)
        if page.next is None or limit <= 0:
            return
        with sessions.begin() as session:
            page = _page(session, asked, min(PAGE, limit), page.next)


def _page(session: Session, asked: bodies.Listing, limit: int, cursor: str | None) -> bodies.ExperimentPage:
    with memory.returned():
        return experiments.list_page(session, asked, limit=limit, cursor=cursor)


def _fields(session: Session, asked: bodies.Listing) -> tuple[Field, ...]:
    """The name and the chosen columns; by default all columns and every name that some experiment has."""
    name = Field("", "name")
    if asked.columns is not None:
        return tuple(dict.fromkeys((name, *grammar.read_columns(asked.columns))))
    named = choices.known(session, grammar.MAX_COLUMNS)
    columns = tuple(Field("", column) for column in COLUMNS)
    if len(named) + len(columns) > grammar.MAX_COLUMNS:
        detail = f"There are more than {grammar.MAX_COLUMNS} fields. Name those to export: columns=metrics.f1,params.lr"
        raise Invalid("columns_missing", detail)
    return (*columns, *named)


def _value(item: bodies.Experiment, field: Field) -> Any:
    if not field.section:
        return getattr(item, field.name)
    if field.section == "metrics":
        summary = item.metrics.get(field.name)
        return summary and getattr(summary, field.part)
    return (item.parameters if field.section == "params" else item.tags).get(field.name)


def _cell(value: Any) -> str:
    """A number is no formula, whatever its sign."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else cell(value)
