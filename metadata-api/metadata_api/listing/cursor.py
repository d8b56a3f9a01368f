"""Where a page of experiments ends, as a cursor and as the condition for what comes after it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.sql.elements import SQLColumnExpression

from metadata_api.database import cursors
from metadata_api.listing.expressions import SortKey

MAX_LENGTH: Final = 8000
_MAX_KEY: Final = 2100
_MAX_ID: Final = 2**63


@dataclass(frozen=True)
class Place:
    """The last experiment of a page: its keys in the sorted fields, None without a value, and its id."""

    keys: tuple[bytes | None, ...]
    experiment_id: int


def encode(place: Place, made_for: str) -> str:
    """A place as text; `made_for` says which list it belongs to."""
    keys = (key and key.hex() for key in place.keys)
    return cursors.encode(_short(made_for), [place.experiment_id, *keys])


def decode(cursor: str, made_for: str, order: Sequence[SortKey]) -> Place:
    """The place that `encode` wrote for this list; raises Invalid for anything else."""
    with cursors.decoded(cursor, _short(made_for)) as (experiment_id, *found):
        if len(found) != len(order):
            raise ValueError("made for another list")
        if type(experiment_id) is not int or not 0 <= experiment_id < _MAX_ID:
            raise ValueError("not an id")
        keys = tuple(None if one is None else bytes.fromhex(one) for one in found)
        for key, by in zip(keys, order, strict=True):
            if key is not None and (len(key) > _MAX_KEY or not key.startswith(by.field.digest)):
                raise ValueError("not a key of its field")
        return Place(keys, experiment_id)


def after(
    place: Place,
    order: Sequence[SortKey],
    columns: Sequence[SQLColumnExpression[bytes]],
    experiment_id: SQLColumnExpression[int],
) -> ColumnElement[bool]:
    """Whether a row comes after a place, where those without a value come last."""
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for by, column, key in zip(order, columns, place.keys, strict=True):
        if key is None:
            equal.append(column.is_(None))
        else:
            beyond = column < key if by.descending else column > key
            alternatives.append(and_(*equal, or_(beyond, column.is_(None))))
            equal.append(column == key)
    later = (
        experiment_id < place.experiment_id if order[0].descending else experiment_id > place.experiment_id
    )
    return or_(*alternatives, and_(*equal, later))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
