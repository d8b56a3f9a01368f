"""What travels between the front and a model's worker: a JSON header and raw tensors behind it, both ways.

Layout: uint32 length of the header, the header (JSON with `tensors`: name, datatype, shape, size in bytes), then
the tensors back to back. Numbers are little-endian and row-major; a BYTES element is a uint32 length and the bytes.
One frame carries a whole batch: `rows` in the header says how many rows each of its requests has.
On a stream each frame is preceded by its size, again a uint32.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from serving_runtime.protocol.tensors import Tensor, pack_elements, unpack_elements

SIZE = struct.Struct("<I")
MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Of the outputs of one request, as they stand in a frame; a longer answer is an error of the model."""


class BrokenFrame(ValueError):
    """The other side sent something that is not a frame."""


def encode(header: dict[str, Any], tensors: Iterable[Tensor]) -> list[bytes]:
    """Return the parts of a frame, to be written one after another (no copy of large tensors)."""
    raws = [(tensor, _raw(tensor)) for tensor in tensors]
    listed = [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "size": len(raw)}
        for tensor, raw in raws
    ]
    text = orjson.dumps({**header, "tensors": listed})
    return [SIZE.pack(len(text)), text, *(raw for _, raw in raws)]


def sized(parts: Sequence[bytes]) -> list[bytes]:
    """The parts of a frame with its size before them, as a stream carries it."""
    return [SIZE.pack(sum(map(len, parts))), *parts]


def join_requests(requests: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Join the tensors of several requests along their first dimension; all must agree in the others."""
    if len(requests) <= 1:
        return list(requests[0]) if requests else []
    joined = []
    for pieces in zip(*requests, strict=True):
        first = pieces[0]
        data: bytes | list[bytes]
        if isinstance(first.data, list):
            data = [element for piece in pieces for element in piece.data if isinstance(element, bytes)]
        else:
            data = b"".join([piece.data for piece in pieces if isinstance(piece.data, bytes)])
        shape = (sum(piece.shape[0] for piece in pieces), *first.shape[1:])
        joined.append(Tensor(first.name, first.datatype, shape, data))
    return joined


def split_requests(tensors: Sequence[Tensor], rows: Sequence[int]) -> list[list[Tensor]]:
    """Undo `join_requests`: cut along the first dimension into requests of `rows` rows each."""
    if len(rows) == 1:
        return [list(tensors)]
    requests: list[list[Tensor]] = [[] for _ in rows]
    for tensor in tensors:
        per_row = len(tensor.data) // tensor.shape[0]
        start = 0
        for request, count in zip(requests, rows, strict=True):
            end = start + count * per_row
            shape = (count, *tensor.shape[1:])
            request.append(Tensor(tensor.name, tensor.datatype, shape, tensor.data[start:end]))
            start = end
    return requests


def decode(frame: bytes | bytearray | memoryview) -> tuple[dict[str, Any], list[Tensor]]:
    """Take a frame apart: its header without `tensors`, and the tensors. Raises BrokenFrame."""
    try:
        view = memoryview(frame)
        (size,) = SIZE.unpack_from(view)
        header = orjson.loads(view[4 : 4 + size])
        position = 4 + size
        tensors = []
        for item in header.pop("tensors"):
            end = position + item["size"]
            if end > len(view):
                raise BrokenFrame("shorter than its header says")
            raw = bytes(view[position:end])
            data = unpack_elements(raw) if item["datatype"] == "BYTES" else raw
            tensors.append(Tensor(item["name"], item["datatype"], tuple(item["shape"]), data))
            position = end
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenFrame(f"not a frame: {error}"[:200]) from None
    return header, tensors


def size_of(tensor: Tensor) -> int:
    """Bytes of a tensor in a frame."""
    if isinstance(tensor.data, list):
        return sum(map(len, tensor.data)) + SIZE.size * len(tensor.data)
    return len(tensor.data)


def _raw(tensor: Tensor) -> bytes:
    return pack_elements(tensor.data) if isinstance(tensor.data, list) else tensor.data
