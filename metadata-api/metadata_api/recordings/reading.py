"""Recorded v2 bodies row by row: inputs that people can look at, and outputs; called by `storing`. Pure."""

import json
import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from metadata_api.errors import MarinaError
from metadata_api.predicting import inputs
from metadata_api.predicting.base import ParsedInput
from metadata_api.predicting.v2_client import ModelOutput
from metadata_api.recordings.events import Event
from serving_runtime.archive.interface import Interface
from serving_runtime.errors import InvalidRequest
from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import Tensor

T = TypeVar("T")
MAX_ROWS = 100
"""Of one request; what follows them is not recorded."""
MAX_UNPACKED = 64 * 1024 * 1024
"""Of one body, in bytes."""


class Unreadable(Exception):
    """Why nothing can be made of a body."""


def inputs_of(event: Event, taken: Interface) -> list[ParsedInput]:
    """The rows of a request to a model with this interface, at most MAX_ROWS; raises Unreadable."""
    request = _read(
        event, lambda body, size: rest.decode_request(body, taken.inputs, taken.outputs, json_size=size)
    )
    count = min(request.rows, MAX_ROWS)
    try:
        return [
            inputs.of_row([_row(tensor, at) for tensor in request.inputs], taken.inputs)
            for at in range(count)
        ]
    except MarinaError as error:
        raise Unreadable(error.detail) from None


def outputs_of(event: Event, rows: int) -> list[ModelOutput]:
    """What a model answered to each of the first `rows` rows; raises Unreadable."""
    response = _read(event, rest.parse_response)
    counts = {tensor.shape[0] if tensor.shape else 0 for tensor in response.outputs.values()}
    if len(counts) != 1 or min(counts) < rows:
        raise Unreadable("its outputs have other rows than the request")
    version = str(response.model_version or event.version)[:100]
    return [
        ModelOutput(version, {name: _row(tensor, at) for name, tensor in response.outputs.items()})
        for at in range(rows)
    ]


def _read(event: Event, read: Callable[[bytes, int | None], T]) -> T:
    """The body with the length of its JSON that the sender said, else with the one that is found; raises Unreadable."""
    body = _unpacked(event.body)
    try:
        return read(body, event.json_size)
    except (InvalidRequest, rest.InvalidResponse) as error:
        size = _json_size(body) if event.json_size is None else None
        if size is None:
            raise Unreadable(str(error)) from None
    try:
        return read(body, size)
    except (InvalidRequest, rest.InvalidResponse) as error:
        raise Unreadable(str(error)) from None


def _unpacked(body: bytes) -> bytes:
    """The body without gzip or deflate, in which KServe's agent copies it from the wire without its Content-Encoding.

    No v2 body begins as these do. Raises Unreadable.
    """
    if body.startswith(b"\x1f\x8b"):
        window = 31
    elif body[:1] == b"\x78" and int.from_bytes(body[:2]) % 31 == 0:
        window = 15
    else:
        return body
    stream = zlib.decompressobj(window)
    try:
        found = stream.decompress(body, MAX_UNPACKED)
    except zlib.error as error:
        raise Unreadable(f"it is packed, and broken: {error}") from None
    if not stream.eof:
        raise Unreadable(f"it is packed, and not whole within {MAX_UNPACKED} bytes")
    return found


def _json_size(body: bytes) -> int | None:
    """The length of the JSON before binary tensors, which KServe's agent does not say; None where none follow."""
    try:
        # One character for each byte, so that the place in the text is that in the body.
        _, size = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    except (ValueError, RecursionError):
        return None
    return size if size < len(body) else None


def _row(tensor: Tensor, at: int) -> Tensor:
    """One row of a tensor, as a tensor of one row."""
    rows = tensor.shape[0]
    size = len(tensor.data) // rows
    data: bytes | Sequence[bytes] = tensor.data[at * size : (at + 1) * size]
    kept = data if isinstance(data, bytes) else list(data)
    return Tensor(tensor.name, tensor.datatype, (1, *tensor.shape[1:]), kept)
