"""The self-test of a version: a request, and what its answer must be.

An archive's golden pair says both. Without one, a row of the model spec's examples, or of zeros where it has none (a
black image where only files are taken), must be answered as the spec declares; without a model spec no request is known
to be valid, and any answer of the worker must do.
"""

import contextlib
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from serving_runtime.archive.tensor_kinds import TensorSpec, example_of
from serving_runtime.errors import InvalidRequest, LoadFailed, ModelFailed
from serving_runtime.protocol import frames, rest, tensors
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.protocol.tensors import NUMBERS, Tensor

_SIDE = 256  # longest of an image that is made, in pixels
_TOLERANCE = 1e-3  # other processors round differently; another model is further away


class SelfTest:
    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        golden: dict[str, Any] | None,
        *,
        has_spec: bool,
    ) -> None:
        """Raises LoadFailed when the golden pair does not fit the model spec."""
        self.has_spec = has_spec
        self._outputs = outputs
        self._expected: list[dict[str, Any]] = []
        if golden is None or not has_spec:
            self.request = _first(inputs)
            return
        try:
            self.request = rest.decode_request(orjson.dumps(golden["request"]), inputs, outputs)
            self._expected = list(golden["response"]["outputs"])
        except (InvalidRequest, KeyError, TypeError) as error:
            raise LoadFailed(f"the archive's golden request does not fit its model spec: {error}") from None

    @property
    def frame(self) -> list[bytes]:
        """The request as it goes to a worker."""
        return frames.encode({"rows": [self.request.rows], "describe": True}, self.request.inputs)

    def check_first_answer(self, answer: bytes) -> tuple[frozenset[str], bool]:
        """Read a worker's answer to `frame`: which request parameters its handler takes, and whether ids and headers.

        Raises LoadFailed with what is wrong with the answer.
        """
        try:
            header, outputs = frames.decode(answer)
        except frames.BrokenFrame as error:
            raise LoadFailed(f"the worker's answer is broken: {error}") from None
        rejection = (header.get("errors") or {}).get("0")
        if rejection is None:
            self.check(outputs)
        elif self.has_spec:
            raise LoadFailed(f"the model failed its first inference: {rejection['text']}")
        takes_context = header.get("context") is True
        if takes_context:  # it may share a batch with requests that have some
            self.request = replace(self.request, headers={})
        return frozenset(header.get("parameters") or ()), takes_context

    def check(self, outputs: Sequence[Tensor]) -> None:
        """Hold outputs against the model spec and the golden answer. Raises LoadFailed."""
        try:
            rest.check_outputs(outputs, self._outputs, self.request.rows)
        except ModelFailed as error:
            raise LoadFailed(str(error)) from None
        found = {tensor.name: tensor for tensor in outputs}
        for expected in self._expected:
            tensor = found.get(expected["name"])
            if tensor is None or not _same(tensor.values(), expected["data"]):
                raise LoadFailed(
                    f"output {expected['name']!r} is not what the archive's golden answer says: "
                    "the weights, the code or the libraries are not those it was made with"
                )


def _first(specs: Sequence[TensorSpec]) -> InferRequest:
    """One row: of the model spec's examples where it has some, else of zeros."""
    return InferRequest(None, tuple(_example(spec) or _zeros(spec) for spec in specs), 1, ())


def _example(spec: TensorSpec) -> Tensor | None:
    shape = (1, *spec.shape[1:])
    if spec.kind == "text" and isinstance(spec.example, str):
        return Tensor(spec.name, "BYTES", shape, [spec.example.encode()])
    if spec.kind == "image" and spec.accepts == ("BYTES",):
        return Tensor(spec.name, "BYTES", shape, [_black_png(spec)])
    if spec.kind == "table":
        texts = spec.datatype == "BYTES"
        values = [example_of(column, as_text=texts) for column in spec.columns]
        if spec.datatype == "BOOL":
            values = [bool(value) for value in values]
        with contextlib.suppress(InvalidRequest):  # an example that the datatype cannot hold
            return tensors.from_json(spec.name, spec.datatype, shape, values)
    return None


def _black_png(spec: TensorSpec) -> bytes:
    """A file for a model that takes nothing else: of its size, as far as that is small, as any is brought to it."""
    width, height, channels = _SIDE, _SIDE, 3
    if spec.image is not None:
        width, height = min(spec.image.width or _SIDE, _SIDE), min(spec.image.height or _SIDE, _SIDE)
        channels = spec.image.channels
    colours, samples = (0, 1) if channels == 1 else (2, 3)
    rows = (b"\0" + bytes(width * samples)) * height
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _zeros(spec: TensorSpec) -> Tensor:
    shape = tuple(1 if size == -1 else size for size in spec.shape)
    count = math.prod(shape)
    datatype = next((each for each in spec.accepts if each in NUMBERS), "BYTES")
    data = [b""] * count if datatype == "BYTES" else bytes(count * NUMBERS[datatype][1])
    return Tensor(spec.name, datatype, shape, data)


def _same(found: list[Any], expected: Any) -> bool:
    flat: list[Any] = []
    stack = [expected]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))
        else:
            flat.append(item)
    return len(flat) == len(found) and all(map(_close, found, flat))


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        with contextlib.suppress(TypeError):
            return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(one == other)
