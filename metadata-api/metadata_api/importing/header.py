"""Finds the header of a CSV of experiments, and by it the separator and the quotes; called by `readers`.

Nothing is guessed from the rows: the names of the columns that every file must have say which way of reading is right
(docs/adr/0040).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import BinaryIO

from metadata_api.errors import Invalid
from metadata_api.importing.records import Dialect, Record, records

NAME, LOSS = "Experiment Name", "Loss"
NUMBERS = {"Learning Rate": "learning_rate", "Momentum": "momentum"}
REQUIRED = (NAME, *NUMBERS, LOSS)
MAX_COLUMNS = 5000
MAX_NAME = 200
PREAMBLE_LINES = 100
LINE_BYTES = 64 * 1024
QUOTES = ('"', "'")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BY_WORDS = {name.casefold(): name for name in REQUIRED}
_SEPARATOR_LINE = re.compile(r'"?sep=(.|\\t)"?[,;| \t]*', re.IGNORECASE)
# Programs name what has no name: pandas an index that it has read back.
_INDEX = re.compile(r"Unnamed: [0-9]+")


@dataclass(frozen=True)
class Header:
    """How to read a file, and its columns in order; None is a column without a name."""

    dialect: Dialect
    columns: tuple[str | None, ...]
    next_line: int
    """Number of the line after the header, at which the file's position is."""


def read_header(file: BinaryIO) -> Header:
    """The header, from the file's position on; raises Invalid with its line when it is not one of experiments."""
    separator, start, line = _before_header(file)
    tried = []
    for quote, delimiter in product(QUOTES, [separator] if separator else SEPARATORS):
        file.seek(start)
        dialect = Dialect(delimiter, quote)
        if (record := next(records(file, dialect, line=line), None)) is None:
            raise Invalid("file_empty", "The file is empty. It needs a header and a row for each experiment.")
        tried.append((record, dialect))
    if all(record.fault for record, dialect in tried if dialect.quote == QUOTES[0]):
        raise Invalid("bad_header", f"The header, line {line}, cannot be read: {tried[0][0].fault}.")
    # The first of equals: commas are the usual separator.
    record, dialect = max(tried, key=lambda one: (len(_required(one[0].cells)), len(one[0].cells)))
    columns = _columns(record, dialect)
    file.seek(start)
    next(records(file, dialect, line=line))
    return Header(dialect, columns, record.line + record.lines)


def _before_header(file: BinaryIO) -> tuple[str | None, int, int]:
    """The separator that a line `sep=;` names, and where the header begins: position and line number.

    Spreadsheets write such a line; PowerShell and others write comments, which begin with `#`.
    """
    separator, line = None, 1
    for _ in range(PREAMBLE_LINES):
        start = file.tell()
        text = file.readline(LINE_BYTES).decode(errors="replace").strip("\r\n")
        if match := _SEPARATOR_LINE.fullmatch(text):
            separator = match[1].replace("\\t", "\t")
        elif not text or (text.strip() and not text.startswith("#")):
            file.seek(start)
            return separator, start, line
        line += 1
    raise Invalid("missing_column", f"There is no header in the first {PREAMBLE_LINES} lines. Begin with it.")


def _required(cells: Sequence[str]) -> dict[str, str]:
    """The required columns among these cells, by the cell: R writes `Experiment.Name`, databases `experiment_name`."""
    found = {}
    for cell in cells:
        name = _BY_WORDS.get(" ".join(re.split(r"[\s._-]+", cell.strip())).strip().casefold())
        if name is not None:
            found[cell] = name
    return found


def _columns(record: Record, dialect: Dialect) -> tuple[str | None, ...]:
    """The columns by the names under which they are kept; raises Invalid for what is no header of experiments."""
    where = f"The header, line {record.line},"
    required = _required(record.cells)
    cells = list(record.cells)
    while cells and not cells[-1].strip():
        cells.pop()
    if missing := [name for name in REQUIRED if name not in required.values()]:
        read = f"by {SEPARATORS.get(dialect.delimiter, repr(dialect.delimiter))} it has {_listed(cells)}"
        raise Invalid(
            "missing_column",
            f"{where} lacks {', '.join(missing)}. It needs {', '.join(REQUIRED)}; {read}. Rename or add columns.",
        )
    if len(cells) > MAX_COLUMNS:
        raise Invalid("bad_header", f"{where} has {len(cells)} columns; at most {MAX_COLUMNS} are read.")
    names = [required.get(cell, cell.strip()) for cell in cells]
    for at, name in enumerate(names, 1):
        if len(name) > MAX_NAME:
            raise Invalid("bad_header", f"{where} column {at}: its name has over {MAX_NAME} characters.")
        if not name and at > 1:
            raise Invalid("bad_header", f"{where} column {at} has no name. Name it, or delete it.")
    columns = [name if name and not _INDEX.fullmatch(name) else None for name in names]
    keys = [NUMBERS.get(name, name) for name in columns if name]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise Invalid("bad_header", f"{where} names {', '.join(twice)[:500]} twice. Rename one of them.")
    return tuple(columns)


def _listed(cells: Sequence[str]) -> str:
    shown = ", ".join(repr(cell.strip()[:40]) for cell in cells[:8])
    return shown + (f" and {len(cells) - 8} more" if len(cells) > 8 else "")
