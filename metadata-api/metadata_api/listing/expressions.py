"""Filters, sort orders and columns as they were understood; `grammar` reads them, `conditions` asks the database.

A filter has two answers. A comparison is true of an experiment that has a value of this type in the field for which it
holds, so `not` is true of all others, also of those without a value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from metadata_api.listing.fields import Field
from metadata_api.listing.keys import Value

Operator = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Comparison:
    """`!=` is true of values of any type that are not this one."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True)
class OneOf:
    """The field has one of these values."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Contains:
    """The field has a text with this one in it, in either case."""

    field: Field
    text: str


@dataclass(frozen=True)
class IsNull:
    """The field has no value."""

    field: Field


@dataclass(frozen=True)
class Not:
    """The other is not true."""

    of: "Expression"


@dataclass(frozen=True)
class All:
    """Every part is true."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one part is true."""

    parts: tuple["Expression", ...]


Test = Comparison | OneOf | Contains | IsNull
Expression = Test | Not | All | AnyOf


@dataclass(frozen=True)
class SortKey:
    """One field to sort by; experiments without a value come last both ways."""

    field: Field
    descending: bool


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions that one is made of."""
    match expression:
        case Not(of=one):
            return (one,)
        case All(parts=parts) | AnyOf(parts=parts):
            return parts
    return ()


def walk(expression: Expression) -> Iterator[tuple[int, Expression]]:
    """Every expression within one, with its depth; without recursion, because anybody may nest them."""
    waiting = [(1, expression)]
    while waiting:
        depth, one = waiting.pop()
        yield depth, one
        waiting += ((depth + 1, child) for child in children(one))
