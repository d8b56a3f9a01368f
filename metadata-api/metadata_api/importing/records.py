"""CSV as lines and records: physical line numbers that are right, and quotes that cannot swallow a file.

Python's reader takes an unclosed quote as the start of a cell that reaches to the end of the file. Here such a record
costs its own line only: reading goes on at the next. Called by `header` and `readers`.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_RECORD_BYTES = 16 * 1024 * 1024
# How much may be read twice because of broken quotes, before the rest of the file is given up.
REREAD_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Dialect:
    """What stands between cells, and around those that hold it."""

    delimiter: str = ","
    quote: str = '"'


@dataclass(frozen=True)
class Record:
    """The cells of one record, the line, from 1, on which it starts, and how many lines it has.

    `fault` instead of cells when it is broken.
    """

    line: int
    cells: tuple[str, ...]
    fault: str | None = None
    lines: int = 1


def records(file: BinaryIO, dialect: Dialect, *, line: int) -> Iterator[Record]:
    """Records from the file's position on, which is the start of line number `line`; empty lines are passed over."""
    reread = 0
    while True:
        start = file.tell()
        text, lines, closed = _collect(file, dialect)
        if not lines:
            return
        broken = (
            None if closed else "a quote is opened and not closed; close it, or double a quote that is meant"
        )
        cells: tuple[str, ...] = ()
        if broken is None and text.strip():
            cells, broken = _split(text, dialect)
        if broken is not None:
            yield Record(line, (), broken)
            reread += file.tell() - start
            if reread > REREAD_BYTES:
                yield Record(line + 1, (), "too many quotes are broken; the rest of the file was not read")
                return
            file.seek(start)
            _skip_line(file)
            line += 1
            continue
        if cells:
            yield Record(line, cells, lines=lines)
        line += lines


def _collect(file: BinaryIO, dialect: Dialect) -> tuple[str, int, bool]:
    """The text of one record, how many lines it has, and whether its quotes are closed."""
    parts: list[bytes] = []
    quote = dialect.quote.encode()
    size = quotes = escaped = 0
    while True:
        part = file.readline(MAX_RECORD_BYTES + 1)
        if not part:
            break
        parts.append(part)
        size += len(part)
        quotes += part.count(quote)
        escaped += part.count(b"\\" + quote)
        if size > MAX_RECORD_BYTES:
            return "", len(parts), False
        if quotes % 2 == 0:
            break
        if escaped % 2 and _reads(text := b"".join(parts).decode(), dialect, backslashes=True):
            return text, len(parts), True
    return b"".join(parts).decode(), len(parts), quotes % 2 == 0


def _skip_line(file: BinaryIO) -> None:
    while part := file.readline(MAX_RECORD_BYTES):
        if part.endswith(b"\n"):
            return


def _split(text: str, dialect: Dialect) -> tuple[tuple[str, ...], str | None]:
    if "\x00" in text:
        return (), "it holds a NUL character; remove it"
    try:
        return _cells(text, dialect, backslashes=False), None
    except csv.Error as error:
        # Databases and Spark put a backslash before a quote instead of a second one.
        if "\\" + dialect.quote in text and _reads(text, dialect, backslashes=True):
            return _cells(text, dialect, backslashes=True), None
        return (
            (),
            f"it cannot be read as CSV: {error}; put the whole cell into double quotes and double those inside",
        )


def _reads(text: str, dialect: Dialect, *, backslashes: bool) -> bool:
    try:
        return bool(_cells(text, dialect, backslashes=backslashes))
    except csv.Error:
        return False


def _cells(text: str, dialect: Dialect, *, backslashes: bool) -> tuple[str, ...]:
    """The cells of one record; raises csv.Error."""
    # The limit belongs to the process; records are bounded before they come here.
    csv.field_size_limit(MAX_RECORD_BYTES)
    if backslashes:
        # With backslashes goes their word for what is missing, of which the reader would leave an N.
        text = re.sub(
            rf"(?<![^{re.escape(dialect.delimiter)}])\\N(?=[{re.escape(dialect.delimiter)}\r\n]|$)",
            "NULL",
            text,
        )
    # Lines keep their ends, because a cell may hold several.
    found = list(
        csv.reader(
            io.StringIO(text, newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            doublequote=not backslashes,
            escapechar="\\" if backslashes else None,
            skipinitialspace=True,
            strict=True,
        )
    )
    if len(found) != 1:
        raise csv.Error("a line ends inside it")
    return tuple(found[0])
