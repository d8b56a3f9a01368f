"""The fields of a model spec, read strictly: each error says which one is wrong and what to write instead."""

import math
import re
from typing import Any

from serving_runtime.contracts import DATATYPES


class ModelSpecError(ValueError):
    """The model spec cannot be used; the text says which line or key and what to write instead."""


def mapping(
    value: object, where: str, *, required: tuple[str, ...] = (), known: tuple[str, ...]
) -> dict[str, Any]:
    """A mapping that has the required keys and no unknown one."""
    if not isinstance(value, dict):
        raise ModelSpecError(f"{where} must be a mapping with the keys {', '.join(required or known)}")
    strange = sorted(str(key) for key in value if key not in known)
    if strange:
        raise ModelSpecError(f"{where} has the unknown key {strange[0][:60]!r}; known are {', '.join(known)}")
    missing = [key for key in required if key not in value]
    if missing:
        raise ModelSpecError(f"{where} has no {missing[0]!r}; add it")
    return value


def line(value: object, where: str, longest: int = 500) -> str:
    """One line of text."""
    if not isinstance(value, str) or len(value) > longest or not (value.isprintable() or not value):
        raise ModelSpecError(f"{where} must be one line of text (in quotes) of at most {longest} characters")
    return value


def lines(value: object, where: str, longest: int = 4000) -> str:
    """Text of any number of lines."""
    plain = value.replace("\n", " ").replace("\t", " ") if isinstance(value, str) else ""
    if not isinstance(value, str) or len(value) > longest or not (plain.isprintable() or not plain):
        raise ModelSpecError(f"{where} must be a text (in quotes) of at most {longest} characters")
    return value


def match(value: object, where: str, pattern: re.Pattern[str], shape: str) -> str:
    """A text that a pattern fits wholly; `shape` says the pattern in words."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ModelSpecError(f"{where} must be {shape}")
    return value


def choice(value: object, where: str, choices: tuple[str, ...]) -> str:
    """One of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ModelSpecError(f"{where} must be one of {', '.join(choices)}")
    return value


def whole(value: object, where: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ModelSpecError(f"{where} must be a whole number from {least} to {most}")
    return value


def number(value: object, where: str) -> float:
    """A finite number that a float holds."""
    fits = isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)
    if not fits or isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelSpecError(f"{where} must be a finite number")
    return value


def datatype(value: object, where: str) -> str:
    """One of the protocol's datatypes."""
    return choice(value, where, DATATYPES)


def tensor_shape(value: object, where: str) -> tuple[int, ...]:
    """A shape that starts with the batch."""
    if not isinstance(value, list) or not 1 <= len(value) <= 8 or value[0] != -1:
        raise ModelSpecError(f"{where} must be a list of 1 to 8 numbers that starts with -1, the batch")
    return (-1, *(whole(item, where, 1, 1_000_000) for item in value[1:]))


def label_texts(value: object, where: str) -> tuple[str, ...]:
    """A list of texts without doubles."""
    if not isinstance(value, list) or len(value) > 10_000:
        raise ModelSpecError(f'{where} must be a list of texts, such as ["0", "1"]')
    labels = tuple(line(item, where, longest=200) for item in value)
    if len(set(labels)) < len(labels):
        raise ModelSpecError(f"{where} names one class twice; give each class its own label")
    return labels
