"""Addresses of pages with their state in the query string; used by the templates and the pages."""

from collections.abc import Iterable
from urllib.parse import urlencode

Value = str | int | Iterable[str] | None


def query(**values: Value) -> str:
    """The query string of values; empty ones are left out, several are joined by commas."""
    pairs = []
    for name, value in values.items():
        written = _written(value)
        if written:
            pairs.append((name, written))
    # Commas and slashes are allowed in a query and read better.
    return urlencode(pairs, safe=",:/")


def address(path: str, **values: Value) -> str:
    """Path and query."""
    found = query(**values)
    return f"{path}?{found}" if found else path


def names(text: str) -> list[str]:
    """The different names of a list with commas, in its order."""
    return list(dict.fromkeys(part for part in (part.strip() for part in text.split(",")) if part))


def _written(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    return ",".join(value)
