"""What a cell of a CSV means: a number, a parameter, a curve, or nothing; called by `readers`."""

import json
import math
import re

from metadata_api.curves import Curve
from metadata_api.importing.header import LOSS

MAX_TEXT = 10_000
# What programs write for a value that is not there: R, pandas, databases, spreadsheets.
MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "null", "\\n"))
# JSON has no word for these; R writes them as text.
_VALUES = {"NA": math.nan, "NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}
_VALUES |= {"Infinity": math.inf, "-Infinity": -math.inf}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?")
# 1.234 in a file of decimal commas may be over a thousand.
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+")


class BadCell(Exception):
    """Why a row cannot be taken, and the column that is to blame, if it is one."""

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.strip().casefold() in MISSING


def has_decimal_comma(cell: str) -> bool:
    """Whether a cell is a number with a decimal comma."""
    return _DECIMAL_COMMA.fullmatch(cell.strip()) is not None


def number(column: str, cell: str, *, comma: bool) -> float:
    """A number that must be there; `comma` says that the decimal mark is a comma. Raises BadCell."""
    text = cell.strip()
    value = _decimal(text, comma=comma)
    if value is None:
        if comma and _THOUSANDS.fullmatch(text):
            raise BadCell(column, f"{_quoted(text)} can be read in two ways: write it with a decimal comma")
        hint = "; write the decimal mark as a point" if has_decimal_comma(text) else ""
        said = "it is missing; it" if is_missing(cell) else "it"
        raise BadCell(column, f"{said} must be a number such as 0.01, not {_quoted(cell)}{hint}")
    return value


def parameter(column: str, cell: str, *, comma: bool) -> bool | int | float | str:
    """A cell of a further column: true, false, a whole number, a number, else text as it is. Raises BadCell."""
    text = cell.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    value = _decimal(text, comma=comma)
    if value is not None:
        return value
    if len(text) > MAX_TEXT:
        raise BadCell(column, f"it is over {MAX_TEXT} characters; shorten it")
    return text


def curve(cell: str) -> Curve:
    """A curve from its JSON object; raises BadCell."""
    try:
        found = json.loads(cell, parse_float=_loss_value)
    except RecursionError:
        raise BadCell(LOSS, "it is nested too deeply") from None
    except ValueError as error:
        hint = "; write it with json.dumps" if cell.lstrip().startswith("{'") else ""
        raise BadCell(LOSS, f"it is not JSON: {str(error)[:200]}{hint}") from None
    if not isinstance(found, dict) or not {"Step", "Value"} <= found.keys():
        raise BadCell(LOSS, 'it must be a JSON object {"Step": [...], "Value": [...]}')
    steps, values = found["Step"], found["Value"]
    if not isinstance(steps, list) or not isinstance(values, list):
        raise BadCell(LOSS, "Step and Value must be lists")
    try:
        return Curve([_step(step) for step in steps], [_value(value) for value in values])
    except (ValueError, OverflowError) as error:
        raise BadCell(LOSS, str(error)) from None


def _decimal(cell: str, *, comma: bool) -> float | None:
    """A finite number in ASCII digits; Python alone would also take `1_000`, other scripts' digits and 1e999."""
    if comma and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    elif not _DECIMAL.fullmatch(cell) or (comma and _THOUSANDS.fullmatch(cell)):
        return None
    value = float(cell)
    return value if math.isfinite(value) else None


def _loss_value(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _step(step: object) -> int:
    if isinstance(step, float) and step.is_integer():
        return int(step)
    if isinstance(step, bool) or not isinstance(step, int):
        raise ValueError("every Step must be a whole number")
    return step


def _value(value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and value in _VALUES:
        return _VALUES[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("every Value must be a number, or null for one that is not")
    return float(value)


def _quoted(cell: str) -> str:
    return repr(cell[:40] + ("..." if len(cell) > 40 else ""))
