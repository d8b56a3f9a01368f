"""JSON that every parser reads alike: one object, no key twice, no more objects than a request can need."""

from typing import Any

import orjson

from serving_runtime.errors import InvalidRequest

MAX_OBJECTS = 1000
_CONTAINERS = (dict, list)


def load(text: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises InvalidRequest; keys given twice are found by `reject_duplicate_keys`."""
    # A request has a few objects for each tensor; making a hundred thousand of them takes half a second.
    if text.count(b"{") > MAX_OBJECTS and _without_strings(text).count(b"{") > MAX_OBJECTS:
        raise InvalidRequest("the request has too many inputs, outputs or parameters")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not valid JSON: {str(error)[:200]}") from None
    if type(document) is not dict:
        raise InvalidRequest("the body must be a JSON object")
    return document


def reject_duplicate_keys(text: bytes, document: dict[str, Any]) -> None:
    """A key given twice would be read differently by two parsers.

    orjson keeps the last one silently. Every key is followed by a colon, so counting both is enough; colons
    inside strings are rare in requests and are dealt with on the second look. Every `data` in the document
    must have been read into a tensor. Raises InvalidRequest.
    """
    keys = _count_keys(document)
    if text.count(b":") != keys and _without_strings(text).count(b":") != keys:
        raise InvalidRequest("the request gives a key twice")


def _count_keys(document: dict[str, Any]) -> int:
    count = 0
    pending: list[Any] = [document]
    for value in pending:  # grows while it is read
        if type(value) is dict:
            count += len(value)
            for key, item in value.items():
                # `data` was read into a tensor, so it holds no objects; it is by far the longest list.
                if type(item) in _CONTAINERS and key != "data":
                    pending.append(item)
        else:
            for item in value:
                if type(item) in _CONTAINERS:
                    pending.append(item)
    return count


def _without_strings(text: bytes) -> bytes:
    # In valid JSON a quote that is not escaped begins or ends a string.
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(plain.split(b'"')[::2])
