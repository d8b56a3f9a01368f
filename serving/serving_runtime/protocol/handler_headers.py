"""Which headers of a request reach a handler, and which of a handler's headers reach the client: two allow-lists.

The front and the metadata API pass on the same ones. Credentials are on neither: no handler sees them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

PREFIX = "x-handler-"
"""Headers that begin so are between client and handler: both ways they are passed on."""
GIVEN = frozenset(
    (
        *("accept", "accept-language", "content-type", "user-agent"),
        *("x-request-id", "x-correlation-id", "traceparent", "tracestate"),
        *("ts_request_sequence_id", "ts_request_sequence_start", "ts_request_sequence_end"),
    )
)
"""Of a request, in lower case."""
RETURNED = frozenset(
    (
        *("content-language", "retry-after", "server-timing"),
        *("x-request-id", "x-correlation-id"),
    )
)
"""Of a response, in lower case. The content type of the rows is a parameter of the response instead."""
MEDIA_TYPE = "media_type"
"""The parameter of a v2 response that says what its rows' bytes are."""

_MAX_VALUE = 4096
_MAX_HEADERS = 32
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_VALUE = re.compile(r"[ -~]*")


class Returned(NamedTuple):
    """What a handler adds to a response: headers, by name in lower case, and v2 parameters."""

    headers: Mapping[str, str]
    parameters: Mapping[str, str]


class Headers(dict[str, str]):
    """Headers by name, whatever the case that somebody writes it in."""

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and super().__contains__(key.lower())

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)


def given(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Those of a request that its handler gets; names must be in lower case. Several of one name become a list."""
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        if name in GIVEN or name.startswith(PREFIX):
            text = value.decode("latin-1")[:_MAX_VALUE]
            found[name] = f"{found[name]}, {text}" if name in found else text
            if len(found) == _MAX_HEADERS:
                break
    return found


def is_returned(name: str) -> bool:
    """Whether a header of a handler reaches the client. `name` is in lower case."""
    return name in RETURNED or name.startswith(PREFIX)


def returned(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of a handler that reach the client, by name in lower case. Raises ValueError for what cannot be sent."""
    found = {}
    for key, value in headers.items():
        name = str(key).lower()
        if is_returned(name):
            if not _NAME.fullmatch(name) or not is_value(value):
                raise ValueError(f"the response header {name[:64]!r} has a value that no header can carry")
            found[name] = value
    if len(found) > _MAX_HEADERS:
        raise ValueError(f"at most {_MAX_HEADERS} response headers are passed on")
    return found


def read(found: Any) -> Returned:
    """What a worker says that its handler adds, which may be anything. Raises ValueError."""
    try:
        media_type = found.get("media_type", "")
        headers = returned(found.get("headers") or {})
    except (AttributeError, TypeError):
        raise ValueError("the worker's answer is broken: it adds no headers to the response") from None
    if not is_value(media_type):
        raise ValueError("the response content type has a value that no header can carry")
    return Returned(headers, {MEDIA_TYPE: media_type} if media_type else {})


def is_value(value: object) -> bool:
    """Whether it is printable ASCII of at most 4096 characters."""
    return isinstance(value, str) and len(value) <= _MAX_VALUE and _VALUE.fullmatch(value) is not None
