"""CloudEvents 1.0 over HTTP as the serving front and KServe's agent send them; called by the route for recordings.

Binary mode has one event, its attributes in headers `ce-...` and the v2 body as it went over the wire. Structured and
batched mode have JSON: a v2 body in JSON is the event's `data`, one with binary tensors its `data_base64`. Pure.
"""

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from metadata_api.errors import Invalid
from serving_runtime.contracts import EVENT_BATCH, EVENT_JSON_SIZE, EVENT_OF_REQUEST, EVENT_OF_RESPONSE
from serving_runtime.protocol import binary

MAX_EVENTS = 1000
"""In one HTTP request."""
_STRUCTURED = "application/cloudevents+json"
# The ids of callers of KServe's agent may be any text; of these the uuid is made, for each deployment its own.
_FOREIGN = UUID("6f1e8f3a-6b0e-5c57-9a53-0c6f6a5f2d11")
_MAX_ID = 1024
# Components of an InferenceService that are asked other things than the model; their agents pass the same ids on.
_NO_MODELS = ("transformer", "explainer")
# Python reads microseconds; the agent writes nanoseconds.
_FINER = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class Event:
    """One v2 body, of a request or of its answer."""

    id: UUID
    """Shared by a request and its answer."""
    is_request: bool
    version: str
    """The version that was asked, where the sender knows it; empty else."""
    at: datetime | None
    body: bytes
    json_size: int | None
    """The length of the JSON before binary tensors, where the sender says it."""


def read(deployment: str, headers: Mapping[str, str], body: bytes) -> list[Event]:
    """The events of an HTTP request, in any of the three modes; raises Invalid for the whole of it."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == EVENT_BATCH:
        listed = _document(body)
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise _invalid("A batch is a JSON list of events.")
        if len(listed) > MAX_EVENTS:
            raise _invalid(f"A batch has at most {MAX_EVENTS} events. Send several.")
        return [_structured(deployment, item, f"Event {at}: ") for at, item in enumerate(listed)]
    if media_type == _STRUCTURED:
        item = _document(body)
        if not isinstance(item, dict):
            raise _invalid("A structured event is a JSON object.")
        return [_structured(deployment, item, "")]
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    size = attributes.get(EVENT_JSON_SIZE) or headers.get(binary.HEADER.lower())
    return [_event(deployment, attributes, body, size, "")]


def _document(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise _invalid("The body is no JSON, as its content type says.") from None


def _structured(deployment: str, item: dict[str, Any], where: str) -> Event:
    encoded = item.get("data_base64")
    if encoded is not None:
        try:
            body = binascii.a2b_base64(encoded, strict_mode=True)
        except (TypeError, ValueError):
            raise _invalid(f"{where}data_base64 is no base64.") from None
    else:
        data = item.get("data")
        body = data.encode("utf-8", "replace") if isinstance(data, str) else orjson.dumps(data)
    return _event(deployment, item, body, item.get(EVENT_JSON_SIZE), where)


def _event(deployment: str, attributes: Mapping[str, Any], body: bytes, size: Any, where: str) -> Event:
    version = attributes.get("specversion")
    if version != "1.0":
        raise _invalid(f"{where}specversion is {_shown(version)}; send CloudEvents 1.0.")
    kind = attributes.get("type")
    if kind not in (EVENT_OF_REQUEST, EVENT_OF_RESPONSE):
        raise _invalid(f"{where}type is {_shown(kind)}; send {EVENT_OF_REQUEST} or {EVENT_OF_RESPONSE}.")
    identity = attributes.get("id")
    if not isinstance(identity, str) or not 0 < len(identity) <= _MAX_ID:
        raise _invalid(f"{where}id must be a text of 1 to {_MAX_ID} characters.")
    if not isinstance(attributes.get("source"), str):
        raise _invalid(f"{where}source is missing.")
    component = attributes.get("component")
    if component in _NO_MODELS:
        raise _invalid(f"{where}component is {component}; set the logger of the predictor alone.")
    served = attributes.get("modelversion", "")
    return Event(
        id=_uuid(deployment, identity),
        is_request=kind == EVENT_OF_REQUEST,
        version=served if isinstance(served, str) and served.isascii() and len(served) < 10 else "",
        at=_time(attributes.get("time"), where),
        body=body,
        json_size=_size(size, where),
    )


def _uuid(deployment: str, identity: str) -> UUID:
    try:
        return UUID(identity)
    except ValueError:
        return uuid5(_FOREIGN, json.dumps([deployment, identity]))


def _time(value: Any, where: str) -> datetime | None:
    """The time in UTC; None where there is none."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(_FINER.sub(r"\1", value))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise _invalid(f"{where}time is {_shown(value)}; send RFC 3339.") from None


def _size(value: Any, where: str) -> int | None:
    if value is None:
        return None
    text = str(value)
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        raise _invalid(f"{where}{EVENT_JSON_SIZE} is {_shown(value)}; send the length of the JSON.")
    return int(text)


def _shown(value: Any) -> str:
    return "missing" if value is None else ascii(value)[:60]


def _invalid(detail: str) -> Invalid:
    return Invalid("event_invalid", detail)
