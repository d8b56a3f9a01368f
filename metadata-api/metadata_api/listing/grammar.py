"""Reads filters, sort orders and columns; what cannot be read is an error that says where, and what may stand there."""

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken, v_args

from metadata_api.errors import Invalid
from metadata_api.listing import expressions as made
from metadata_api.listing import keys
from metadata_api.listing.expressions import Expression, SortKey
from metadata_api.listing.fields import COLUMNS, CREATED_AT, SECTIONS, Field, Section

MAX_LENGTH: Final = 2000
MAX_TESTS: Final = 20
MAX_DEPTH: Final = 20
MAX_VALUES: Final = 100
"""Of `in`."""
MAX_VALUE: Final = 200
"""Characters of a text in a filter."""
MAX_SORT_KEYS: Final = 3
MAX_COLUMNS: Final = 200

Kind = Literal["filter", "sort", "columns"]
EXAMPLES: Final[dict[Kind, str]] = {
    "filter": "metrics.f1 > 0.9 and params.lr < 0.1",
    "sort": "-metrics.f1,created_at",
    "columns": "metrics.f1,params.lr",
}
GRAMMAR: Final = r"""
filter: any
any: all (_OR all)*
all: unit (_AND unit)*
?unit: _NOT unit -> negated
     | "(" any ")"
     | test
?test: FIELD OPERATOR value -> comparison
     | FIELD _CONTAINS TEXT -> contains
     | FIELD _IN values -> one_of
     | FIELD _NOT _IN values -> none_of
     | FIELD _IS _NULL -> is_null
     | FIELD _IS _NOT _NULL -> is_not_null
values: "(" value ("," value)* ")"
value: NUMBER | TEXT | TRUE | FALSE

sort: sort_key ("," sort_key)*
sort_key: [MINUS] FIELD
columns: FIELD ("," FIELD)*

_OR.2: /or\b/i
_AND.2: /and\b/i
_NOT.2: /not\b/i
_IN.2: /in\b/i
_IS.2: /is\b/i
_NULL.2: /null\b/i
_CONTAINS.2: /contains\b/i
TRUE.2: /true\b/i
FALSE.2: /false\b/i
OPERATOR: "!=" | "<=" | ">=" | "=" | "<" | ">"
MINUS: "-"
NUMBER: /[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?/
TEXT: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
FIELD: /[A-Za-z_][A-Za-z0-9_]*(\.(\w[\w.\/-]*|"(\\.|[^"\\])*"(\.[a-z]+)?))?/s
%ignore /\s+/
"""
_FIELDS: Final = f"{', '.join(COLUMNS)}, metrics.NAME, params.NAME or tags.NAME"
_NAMES: Final = {
    "FIELD": f"a field ({_FIELDS})",
    "OPERATOR": "a comparison (= != < <= > >=)",
    "NUMBER": "a number",
    "TEXT": "a text in quotes",
    "TRUE": "true",
    "FALSE": "false",
    "MINUS": "-",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "$END": "the end",
}


def read_filter(text: str) -> Expression:
    """A filter; raises Invalid."""
    found: Expression = _read("filter", text)
    tests = 0
    for depth, one in made.walk(found):
        tests += not made.children(one)
        if depth > MAX_DEPTH:
            raise _invalid("filter", f"it is nested more than {MAX_DEPTH} deep; write it flatter")
    if tests > MAX_TESTS:
        raise _invalid("filter", f"it has {tests} comparisons; at most {MAX_TESTS} are allowed")
    return found


def read_sort(text: str) -> tuple[SortKey, ...]:
    """What to sort by, the first counts most; raises Invalid."""
    found: tuple[SortKey, ...] = _read("sort", text)
    if len(found) > MAX_SORT_KEYS:
        raise _invalid("sort", f"it names {len(found)} fields; at most {MAX_SORT_KEYS} are allowed")
    if len({one.field for one in found}) < len(found):
        raise _invalid("sort", "it names a field twice; leave one out")
    return found


def read_columns(text: str) -> tuple[Field, ...]:
    """Fields to show, each once; raises Invalid."""
    found: tuple[Field, ...] = _read("columns", text)
    if len(found) > MAX_COLUMNS:
        raise _invalid("columns", f"it names {len(found)} fields; at most {MAX_COLUMNS} are allowed")
    return found


def _read(kind: Kind, text: str) -> Any:
    if len(text) > MAX_LENGTH and kind != "columns":
        raise _invalid(kind, f"it has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed")
    try:
        return _parser(kind).parse(text)
    except UnexpectedToken as error:
        at = None if error.token.type == "$END" else error.token.start_pos
        raise _unexpected(kind, text, at, error.expected) from None
    except UnexpectedCharacters as error:
        raise _unexpected(kind, text, error.pos_in_stream, error.allowed or ()) from None
    except _Misread as error:
        raise _invalid(kind, f"at character {error.position + 1}: {error.reason}") from None


class _Misread(Exception):
    """What stands at a position has the right form, and no meaning."""

    def __init__(self, token: Token, reason: str) -> None:
        super().__init__(reason)
        self.position = token.start_pos or 0
        self.reason = reason


@v_args(inline=True)
class _Meaning(Transformer[Token, Any]):
    """Makes expressions while the text is read."""

    def filter(self, expression: Expression) -> Expression:
        return expression

    def any(self, *parts: Expression) -> Expression:
        return parts[0] if len(parts) == 1 else made.AnyOf(parts)

    def all(self, *parts: Expression) -> Expression:
        return parts[0] if len(parts) == 1 else made.All(parts)

    def negated(self, expression: Expression) -> Expression:
        return made.Not(expression)

    def comparison(self, name: Token, operator: Token, value: Token) -> Expression:
        field = _field(name)
        found = _value(field, value)
        if isinstance(found, bool) and operator not in ("=", "!="):
            raise _Misread(operator, "true and false can only be compared by = and !=")
        return made.Comparison(field, cast(made.Operator, str(operator)), found)

    def contains(self, name: Token, text: Token) -> Expression:
        field = _field(name)
        if field == CREATED_AT:
            raise _Misread(name, "created_at is a time; compare it by < or >")
        return made.Contains(field, _text(text))

    def one_of(self, name: Token, values: Sequence[Token]) -> Expression:
        if len(values) > MAX_VALUES:
            raise _Misread(values[MAX_VALUES], f"`in` may have at most {MAX_VALUES} values")
        field = _field(name)
        return made.OneOf(field, tuple(_value(field, value) for value in values))

    def none_of(self, name: Token, values: Sequence[Token]) -> Expression:
        return made.All((self.is_not_null(name), made.Not(self.one_of(name, values))))

    def is_null(self, name: Token) -> Expression:
        return made.IsNull(_field(name))

    def is_not_null(self, name: Token) -> Expression:
        return made.Not(made.IsNull(_field(name)))

    def values(self, *values: Token) -> Sequence[Token]:
        return values

    def value(self, value: Token) -> Token:
        return value

    def sort(self, *found: SortKey) -> tuple[SortKey, ...]:
        return found

    def sort_key(self, minus: Token | None, name: Token) -> SortKey:
        return SortKey(_field(name), descending=minus is not None)

    def columns(self, *names: Token) -> tuple[Field, ...]:
        return tuple(dict.fromkeys(_field(name) for name in names))


def _field(token: Token) -> Field:
    if not _is_storable(token):
        raise _Misread(token, "the name has a character that no name can have")
    section, dot, rest = str(token).partition(".")
    if not dot:
        if section not in COLUMNS:
            raise _Misread(token, f"there is no field {section[:60]}; use {_FIELDS}")
        return Field("", section)
    if section not in SECTIONS:
        raise _Misread(token, f"there is no {section[:60]}.; use metrics., params. or tags.")
    if rest.startswith('"'):
        quoted, _, part = rest.rpartition('"')
        name, part = _unquoted(quoted + '"'), part.removeprefix(".")
    else:
        name, part = rest, ""
        if section == "metrics" and rest.endswith((".best", ".final")):
            name, _, part = rest.rpartition(".")
    if section != "metrics" and part:
        raise _Misread(token, "only metrics have .best and .final")
    if part not in ("", "best", "final"):
        raise _Misread(token, f"a metric has .best and .final, and no .{part[:60]}")
    if section == "metrics":
        name = unicodedata.normalize("NFC", name)
        return Field("metrics", name, "final" if part == "final" else "best")
    return Field(cast(Section, section), name)


def _value(field: Field, token: Token) -> keys.Value:
    if field == CREATED_AT:
        return _moment(token)
    if token.type == "TEXT":
        return _text(token)
    if token.type != "NUMBER":
        return token.type == "TRUE"
    number = float(token)
    if not math.isfinite(number):
        raise _Misread(token, "the number is too large")
    return number


def _moment(token: Token) -> float:
    try:
        if token.type != "TEXT":
            raise ValueError("a time is written as text")
        return keys.microseconds(datetime.fromisoformat(_text(token)))
    except (ValueError, OverflowError):
        raise _Misread(token, 'write a time as "2026-11-28" or "2026-11-28T12:00:00+01:00"') from None


def _text(token: Token) -> str:
    text = _unquoted(token)
    if len(text) > MAX_VALUE:
        raise _Misread(token, f"a text may have at most {MAX_VALUE} characters")
    if not _is_storable(text):
        raise _Misread(token, "the text has a character that no value can have")
    return text


def _is_storable(text: str) -> bool:
    """Whether Postgres can hold a text."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


@cache
def _parser(kind: Kind) -> Lark:
    return Lark(GRAMMAR, start=kind, parser="lalr", transformer=_Meaning(), maybe_placeholders=True)


def _unexpected(kind: Kind, text: str, position: int | None, expected: Any) -> Invalid:
    words = sorted(
        {_NAMES.get(name, name.strip("_").lower()) for name in expected},
        key=lambda word: (len(word) > 20, word),
    )
    at = len(text) if position is None else position
    rest = text[at : at + 20]
    where = f"at character {at + 1} ({rest!r})" if rest.strip() else "at its end"
    return _invalid(kind, f"{where}: expected {' or '.join(words)}")


def _invalid(kind: Kind, reason: str) -> Invalid:
    return Invalid(f"bad_{kind}", f"{kind}: {reason}. Example: {kind}={EXAMPLES[kind]}")
