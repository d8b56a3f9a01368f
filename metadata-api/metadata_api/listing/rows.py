"""Experiments as a list shows them: with the chosen metrics, parameters and tags alone, and bounded in bytes."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, defer
from sqlalchemy.orm.attributes import set_committed_value

from metadata_api.database import pages
from metadata_api.database.tables import Experiment
from metadata_api.listing.fields import Field

_SECTIONS: Final = {"metrics": "metrics", "params": "parameters", "tags": "tags"}


def load(
    session: Session, ids: Sequence[int], columns: Sequence[Field] | None, *, whole: bool = False
) -> list[Experiment]:
    """The experiments of these ids in their order: all that have room in a mebibyte, and one at least.

    With `whole` they are all, however large.

    With `columns`, their metrics, parameters and tags are only those; they must not be changed then. Raises Unavailable
    when other requests leave no room for them.
    """
    chosen = {of: _chosen(of, section, columns) for section, of in _SECTIONS.items()}
    large = [*chosen.values(), Experiment.description, Experiment.notes]
    measured = select(Experiment.id, pages.row_bytes(large)).where(Experiment.id.in_(ids))
    sizes: dict[int, int] = {row[0]: row[1] for row in session.execute(measured)}
    # One may have been deleted meanwhile.
    there = [one for one in ids if one in sizes]
    if not whole:
        there = there[: pages.room([sizes[one] for one in there])]
    pages.charge_rows([sizes[one] for one in there])
    query: Select[Any] = select(Experiment, *chosen.values()).where(Experiment.id.in_(there))
    query = query.options(*(defer(getattr(Experiment, of)) for of in chosen))
    found = {}
    for row, *values in session.execute(query):
        for of, value in zip(chosen, values, strict=True):
            set_committed_value(row, of, value)
        found[row.id] = row
    return [found[one] for one in there]


def _chosen(of: str, section: str, columns: Sequence[Field] | None) -> ColumnElement[Any]:
    stored: ColumnElement[Any] = getattr(Experiment, of)
    if columns is None:
        return stored.label(of)
    names = sorted({one.name for one in columns if one.section == section})
    if not names:
        return cast({}, JSONB).label(of)
    each = func.jsonb_each(stored).table_valued("key", "value")
    kept = func.jsonb_object_agg(each.c.key, each.c.value)
    return (
        select(func.coalesce(kept, cast({}, JSONB))).where(each.c.key.in_(names)).scalar_subquery().label(of)
    )
