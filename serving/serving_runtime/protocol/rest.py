"""The Open Inference Protocol v2 over REST: one request or answer at a time, both sides, JSON and binary tensors.

The front decodes requests and encodes answers; the metadata API, a client of the front, does the reverse.
Pure: no I/O, no torch, no NumPy. Everything that a client can get wrong raises InvalidRequest (HTTP 400).
Where a body has binary tensors, `json_size` is the length of its JSON: the header Inference-Header-Content-Length.
"""

import binascii
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.contracts import ErrorCode
from serving_runtime.errors import InvalidRequest, ModelFailed
from serving_runtime.protocol import binary, fields, json_body, tensors
from serving_runtime.protocol.fields import Parameter, fits
from serving_runtime.protocol.tensors import ImageCheck, Tensor

__all__ = [
    "InferRequest",
    "InferResponse",
    "InvalidResponse",
    "build_binary_request",
    "build_request",
    "check_outputs",
    "decode_request",
    "encode_binary_response",
    "encode_error",
    "encode_response",
    "parse_error",
    "parse_error_code",
    "parse_response",
]


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request: every input of the model once, in the model's order, all with `rows` rows."""

    id: str | None
    inputs: tuple[Tensor, ...]
    rows: int
    outputs: tuple[str, ...]  # the names that the client asked for; empty = all
    parameters: tuple[tuple[str, Parameter], ...] = ()  # those that go on to the handler, by name
    binary: frozenset[str] = frozenset()  # the declared outputs that go out in binary
    binary_by_default: bool = False  # whether outputs beyond the declared ones do so too
    headers: Mapping[str, str] | None = None  # those that go on to the handler; None when it takes none


@dataclass(frozen=True, slots=True)
class InferResponse:
    """A decoded answer."""

    model_name: str
    model_version: str | None
    id: str | None
    outputs: dict[str, Tensor] = field(default_factory=dict)


class InvalidResponse(ValueError):
    """The server's answer is not a v2 answer."""


def decode_request(
    body: bytes,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    accepts: Container[str] = (),
    json_size: int | None = None,
    check_image: ImageCheck = tensors.accept_image,
) -> InferRequest:
    """Check one v2 request against what the model takes and gives. Raises InvalidRequest.

    `accepts` are the request parameters that the model's handler takes; all others are ignored. `json_size` 0 means
    that there is no JSON at all: the body is the raw bytes of the only input. `check_image` looks at each image file.
    """
    if json_size == 0:
        found = fields.read_raw(body, inputs, check_image)
        fields.read_outputs(None, outputs, False)
        return InferRequest(None, found, found[0].shape[0], ())
    text, tail = body, None
    if json_size is not None:
        tail = binary.Tail(body, json_size)
        text = body[:json_size]
    document = json_body.load(text)
    parameters = fields.read_parameters(document.get("parameters"), "the request")
    may_hold_booleans = b"true" in text or b"false" in text
    found = fields.read_inputs(document.get("inputs"), inputs, tail, may_hold_booleans, check_image)
    all_binary = False
    forwarded: tuple[tuple[str, Parameter], ...] = ()
    if parameters:
        all_binary = fields.read_switch(parameters, "binary_data_output", False, "the request")
        forwarded = tuple(sorted((name, value) for name, value in parameters.items() if name in accepts))
    requested, in_binary = fields.read_outputs(document.get("outputs"), outputs, all_binary)
    request_id = fields.read_id(document.get("id"))
    return InferRequest(request_id, found, found[0].shape[0], requested, forwarded, in_binary, all_binary)


def encode_response(
    name: str,
    version: str | None,
    request_id: str | None,
    outputs: Iterable[Tensor],
    parameters: Mapping[str, Parameter] | None = None,
) -> bytes:
    """One v2 JSON answer, data flat in row-major order."""
    return _response(name, version, request_id, [tensor.to_json() for tensor in outputs], parameters)


def encode_binary_response(
    name: str,
    version: str | None,
    request_id: str | None,
    outputs: Iterable[Tensor],
    in_binary: Container[str],
    parameters: Mapping[str, Parameter] | None = None,
) -> tuple[bytes, int]:
    """One v2 answer whose outputs named in `in_binary` follow the JSON as raw bytes; the body and `json_size`."""
    listed, raws = _listed(outputs, in_binary)
    text = _response(name, version, request_id, listed, parameters)
    return b"".join((text, *raws)), len(text)


def encode_error(text: str, code: str) -> bytes:
    """`{"error": text, "code": code}`, the text cut to a length that no proxy minds."""
    return orjson.dumps({"error": text[:2000].encode("utf-8", "replace").decode(), "code": code})


def check_outputs(
    outputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int, *, more: bool = False
) -> None:
    """Hold what the model answered against its model spec: each declared output once, datatype, shape, finite.

    `more`: outputs beyond the declared ones are allowed, as parameters of the request may ask for them.
    Raises ModelFailed, naming the output.
    """
    found = {tensor.name: tensor for tensor in outputs}
    for spec in specs:
        tensor = found.pop(spec.name, None)
        if tensor is None:
            raise ModelFailed(f"the model did not answer its output {spec.name!r}")
        if tensor.datatype != spec.datatype:
            raise ModelFailed(
                f"the model answered output {spec.name!r} as {tensor.datatype} instead of {spec.datatype}"
            )
        if not fits(tensor.shape, spec.shape) or tensor.shape[0] != rows:
            expected = [rows, *spec.shape[1:]]
            raise ModelFailed(
                f"the model answered output {spec.name!r} in shape {list(tensor.shape)} instead of {expected}"
            )
        if not tensors.all_finite(tensor):
            raise ModelFailed(f"the model answered NaN or infinity in output {spec.name!r}")
    if more:
        endless = next((name for name, tensor in found.items() if not tensors.all_finite(tensor)), None)
        if endless is not None:
            raise ModelFailed(f"the model answered NaN or infinity in output {endless!r}")
    elif found:
        raise ModelFailed(f"the model answered the undeclared output {next(iter(found))!r}")


def build_request(
    inputs: Sequence[Tensor],
    *,
    request_id: str | None = None,
    outputs: Sequence[str] = (),
    parameters: Mapping[str, Parameter] | None = None,
) -> bytes:
    """A v2 JSON request for a server; BYTES tensors travel as base64 with the parameter that says so."""
    return _request([_input_json(tensor) for tensor in inputs], request_id, outputs, parameters or {})


def build_binary_request(
    inputs: Sequence[Tensor], *, parameters: Mapping[str, Parameter] | None = None
) -> tuple[bytes, int]:
    """A v2 request whose inputs follow the JSON as raw bytes and that wants its outputs so; and `json_size`."""
    listed, raws = _listed(inputs, {tensor.name for tensor in inputs})
    text = _request(listed, None, (), {**(parameters or {}), "binary_data_output": True})
    return b"".join((text, *raws)), len(text)


def parse_response(body: bytes, json_size: int | None = None) -> InferResponse:
    """Read a v2 answer with status 200. Raises InvalidResponse."""
    try:
        tail = None if json_size is None else binary.Tail(body, json_size)
        document = orjson.loads(body if json_size is None else body[:json_size])
        outputs = {item["name"]: _output_tensor(item, tail) for item in document["outputs"]}
        if tail is not None:
            tail.finish()
        return InferResponse(
            str(document["model_name"]), document.get("model_version"), document.get("id"), outputs
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, InvalidRequest) as error:
        raise InvalidResponse(f"not a v2 answer: {type(error).__name__} {error}"[:300]) from None


def parse_error(body: bytes) -> str:
    """The text of a v2 error body; a short note when it is none."""
    try:
        text = orjson.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        text = None
    return text if isinstance(text, str) else "the server gave no reason"


def parse_error_code(body: bytes) -> ErrorCode | None:
    """The code of an error that the front has written; None for errors of others."""
    try:
        return ErrorCode(orjson.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return None


def _response(
    name: str,
    version: str | None,
    request_id: str | None,
    listed: list[dict[str, Any]],
    parameters: Mapping[str, Parameter] | None,
) -> bytes:
    document: dict[str, Any] = {"model_name": name}
    if version is not None:
        document["model_version"] = version
    if request_id is not None:
        document["id"] = request_id
    if parameters:
        document["parameters"] = parameters
    document["outputs"] = listed
    return orjson.dumps(document)


def _request(
    listed: list[dict[str, Any]],
    request_id: str | None,
    outputs: Sequence[str],
    parameters: Mapping[str, Parameter],
) -> bytes:
    document: dict[str, Any] = {"inputs": listed}
    if request_id is not None:
        document["id"] = request_id
    if outputs:
        document["outputs"] = [{"name": name} for name in outputs]
    if parameters:
        document["parameters"] = dict(parameters)
    return orjson.dumps(document)


def _listed(found: Iterable[Tensor], in_binary: Container[str]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The tensors as they stand in JSON, and the raw bytes of those that are binary, in the same order."""
    listed, raws = [], []
    for tensor in found:
        if tensor.name not in in_binary:
            listed.append(tensor.to_json())
            continue
        raw = binary.encode(tensor)
        raws.append(raw)
        listed.append(
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                "parameters": {binary.SIZE: len(raw)},
            }
        )
    return listed, raws


def _input_json(tensor: Tensor) -> dict[str, Any]:
    item: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if isinstance(tensor.data, list):
        item["parameters"] = {"content_type": "base64"}
        item["data"] = [binascii.b2a_base64(element, newline=False).decode() for element in tensor.data]
    else:
        item["data"] = tensor.values()
    return item


def _output_tensor(item: dict[str, Any], tail: binary.Tail | None) -> Tensor:
    name, datatype, shape = str(item["name"]), str(item["datatype"]), tuple(item["shape"])
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("shape")
    parameters = item.get("parameters") or {}
    if tail is not None and binary.SIZE in parameters:
        return binary.decode(name, datatype, shape, tail.take(name, parameters[binary.SIZE]))
    base64 = parameters.get("content_type") == "base64"
    return tensors.from_json(name, datatype, shape, item["data"], base64=base64)
