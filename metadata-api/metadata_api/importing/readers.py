"""A CSV file of experiments as a stream of rows and problems; pure: no database, no exception for bad data.

Columns as the prototype wrote them: `Experiment Name`, `Learning Rate`, `Momentum` and `Loss`, a JSON object
`{"Step": [...], "Value": [...]}`. Any further column becomes a parameter.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from metadata_api.curves import Curve
from metadata_api.importing import cells
from metadata_api.importing.cells import BadCell
from metadata_api.importing.header import LOSS, MAX_NAME, NAME, NUMBERS, REQUIRED, read_header
from metadata_api.importing.records import Record, records
from metadata_api.schemas.imports import Problem

# So much is read ahead to see how a program wrote its rows.
AHEAD_RECORDS = 100
AHEAD_CHARACTERS = 4_000_000
MAX_PARAMETERS = 2_000_000


@dataclass(frozen=True)
class Row:
    """One experiment of the file; `content_hash` is of everything that would be stored."""

    line: int
    name: str
    parameters: dict[str, Any]
    loss: Curve
    content_hash: str


class Table:
    """A file in UTF-8: its header, then its rows."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the header at the file's position; raises Invalid when it is not one of a file of experiments."""
        header = read_header(file)
        self._columns, self._delimiter = header.columns, header.dialect.delimiter
        following = records(file, header.dialect, line=header.next_line)
        ahead = _ahead(following)
        self._records = chain(ahead, following)
        rows = [record.cells for record in ahead if record.fault is None]
        self._row_names = int(_has_row_names(rows, self._columns))
        self._comma = self._delimiter != "," and any(
            cells.has_decimal_comma(cell)
            for row in rows
            for column, cell in zip(self._columns, row[self._row_names :], strict=False)
            if column in NUMBERS
        )

    def rows(self) -> Iterator[Row | Problem]:
        """Rows and problems in the order of the file."""
        for record in self._records:
            if record.fault is not None:
                yield Problem(line=record.line, column=None, reason=record.fault)
            elif any(cell.strip() for cell in record.cells):
                try:
                    yield self._row(record)
                except BadCell as error:
                    yield Problem(line=record.line, column=error.column, reason=error.reason)

    def _row(self, record: Record) -> Row:
        found = self._by_column(record)
        name = found.pop(NAME).strip()
        if not name or len(name) > MAX_NAME:
            reason = (
                f"it is over {MAX_NAME} characters; shorten it"
                if name
                else "it is empty; name the experiment"
            )
            raise BadCell(NAME, reason)
        loss = cells.curve(found.pop(LOSS))
        parameters: dict[str, Any] = {
            key: cells.number(column, found.pop(column), comma=self._comma) for column, key in NUMBERS.items()
        }
        for column, cell in found.items():
            if not cells.is_missing(cell):
                parameters[column] = cells.parameter(column, cell, comma=self._comma)
        if sum(map(len, found)) + sum(map(len, found.values())) > MAX_PARAMETERS:
            raise BadCell(None, f"its parameters have over {MAX_PARAMETERS:,} characters; leave columns out")
        content = json.dumps([name, parameters, list(loss.steps), list(loss.values)], sort_keys=True)
        return Row(record.line, name, parameters, loss, hashlib.sha256(content.encode()).hexdigest())

    def _by_column(self, record: Record) -> dict[str, str]:
        """The cells by their columns; what is missing at the end is empty. Raises BadCell for too many or too few."""
        row, columns = list(record.cells[self._row_names :]), self._columns
        while len(row) > len(columns) and not row[-1].strip():
            row.pop()
        if len(row) < len(columns) and not set(REQUIRED) & set(columns[len(row) :]):
            row += [""] * (len(columns) - len(row))
        if len(row) != len(columns):
            count = len(record.cells)
            hint = (
                "put cells that hold the separator into double quotes"
                if count > len(columns)
                else "add the others"
            )
            raise BadCell(None, f"it has {count} cells, the header has {len(columns)}; {hint}")
        return {column: cell for column, cell in zip(columns, row, strict=True) if column is not None}


def _ahead(following: Iterator[Record]) -> list[Record]:
    found: list[Record] = []
    characters = 0
    while len(found) < AHEAD_RECORDS and characters < AHEAD_CHARACTERS:
        record = next(following, None)
        if record is None:
            break
        found.append(record)
        characters += sum(map(len, record.cells))
    return found


def _has_row_names(rows: list[tuple[str, ...]], columns: tuple[str | None, ...]) -> bool:
    """Whether each row begins with a cell that the header has no name for, as R writes the names of rows."""
    at = columns.index(LOSS)
    return bool(rows) and all(
        len(row) > len(columns) and row[at + 1].lstrip().startswith("{")
        for row in rows
        if any(map(str.strip, row))
    )
