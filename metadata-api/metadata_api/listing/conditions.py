"""Expressions as SQL: each test is a range of keys, and a set of experiments."""

from sqlalchemy import ColumnElement, and_, bindparam, collate, exists, func, not_, or_, select
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import SQLColumnExpression

from metadata_api.database.listing_tables import ExperimentKey
from metadata_api.listing import keys
from metadata_api.listing.expressions import (
    All,
    AnyOf,
    Comparison,
    Contains,
    Expression,
    IsNull,
    Not,
    OneOf,
    Test,
)
from metadata_api.listing.fields import Field

Id = SQLColumnExpression[int]
Key = SQLColumnExpression[bytes]


def holds(expression: Expression, experiment_id: Id) -> ColumnElement[bool]:
    """Whether an expression is true of the experiment of this id."""
    match expression:
        case All(parts=parts):
            return and_(*(holds(part, experiment_id) for part in parts))
        case AnyOf(parts=parts):
            return or_(*(holds(part, experiment_id) for part in parts))
        case Not(of=Comparison() | OneOf() | Contains() as one):
            return _has_no_key(experiment_id, one)
        case Not(of=one):
            return not_(holds(one, experiment_id))
        case IsNull():
            return _has_no_key(experiment_id, expression)
    some = aliased(ExperimentKey)
    return experiment_id.in_(select(some.experiment_id).where(fits(expression, some.key)))


def _has_no_key(experiment_id: Id, test: Test) -> ColumnElement[bool]:
    """Whether no key of an experiment is one of those; `not exists` may become a join, which `not in` never does."""
    some = aliased(ExperimentKey)
    return not_(exists().where(some.experiment_id == experiment_id, fits(test, some.key)))


def has_value(key: Key, field: Field) -> ColumnElement[bool]:
    """Whether a key is a value of this field, and not only there to be searched."""
    return and_(key >= field.digest + keys.BOOL, key < field.digest + keys.LOWER)


def fits(test: Test, key: Key) -> ColumnElement[bool]:
    """Whether a key is one of those that a test asks for."""
    match test:
        case Comparison(field=field, operator="!=", value=value):
            return and_(has_value(key, field), key != keys.key(field, value))
        case Comparison(field=field, operator=operator, value=value):
            return _compared(key, field, operator, value)
        case OneOf(field=field, values=values):
            return key.in_([keys.key(field, value) for value in values])
        case Contains(field=field, text=text):
            needle = func.convert_to(func.lower(bindparam(None, text, unique=True)), "UTF8")
            body = func.substring(key, keys.VALUE_AT + 1)
            return and_(
                key >= field.digest + keys.TEXT,
                key < field.digest + keys.END,
                func.pg_catalog.position(body, needle) > 0,
            )
    return has_value(key, test.field)


def fits_once(test: Comparison | OneOf | Contains, key: Key) -> ColumnElement[bool]:
    """The same, for one key of each experiment at the most: a text with capitals is there twice."""
    if not isinstance(test, Contains):
        return fits(test, key)
    # As when the keys were made; without it, only the capitals of ASCII have small letters.
    text = collate(func.convert_from(func.substring(key, keys.VALUE_AT + 1), "UTF8"), "default")
    return and_(fits(test, key), or_(key >= test.field.digest + keys.LOWER, text == func.lower(text)))


def _compared(key: Key, field: Field, operator: str, value: keys.Value) -> ColumnElement[bool]:
    kind = keys.type_of(value)
    wanted = keys.key(field, value)
    first, beyond = field.digest + kind, field.digest + bytes([kind[0] + 1])
    match operator:
        case "=":
            return key == wanted
        case "<":
            return and_(key >= first, key < wanted)
        case "<=":
            return and_(key >= first, key <= wanted)
        case ">":
            return and_(key > wanted, key < beyond)
    return and_(key >= wanted, key < beyond)
