"""The example that a model is packed with: an image file, arrays, a row of a table, or a text."""

import csv
import io
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marina import files
from marina.errors import WrongUse
from serving_runtime.contracts import IMAGE_MAGIC

Array = npt.NDArray[Any]
MAX_BYTES = 256 * 1024 * 1024
MAX_CATEGORIES = 100
# What stands for a missing value where pandas reads a CSV.
MISSING = frozenset(("", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))


@dataclass(frozen=True)
class Example:
    """What a request to the model will be like; one of the four is there."""

    kind: str
    image: bytes = b""
    text: str = ""
    arrays: dict[str, Array] = field(default_factory=dict)
    """Of a tensor model, in the order of its arguments; whether a batch comes first is not known yet."""
    columns: list[dict[str, Any]] = field(default_factory=list)
    """Of a table: name, example, minimum and maximum or categories of what the file shows, `optional` where it lacks
    a value."""

    @property
    def row(self) -> Array:
        """A table's row as numbers, float32 [columns]; a category is its index."""
        return np.array([_number(column) for column in self.columns], np.float32)

    def without(self, names: list[str]) -> "Example":
        """Without these columns. Raises WrongUse when one is not there."""
        if missing := set(names) - {column["name"] for column in self.columns}:
            raise WrongUse(f"the example has no column {sorted(missing)[0]!r} to drop")
        return replace(self, columns=[column for column in self.columns if column["name"] not in names])

    def unbounded(self) -> "Example":
        """Without the ranges that the file shows: a value outside them may be as good."""
        kept = ("name", "categories", "example", "optional")
        return replace(self, columns=[{key: one[key] for key in kept if key in one} for one in self.columns])


def read(path: Path) -> Example:
    """Read an example. Raises WrongUse."""
    content = files.content(path, MAX_BYTES, "take another example")
    if content.startswith(tuple(IMAGE_MAGIC)):
        return Example("image", image=content)
    match path.suffix.lower():
        case ".npy" | ".npz":
            return Example("tensor", arrays=_arrays(path, content))
        case ".json":
            return _json(path, _text(path, content))
        case ".csv":
            return Example("table", columns=_table(path, _text(path, content)))
        case ".txt":
            return Example("text", text=_text(path, content).rstrip("\r\n"))
    raise WrongUse(
        f"{path} is no example that is known here: take a PNG or JPEG, .npy, .npz, .json, .csv with a header, or .txt"
    )


def plain(array: Array) -> Array:
    """float64 as float32, as models want it; everything else as it is."""
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _arrays(path: Path, content: bytes) -> dict[str, Array]:
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = (
            {"input": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
        )
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise WrongUse(
            f"{path} is no array without pickles: write it by numpy.save or numpy.savez"
        ) from error
    return _checked(path, arrays)


def _json(path: Path, text: str) -> Example:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrongUse(f"{path} is no JSON: {str(error)[:100]}") from error
    if isinstance(found, str):
        return Example("text", text=found)
    if isinstance(found, dict) and isinstance(found.get("inputs"), list):
        return Example("tensor", arrays=_checked(path, _v2(path, found["inputs"])))
    if isinstance(found, dict) and found and not any(isinstance(one, list) for one in found.values()):
        return Example("table", columns=[_column(path, name, [value]) for name, value in found.items()])
    named = found if isinstance(found, dict) else {"input": found}
    return Example("tensor", arrays=_checked(path, {name: _nested(path, one) for name, one in named.items()}))


def _v2(path: Path, tensors: list[Any]) -> dict[str, Array]:
    try:
        return {
            one["name"]: np.array(one["data"], one["datatype"].lower().replace("fp", "float")).reshape(
                one["shape"]
            )
            for one in tensors
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WrongUse(f"{path} has inputs that are no v2 tensors of numbers: {error}") from error


def _nested(path: Path, value: Any) -> Array:
    try:
        array = np.array(value)
    except ValueError as error:
        raise WrongUse(f"{path} has lists of unequal length: write them as one array") from error
    return array


def _checked(path: Path, arrays: dict[str, Array]) -> dict[str, Array]:
    if not arrays:
        raise WrongUse(f"{path} has no array: write at least one")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.size == 0:
            raise WrongUse(f"{path}: {name} is no array of numbers")
    return {name: plain(array) for name, array in arrays.items()}


def _table(path: Path, text: str) -> list[dict[str, Any]]:
    """The columns, with what all rows of the file show of them; the first row is the example."""
    try:
        dialect = csv.Sniffer().sniff(text[:4096], ",;\t")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if row]
    except csv.Error as error:
        raise WrongUse(f"{path} is no CSV: {error}") from error
    if len(rows) < 2:
        raise WrongUse(f"{path} needs a line with the names of the columns, and a row below it")
    names = [name.strip() for name in rows[0]]
    if len(set(names)) < len(names) or not all(names):
        raise WrongUse(f"{path} needs a different name for each column in its first line")
    if wrong := [at for at, row in enumerate(rows, 1) if len(row) != len(names)]:
        raise WrongUse(f"{path}: row {wrong[0]} has not {len(names)} values")
    return [_column(path, name, [row[at] for row in rows[1:]]) for at, name in enumerate(names)]


def _column(path: Path, name: str, values: list[Any]) -> dict[str, Any]:
    known = [value for value in values if not _is_missing(value)]
    column: dict[str, Any] = {"name": name} | ({"optional": True} if len(known) < len(values) else {})
    numbers = [number for value in known if (number := _as_number(value)) is not None]
    if len(numbers) == len(known):
        example: float | str = numbers[0] if numbers else ""
        column |= {"minimum": min(numbers), "maximum": max(numbers)} if numbers else {}
    else:
        example = str(known[0])
        column["categories"] = sorted({str(value) for value in known})
        if len(column["categories"]) > MAX_CATEGORIES:
            raise WrongUse(
                f"{path}: {name} has more than {MAX_CATEGORIES} different texts, which is no category"
            )
    return column if _is_missing(values[0]) else column | {"example": example}


def _is_missing(value: Any) -> bool:
    return value is None or str(value).strip() in MISSING


def _as_number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _number(column: dict[str, Any]) -> float:
    if "categories" in column:
        return float(column["categories"].index(column["example"]))
    return float(column["example"])


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeError as error:
        raise WrongUse(f"{path} is not UTF-8: save it as UTF-8") from error
