"""Names in addresses of the API: they come back from the browser, and what is none must not become another path."""

import math
import re

from model_ui.api_errors import ApiRejected

NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
SHA256 = re.compile(r"[0-9a-f]{64}")
TOKEN_ID = re.compile(r"[0-9a-f]{12}")
# Of numbers in addresses and forms; beyond it Python itself reads no digits any more.
MOST_DIGITS = 9


def segment(name: str) -> str:
    """The name of an experiment or a deployment; raises ApiRejected when it is none."""
    if not NAME.fullmatch(name):
        raise ApiRejected(404, "name_invalid", "There is nothing of this name.")
    return name


def number(text: str) -> int | None:
    """A whole number as somebody wrote it; None for anything else."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def decimal(text: str) -> float | None:
    """A number as somebody wrote it, with a point or a comma; None for anything else, and for infinite ones."""
    try:
        found = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def input_segment(sha256: str) -> str:
    """The SHA-256 of an input; raises ApiRejected when it is none."""
    if not SHA256.fullmatch(sha256):
        raise ApiRejected(404, "input_unknown", "There is no such input.")
    return sha256


def token_segment(token_id: str) -> str:
    """The id of a token; raises ApiRejected when it is none."""
    if not TOKEN_ID.fullmatch(token_id):
        raise ApiRejected(404, "token_unknown", "There is no token of this id.")
    return token_id
