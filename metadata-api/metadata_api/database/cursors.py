"""Cursors of sorted lists, as text: which list they are of and what its page ended with. A caller may write any."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from metadata_api.errors import Invalid

Last = TypeVar("Last")


def encode(made_for: str, last: Sequence[Any]) -> str:
    """What a page ended with, as text; `made_for` says which list it belongs to."""
    return base64.urlsafe_b64encode(json.dumps([made_for, *last]).encode()).decode()


def decode(cursor: str, made_for: str, read: Callable[[list[Any]], Last]) -> Last:
    """What `read` makes of what `encode` was given for this list.

    Raises Invalid for anything else, and where `read` raises ValueError, TypeError or OverflowError.
    """
    try:
        found, *last = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if found != made_for:
            raise ValueError("made for another list")
        return read(last)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        detail = "The cursor is not one of this list in this order. Start again without it."
        raise Invalid("bad_cursor", detail) from error
