"""The JSON of a body: one object, with no more objects in it than a request can need.

Of a key given twice the last one counts, as in most parsers: no second one stands behind the front.
"""

from typing import Any

import orjson

from serving_runtime.errors import InvalidRequest

MAX_OBJECTS = 1000


def load(text: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises InvalidRequest."""
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


def _without_strings(text: bytes) -> bytes:
    # In valid JSON a quote that is not escaped begins or ends a string.
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(plain.split(b'"')[::2])
