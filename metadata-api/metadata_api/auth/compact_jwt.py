"""Reads a compact JWT before anything of it is verified, to see whose it claims to be; nothing here may be believed."""

import base64
import binascii
import re
from typing import Any, NamedTuple

import orjson

# An access token with many groups has some kilobytes.
MAX_BYTES = 16 * 1024
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class Claimed(NamedTuple):
    """What a token says of itself."""

    header: dict[str, Any]
    claims: dict[str, Any]


def read(token: str) -> Claimed | None:
    """Header and claims; None for what is no compact JWT, or has more than 16 KB."""
    if len(token) > MAX_BYTES or not _FORM.fullmatch(token):
        return None
    header, claims = (_object(part) for part in token.split(".")[:2])
    return Claimed(header, claims) if header is not None and claims is not None else None


def _object(part: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (orjson.JSONDecodeError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None
