"""Expressions as SQL: each test is a range of keys, and a set of experiments."""

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, not_, or_, select
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


def holds(expression: Expression, experiment_id: Id) -> ColumnElement[bool]:
    """Whether an expression is true of the experiment of this id."""
    match expression:
        case All(parts=parts):
            return and_(*(holds(part, experiment_id) for part in parts))
        case AnyOf(parts=parts):
            return or_(*(holds(part, experiment_id) for part in parts))
        case Not(of=one):
            return not_(holds(one, experiment_id))
        case IsNull(field=field):
            return experiment_id.not_in(with_value(field))
    some = aliased(ExperimentKey)
    return experiment_id.in_(select(some.experiment_id).where(fits(expression, some.key)))


def with_value(field: Field) -> Select[int]:
    """Ids of the experiments that have a value of this field."""
    some = aliased(ExperimentKey)
    return select(some.experiment_id).where(has_value(some.key, field))


def has_value(key: SQLColumnExpression[bytes], field: Field) -> ColumnElement[bool]:
    """Whether a key is a value of this field, and not only there to be searched."""
    return and_(key >= field.digest + keys.BOOL, key < field.digest + keys.LOWER)


def fits(test: Test, key: SQLColumnExpression[bytes]) -> ColumnElement[bool]:
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


def _compared(
    key: SQLColumnExpression[bytes], field: Field, operator: str, value: keys.Value
) -> ColumnElement[bool]:
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
