"""Tokens in addresses, and addresses that a login may lead on to; used by `login.Login`."""

import re
from urllib.parse import parse_qs, parse_qsl, urlencode

from model_ui.asgi import Scope

LONGEST = 2000
# Two slashes at the start would be another server. No space, no line's end: it becomes a header.
_ADDRESS = re.compile(r"/([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?)?(\?[!-~]*)?")


def token_in(scope: Scope) -> str | None:
    """The token in the query."""
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return query["token"][0] if "token" in query else None


def without_token(scope: Scope) -> str:
    """Path and query of a request without a token, below the root path."""
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    rest = urlencode([(key, value) for key, value in query if key != "token"])
    return inside(f"{scope['path']}?{rest}" if rest else scope["path"])


def inside(address: str) -> str:
    """The address, or `/` for one that could lead to another server or into another header."""
    return address if len(address) <= LONGEST and _ADDRESS.fullmatch(address) else "/"
