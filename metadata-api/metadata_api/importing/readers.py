"""A CSV file of experiments as a stream of rows and problems; pure: no database, no exception for bad data.

Columns as the prototype wrote them: `Experiment Name`, `Learning Rate`, `Momentum` and `Loss`, a JSON object
`{"Step": [...], "Value": [...]}`. Any further column becomes a parameter.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from metadata_api.curves import Curve
from metadata_api.errors import Invalid
from metadata_api.importing.records import Record, records
from metadata_api.schemas.imports import Problem

NAME, LOSS = "Experiment Name", "Loss"
NUMBERS = {"Learning Rate": "learning_rate", "Momentum": "momentum"}
REQUIRED = (NAME, *NUMBERS, LOSS)
MAX_COLUMNS = 200
MAX_NAME, MAX_TEXT = 200, 10_000
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Row:
    """One experiment of the file; `content_hash` is of everything that would be stored."""

    line: int
    name: str
    parameters: dict[str, Any]
    loss: Curve
    content_hash: str


def check(file: BinaryIO) -> None:
    """Raise Invalid for a file that cannot be a CSV in UTF-8 at all; leaves the position at the start."""
    start = file.read(4096)
    if not start.strip(b" \t\r\n" + codecs.BOM_UTF8):
        raise Invalid("file_empty", "The file is empty. It needs a header and a row for each experiment.")
    # Without a mark UTF-16 is known by its NULs: every other byte of plain text.
    if start.startswith(_UTF16) or start[:100].count(0) > 10:
        raise Invalid(
            "not_utf8", "The file is not in UTF-8 but in UTF-16 or no text at all. Save it as UTF-8."
        )
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    line = 1
    line_ends = False
    while chunk := file.read(1024 * 1024):
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            line += chunk[: error.start].count(b"\n")
            raise Invalid(
                "not_utf8", f"The file is not in UTF-8: see line {line}. Save it as UTF-8."
            ) from None
        line += chunk.count(b"\n")
        line_ends = line_ends or b"\n" in chunk or b"\r" not in chunk
    if not line_ends:
        raise Invalid(
            "bad_line_ends", "Lines end with a carriage return only. Save the file with usual line ends."
        )
    if decoder.getstate()[0]:
        raise Invalid("not_utf8", "The file ends within a character. Save it as UTF-8.")
    file.seek(0)


class Table:
    """A checked file: its header, then its rows."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the header; raises Invalid when it is not one of a file of experiments."""
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        start = file.tell()
        self.delimiter, header = ",", Record(1, ())
        for delimiter in (",", ";"):
            file.seek(start)
            found = next(records(file, delimiter, line=1), header)
            if len(found.cells) > len(header.cells) or found.fault:
                self.delimiter, header = delimiter, found
        self.columns = _columns(header)
        file.seek(start)
        self._records = records(file, self.delimiter, line=1)
        next(self._records)

    def rows(self) -> Iterator[Row | Problem]:
        """Rows and problems in the order of the file."""
        for record in self._records:
            if record.fault is not None:
                yield Problem(line=record.line, column=None, reason=record.fault)
                continue
            try:
                yield _row(record, self.columns)
            except _BadCell as error:
                yield Problem(line=record.line, column=error.column, reason=error.reason)


class _BadCell(Exception):
    def __init__(self, column: str | None, reason: str) -> None:
        self.column = column
        self.reason = reason


def _columns(header: Record) -> tuple[str, ...]:
    if header.fault is not None:
        raise Invalid("bad_header", f"The header cannot be read: {header.fault}.")
    columns = tuple(cell.strip() for cell in header.cells)
    if len(columns) > MAX_COLUMNS:
        raise Invalid("bad_header", f"The header has {len(columns)} columns; at most {MAX_COLUMNS} are read.")
    if missing := [name for name in REQUIRED if name not in columns]:
        raise Invalid(
            "missing_column", f"The header lacks {', '.join(missing)}. It needs {', '.join(REQUIRED)}."
        )
    if any(not name or len(name) > MAX_NAME for name in columns):
        raise Invalid("bad_header", f"A column has no name, or one of over {MAX_NAME} characters.")
    keys = [NUMBERS.get(name, name) for name in columns]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise Invalid("bad_header", f"The header names {', '.join(twice)[:500]} twice. Rename one of them.")
    return columns


def _row(record: Record, columns: tuple[str, ...]) -> Row:
    if len(record.cells) != len(columns):
        raise _BadCell(None, f"it has {len(record.cells)} cells, the header has {len(columns)}")
    cells = dict(zip(columns, record.cells, strict=True))
    name = cells.pop(NAME).strip()
    if not name or len(name) > MAX_NAME:
        raise _BadCell(NAME, "it is empty" if not name else f"it is over {MAX_NAME} characters")
    loss = _curve(cells.pop(LOSS))
    parameters: dict[str, Any] = {key: _number(column, cells.pop(column)) for column, key in NUMBERS.items()}
    for column, cell in cells.items():
        if cell.strip():
            parameters[column] = _parameter(column, cell.strip())
    content = json.dumps([name, parameters, list(loss.steps), list(loss.values)], sort_keys=True)
    return Row(record.line, name, parameters, loss, hashlib.sha256(content.encode()).hexdigest())


def _number(column: str, cell: str) -> float:
    value = _decimal(cell.strip())
    if value is None:
        raise _BadCell(column, f"it must be a number such as 0.01, not {_quoted(cell)}")
    return value


def _parameter(column: str, cell: str) -> bool | int | float | str:
    """A cell of a further column: true, false, a whole number, a number, else text as it is."""
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    if _INTEGER.fullmatch(cell):
        return int(cell)
    value = _decimal(cell)
    if value is not None:
        return value
    if len(cell) > MAX_TEXT:
        raise _BadCell(column, f"it is over {MAX_TEXT} characters")
    return cell


def _decimal(cell: str) -> float | None:
    """A finite number in ASCII digits; Python alone would also take `1_000`, other scripts' digits and 1e999."""
    if not _DECIMAL.fullmatch(cell):
        return None
    value = float(cell)
    return None if value in (float("inf"), float("-inf")) else value


def _curve(cell: str) -> Curve:
    try:
        found = json.loads(cell, parse_float=_loss_value)
    except RecursionError:
        raise _BadCell(LOSS, "it is nested too deeply") from None
    except ValueError as error:
        raise _BadCell(LOSS, f"it is not JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict) or not {"Step", "Value"} <= found.keys():
        raise _BadCell(LOSS, 'it must be a JSON object {"Step": [...], "Value": [...]}')
    steps, values = found["Step"], found["Value"]
    if not isinstance(steps, list) or not isinstance(values, list):
        raise _BadCell(LOSS, "Step and Value must be lists")
    try:
        return Curve([_step(step) for step in steps], [_value(value) for value in values])
    except (ValueError, OverflowError) as error:
        raise _BadCell(LOSS, str(error)) from None


def _loss_value(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _step(step: object) -> int:
    if isinstance(step, float) and step.is_integer():
        return int(step)
    if isinstance(step, bool) or not isinstance(step, int):
        raise ValueError("every Step must be a whole number")
    return step


def _value(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("every Value must be a number")
    return float(value)


def _quoted(cell: str) -> str:
    return repr(cell[:40] + ("..." if len(cell) > 40 else ""))
