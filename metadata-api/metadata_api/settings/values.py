"""How values stand in an environment variable; shared by the groups of settings."""

import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

MEBIBYTE = 1024 * 1024


def words(value: object) -> object:
    """Words separated by commas, or a JSON list."""
    if not isinstance(value, str):
        return value
    words = json.loads(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(words, Sequence):
        raise ValueError("give words separated by commas, or a JSON list of them")
    return tuple(word.strip() if isinstance(word, str) else word for word in words if word != "")


def none_if_empty(value: object) -> object:
    """An empty variable says nothing."""
    return None if value == "" else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)]
