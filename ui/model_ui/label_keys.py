"""A key for each class, for whoever labels: on the page Label and beside the answers on Try."""

import string
from collections.abc import Sequence
from dataclasses import dataclass

# Answered with keys: more classes are typed.
MOST_KEYS = 36
_DIGITS = "1234567890"
# `u` and `s` take back and skip, unless a class is called so.
_LETTERS = "".join(letter for letter in string.ascii_lowercase if letter not in "us")


@dataclass(frozen=True)
class Choice:
    """One class, and the key that says it."""

    label: str
    key: str


def choices(labels: Sequence[str]) -> list[Choice]:
    """A key for each class: the class itself where all are one character, else digits, else letters.

    No key is that of two classes: of `a` and `A` neither is its own.
    """
    if all(len(one) == 1 and one.isalnum() for one in labels) and len({*map(str.lower, labels)}) == len(
        labels
    ):
        return [Choice(one, one.lower()) for one in labels]
    keys = _DIGITS if len(labels) <= len(_DIGITS) else _LETTERS
    return [Choice(one, keys[at] if at < len(keys) else "") for at, one in enumerate(labels)]
