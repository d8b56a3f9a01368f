"""Cursors of sorted lists as text: where a page ends. A caller may write one, so all that is in it is checked."""

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from metadata_api.errors import Invalid


def encode(made_for: str, values: Sequence[object]) -> str:
    """What a page ends with, as text; `made_for` says which list it belongs to."""
    return base64.urlsafe_b64encode(json.dumps([made_for, *values]).encode()).decode()


@contextmanager
def decoded(cursor: str, made_for: str) -> Iterator[list[Any]]:
    """The values that `encode` wrote for this list, to be checked in the block.

    Raises Invalid for anything else, and in place of the ValueError or TypeError of a check.
    """
    try:
        made, *values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if made != made_for:
            raise ValueError("made for another list")
        yield values
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        detail = "The cursor is not one of this list in this order. Start again without it."
        raise Invalid("bad_cursor", detail) from error
