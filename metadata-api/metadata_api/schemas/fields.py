"""Field types that every body shares: what Postgres and JSON can both hold, and nothing else."""

import math
import unicodedata
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from serving_runtime.contracts import NAME_PATTERN

MAX_INT = 2**31 - 1
MAX_SCALARS = 100_000
MAX_KEYS = 200
SHA256 = r"^[0-9a-f]{64}$"


class Body(BaseModel):
    """Parent of request bodies: an unknown key is a mistake that should be heard of."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the NUL character")
    return value


def metric_name(value: str) -> str:
    """A metric's name in its composed form, so that what looks the same is the same; raises ValueError."""
    name = unicodedata.normalize("NFC", value)
    # Marks are parts of letters.
    if not name[:1].isalpha() or not all(
        one.isalnum() or one in "_./-" or unicodedata.category(one).startswith("M") for one in name
    ):
        raise ValueError("a metric's name has letters, digits and _ . / -, and begins with a letter")
    return name


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    for key, item in value.items():
        if "\x00" in key or len(key) > 200:
            raise ValueError("keys must be text of at most 200 characters without NUL")
        if isinstance(item, str):
            _no_nul(item)
            if len(item) > 10_000:
                raise ValueError(f"{key}: at most 10,000 characters")
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"{key}: must be a finite number")
        elif isinstance(item, int) and not isinstance(item, bool) and abs(item) > 2**63 - 1:
            raise ValueError(f"{key}: must fit into 64 bits")
        elif not isinstance(item, str | int | float | bool):
            raise ValueError(f"{key}: must be text, a number, true or false")
    if characters(value) > MAX_SCALARS:
        raise ValueError(f"all keys and values together may have {MAX_SCALARS:,} characters")
    return value


def _changes(value: dict[str, Any]) -> dict[str, Any]:
    _plain({key: True if item is None else item for key, item in value.items()})
    return value


def characters(scalars: dict[str, Any]) -> int:
    """Size of parameters or tags, in characters; a number counts as 8."""
    return sum(len(key) + (len(item) if isinstance(item, str) else 8) for key, item in scalars.items())


Name = Annotated[
    str, Field(pattern=NAME_PATTERN, description="A DNS label: a-z, 0-9 and -, at most 40 characters.")
]
ShortText = Annotated[str, Field(max_length=200), AfterValidator(_no_nul)]
Text = Annotated[str, Field(max_length=10_000), AfterValidator(_no_nul)]
LongText = Annotated[str, Field(max_length=100_000), AfterValidator(_no_nul)]
Scalars = Annotated[dict[str, Any], Field(max_length=MAX_KEYS), AfterValidator(_plain)]
NullableScalars = Annotated[dict[str, Any], Field(max_length=MAX_KEYS), AfterValidator(_changes)]
ScalarChanges = Annotated[
    dict[str, Any],
    Field(max_length=MAX_KEYS, description="Is merged into what is there; null removes a key."),
    AfterValidator(_changes),
]
NameInPath = Annotated[
    str, Path(pattern=NAME_PATTERN, description="A DNS label: a-z, 0-9 and -, at most 40 characters.")
]
NumberInPath = Annotated[int, Path(ge=1, le=MAX_INT)]
