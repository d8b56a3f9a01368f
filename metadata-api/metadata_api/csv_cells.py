"""CSV files that people open in spreadsheets."""

import csv
import io
from collections.abc import Iterable


def cell(value: object) -> str:
    """A value as text that is no formula to a spreadsheet."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def lines(rows: Iterable[Iterable[str]]) -> str:
    """Rows of cells as lines of a file."""
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
