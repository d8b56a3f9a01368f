"""CSV as lines and records: physical line numbers that are right, and quotes that cannot swallow a file.

Python's reader takes an unclosed quote as the start of a cell that reaches to the end of the file. Here such a record
costs its own line only: reading goes on at the next. Called by `readers`.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_RECORD_BYTES = 16 * 1024 * 1024
# How much may be read twice because of broken quotes, before the rest of the file is given up.
REREAD_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Record:
    """The cells of one record and the line, from 1, on which it starts; `fault` instead of cells when it is broken."""

    line: int
    cells: tuple[str, ...]
    fault: str | None = None


def records(file: BinaryIO, delimiter: str, *, line: int) -> Iterator[Record]:
    """Records from the file's position on, which is the start of line number `line`; empty lines are passed over."""
    reread = 0
    while True:
        start = file.tell()
        text, lines, closed = _collect(file)
        if not lines:
            return
        broken = (
            None if closed else "a quote is opened and not closed; close it, or double a quote that is meant"
        )
        cells: tuple[str, ...] = ()
        if broken is None and text.strip():
            cells, broken = _split(text, delimiter)
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
            yield Record(line, cells)
        line += lines


def _collect(file: BinaryIO) -> tuple[str, int, bool]:
    """The text of one record, how many lines it has, and whether its quotes are closed."""
    parts: list[bytes] = []
    size = quotes = 0
    while True:
        part = file.readline(MAX_RECORD_BYTES + 1)
        if not part:
            break
        parts.append(part)
        size += len(part)
        quotes += part.count(b'"')
        if size > MAX_RECORD_BYTES:
            return "", len(parts), False
        if quotes % 2 == 0:
            break
    return b"".join(parts).decode(), len(parts), quotes % 2 == 0


def _skip_line(file: BinaryIO) -> None:
    while part := file.readline(MAX_RECORD_BYTES):
        if part.endswith(b"\n"):
            return


def _split(text: str, delimiter: str) -> tuple[tuple[str, ...], str | None]:
    if "\x00" in text:
        return (), "it holds a NUL character; remove it"
    # The limit belongs to the process; records are bounded before they come here.
    csv.field_size_limit(MAX_RECORD_BYTES)
    try:
        # Lines keep their ends, because a cell may hold several.
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return (), f"it cannot be read as CSV: {error}"
    return tuple(cell for row in found for cell in row) if len(found) == 1 else (), (
        None if len(found) == 1 else "it cannot be read as CSV: a line ends inside it"
    )
