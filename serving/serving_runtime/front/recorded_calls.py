"""One recorded call of a model, and the two CloudEvents that it is sent as.

They are what the agent of KServe sends (types, extensions, one id for request and response), in CloudEvents' batched
mode, because one request for each event would cost more than the call itself.
"""

import binascii
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import orjson

from serving_runtime.contracts import EVENT_JSON_SIZE, EVENT_OF_REQUEST, EVENT_OF_RESPONSE

_SIZE = EVENT_JSON_SIZE.encode()


class Part(NamedTuple):
    """The body of the request or of the response, not compressed."""

    body: bytes
    json_size: int | None
    """Inference-Header-Content-Length; None for a body that is JSON alone."""
    at: float
    """When it was complete, in seconds since 1970."""


class Call(NamedTuple):
    """What is recorded of one request."""

    url: str
    """Where it goes."""
    id: str
    namespace: str
    model: str
    version: str
    request: Part
    response: Part | None
    """None where only inputs are recorded."""

    @property
    def size(self) -> int:
        """Bytes of its bodies."""
        return len(self.request.body) + (len(self.response.body) if self.response is not None else 0)


def events(call: Call) -> bytes:
    """The request's event, a comma and the response's, as JSON; one event without a response."""
    pieces = _event(call, EVENT_OF_REQUEST, call.request)
    if call.response is not None:
        pieces = [*pieces, b",", *_event(call, EVENT_OF_RESPONSE, call.response)]
    return b"".join(pieces)


def _event(call: Call, kind: str, part: Part) -> list[bytes]:
    return [
        _head(kind, call.namespace, call.model, call.version),
        b',"id":"',
        call.id.encode(),
        b'","time":"',
        datetime.fromtimestamp(part.at, UTC).isoformat().encode(),
        b'","datacontenttype":"application/json"'
        if part.json_size is None
        else b'","datacontenttype":"application/octet-stream","%b":%d' % (_SIZE, part.json_size),
        # Of JSON too: so nothing that a client nests in its body can make the batch unreadable.
        b',"data_base64":"',
        binascii.b2a_base64(part.body, newline=False),
        b'"}',
    ]


@lru_cache(maxsize=256)
def _head(kind: str, namespace: str, model: str, version: str) -> bytes:
    """The attributes that all events of a kind have, as the beginning of a JSON object."""
    attributes = {
        "specversion": "1.0",
        "type": kind,
        "source": f"/v2/models/{model}",
        "inferenceservicename": model,
        "namespace": namespace,
        "component": "predictor",
        "endpoint": "default",
        "modelversion": version,
    }
    return orjson.dumps(attributes)[:-1]
