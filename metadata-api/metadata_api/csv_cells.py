"""Cells of CSV files that people open in spreadsheets."""


def cell(value: object) -> str:
    """A value as text that is no formula to a spreadsheet."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
