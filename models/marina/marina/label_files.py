"""What `label` reads: a folder with one folder for each class, or a CSV with an input and what is right about it."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marina import files
from marina.errors import WrongUse

MAX_BYTES = 64 * 1024 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")
COLUMNS = ("sha256", "file", "label", "note")


@dataclass(frozen=True)
class Row:
    """One input, stored or in a file, and what is right about it."""

    where: str
    """How it is named in a report."""
    value: str
    sha256: str = ""
    file: Path | None = None
    note: str = ""
    problem: str = ""
    """Why it cannot be sent."""


def rows(path: Path) -> list[Row]:
    """All of a folder or a CSV; raises WrongUse for what is neither, and for one with nothing to label."""
    found = list(_folder(path) if path.is_dir() else _table(path))
    if not found:
        raise WrongUse(f"{path} has nothing to label: {_FORMS}")
    return found


_FORMS = "name a folder with a folder for each class, or a CSV with the columns sha256 or file, and label"


def _folder(path: Path) -> Iterator[Row]:
    for place in sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")):
        for file in sorted(place.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                yield Row(str(file.relative_to(path)), place.name, file=file)


def _table(path: Path) -> Iterator[Row]:
    try:
        text = files.content(path, MAX_BYTES, "split it").decode("utf-8-sig")
    except UnicodeError as error:
        raise WrongUse(f"{path} is not UTF-8 text: save it as UTF-8") from error
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        heads = table.fieldnames or []
        unknown = [head for head in heads if head not in COLUMNS]
        if unknown or "label" not in heads or not {"sha256", "file"} & set(heads):
            raise WrongUse(
                f"{path} has the columns {', '.join(heads) or 'of none'}: {_FORMS}, and note if you like"
            )
        for cells in table:
            yield _row(path, f"line {table.line_num}", {key: cells.get(key) or "" for key in COLUMNS})
    except csv.Error as error:
        raise WrongUse(f"{path} is no CSV (line {table.line_num}): {error}") from error


def _row(path: Path, where: str, cells: dict[str, str]) -> Row:
    sha256, file, value = (cells[name].strip() for name in ("sha256", "file", "label"))
    problem = ""
    if bool(sha256) == bool(file):
        problem = "name one of sha256 and file"
    elif sha256 and not SHA256.fullmatch(sha256):
        problem = f"{sha256[:80]!r} is no SHA-256"
    elif not value:
        problem = "its label is empty"
    # Beside the table, wherever the command is run.
    found = path.parent / file if file else None
    return Row(where, value, sha256, found, cells["note"].strip(), problem)
