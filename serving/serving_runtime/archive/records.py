"""The JSON files that an archive may hold, and the records of its training as far as others rely on their form."""

import json
import math
import sys
from typing import Any, BinaryIO, TypeGuard

from serving_runtime.archive import zip_reader
from serving_runtime.archive.errors import MarError


def read_json(file: BinaryIO, entry: zip_reader.Entry, limit: int, code: str) -> dict[str, Any]:
    """The JSON object that a file of an archive holds. Raises MarError with `code`."""
    body = zip_reader.read(file, entry, limit)
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise MarError(code, f"{entry.name} is not readable as JSON: {str(error)[:200]}.") from None
    if not isinstance(value, dict):
        raise MarError(code, f"{entry.name} must be a JSON object.")
    return value


def check_golden(golden: dict[str, Any] | None) -> None:
    """golden.json: a v2 request and its response. Raises MarError."""
    if golden is None:
        return
    for side, tensors in (("request", "inputs"), ("response", "outputs")):
        found = golden.get(side)
        if not isinstance(found, dict) or not isinstance(found.get(tensors), list) or not found[tensors]:
            raise MarError("bad_golden", f"golden.json must have {side}.{tensors}, a list of v2 tensors.")


def check_training(training: dict[str, Any] | None) -> None:
    """training.json: metrics and curves are finite numbers. Raises MarError."""
    for name, value in _section(training, "metrics").items():
        if not _is_number(value):
            raise _bad_training(f"the metric {name[:60]!r} must be a finite number")
    for name, curve in _section(training, "curves").items():
        steps, values = (curve.get("steps"), curve.get("values")) if isinstance(curve, dict) else (None, None)
        if not _are_numbers(steps) or not _are_numbers(values) or len(steps) != len(values):
            raise _bad_training(f"the curve {name[:60]!r} must be equally long lists of steps and values")


def _section(training: dict[str, Any] | None, key: str) -> dict[str, Any]:
    section = (training or {}).get(key, {})
    if not isinstance(section, dict):
        raise _bad_training(f"{key} must be a JSON object")
    return section


def _are_numbers(value: object) -> TypeGuard[list[float]]:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    # Compared, because `isfinite` raises for an integer that no float holds.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _bad_training(what: str) -> MarError:
    return MarError("bad_training", f"training.json: {what}.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ on which of two equal keys counts."""
    keys = dict(pairs)
    if len(keys) < len(pairs):
        raise ValueError("a key is given twice")
    return keys


def _finite(text: str) -> float:
    """Python reads 1e999 as infinity, which neither JSON nor a database has."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is larger than any number can be")
    return number


def _no_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
