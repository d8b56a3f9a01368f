"""How values stand in an environment variable; shared by the groups of settings."""

import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MEBIBYTE = 1024 * 1024


class Environment(BaseSettings):
    """Settings of the API: every value has the prefix METADATA_API_ in the environment; none is read at import."""

    model_config = SettingsConfigDict(
        env_prefix="METADATA_API_", env_nested_delimiter="_", env_nested_max_split=1, frozen=True
    )


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
