"""The Open Inference Protocol v2 over REST: one JSON request or answer at a time, both sides.

The front decodes requests and encodes answers; the metadata API, a client of the front, does the reverse.
Pure: no I/O, no torch, no NumPy. Everything that a client can get wrong raises InvalidRequest (HTTP 400).
"""

import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from serving_runtime import tensors
from serving_runtime.errors import InvalidRequest, ModelFailed
from serving_runtime.tensors import Tensor, TensorSpec

MAX_DIMENSIONS = 8
MAX_ELEMENTS = 64 * 1024 * 1024
MAX_ID = 1024
MAX_OBJECTS = 1000
Parameter = str | int | float | bool
SEEN = "seen"  # request parameter and output: the pixels that the network really got


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request: every input of the model once, in the model's order, all with `rows` rows."""

    id: str | None
    inputs: tuple[Tensor, ...]
    rows: int
    outputs: tuple[str, ...]  # the names that the client asked for; empty = all
    seen: bool


@dataclass(frozen=True, slots=True)
class InferResponse:
    """A decoded answer."""

    model_name: str
    model_version: str | None
    id: str | None
    outputs: dict[str, Tensor] = field(default_factory=dict)


class InvalidResponse(ValueError):
    """The server's answer is not a v2 answer."""


def decode_request(body: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> InferRequest:
    """Check one v2 JSON request against what the model takes and gives. Raises InvalidRequest."""
    document = _document(body)
    parameters = _parameters(document.get("parameters"), "the request")
    found = _inputs(document, inputs, b"true" in body or b"false" in body)
    wanted = _wanted(document.get("outputs"), outputs)
    request_id = document.get("id")
    if request_id is not None and (type(request_id) is not str or len(request_id) > MAX_ID):
        raise InvalidRequest(f"`id` must be a string of at most {MAX_ID} characters")
    seen = parameters.get(SEEN, False)
    if type(seen) is not bool:
        raise InvalidRequest("the parameter `seen` must be true or false")
    _refuse_duplicate_keys(body, document)
    return InferRequest(request_id, found, found[0].shape[0], wanted, seen)


def encode_response(
    name: str, version: str | None, request_id: str | None, outputs: Iterable[Tensor]
) -> bytes:
    """One v2 JSON answer, data flat in row-major order."""
    document: dict[str, Any] = {"model_name": name}
    if version is not None:
        document["model_version"] = version
    if request_id is not None:
        document["id"] = request_id
    document["outputs"] = [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": tensor.values()}
        for tensor in outputs
    ]
    return orjson.dumps(document)


def encode_error(text: str) -> bytes:
    """`{"error": text}`, cut to a length that no proxy minds."""
    return orjson.dumps({"error": text[:2000].encode("utf-8", "replace").decode()})


def check_outputs(outputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> None:
    """Hold what the model answered against its card: each declared output once, datatype, shape, finite.

    Raises ModelFailed, naming the output. `seen` is ours and not declared.
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
        if not _fits(tensor.shape, spec.shape) or tensor.shape[0] != rows:
            expected = [rows, *spec.shape[1:]]
            raise ModelFailed(
                f"the model answered output {spec.name!r} in shape {list(tensor.shape)} instead of {expected}"
            )
        if not tensors.all_finite(tensor):
            raise ModelFailed(f"the model answered NaN or infinity in output {spec.name!r}")
    found.pop(SEEN, None)
    if found:
        raise ModelFailed(f"the model answered the undeclared output {next(iter(found))!r}")


def build_request(
    inputs: Sequence[Tensor],
    *,
    request_id: str | None = None,
    outputs: Sequence[str] = (),
    parameters: Mapping[str, Parameter] | None = None,
) -> bytes:
    """A v2 JSON request for a server; BYTES tensors travel as base64 with the parameter that says so."""
    document: dict[str, Any] = {"inputs": [_input_json(tensor) for tensor in inputs]}
    if request_id is not None:
        document["id"] = request_id
    if outputs:
        document["outputs"] = [{"name": name} for name in outputs]
    if parameters:
        document["parameters"] = dict(parameters)
    return orjson.dumps(document)


def parse_response(body: bytes) -> InferResponse:
    """Read a v2 JSON answer with status 200. Raises InvalidResponse."""
    try:
        document = orjson.loads(body)
        listed = document["outputs"]
        outputs = {item["name"]: _output_tensor(item) for item in listed}
        return InferResponse(
            str(document["model_name"]), document.get("model_version"), document.get("id"), outputs
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidResponse(f"not a v2 answer: {type(error).__name__} {error}"[:300]) from None


def parse_error(body: bytes) -> str:
    """The text of a v2 error body; a short note when it is none."""
    try:
        text = orjson.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        text = None
    return text if isinstance(text, str) else "the server gave no reason"


def _document(body: bytes) -> dict[str, Any]:
    # A request has a few objects for each tensor; making a hundred thousand of them takes half a second.
    if body.count(b"{") > MAX_OBJECTS and _without_strings(body).count(b"{") > MAX_OBJECTS:
        raise InvalidRequest("the request has too many inputs, outputs or parameters")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not valid JSON: {str(error)[:200]}") from None
    if type(document) is not dict:
        raise InvalidRequest("the body must be a JSON object with `inputs`")
    return document


def _inputs(
    document: dict[str, Any], specs: Sequence[TensorSpec], may_hold_booleans: bool
) -> tuple[Tensor, ...]:
    listed = document.get("inputs")
    if type(listed) is not list:
        raise InvalidRequest("the request has no list `inputs`")
    by_name = {spec.name: spec for spec in specs}
    found: dict[str, Tensor] = {}
    for item in listed:
        name = _name_of(item, "an input")
        spec = by_name.get(name)
        if spec is None:
            raise InvalidRequest(f"unknown input {name[:64]!r}; the model takes {', '.join(by_name)}")
        if name in found:
            raise InvalidRequest(f"input {name!r} is given twice")
        found[name] = _input(item, spec, may_hold_booleans)
    missing = [name for name in by_name if name not in found]
    if missing:
        raise InvalidRequest(f"input {missing[0]!r} is missing")
    ordered = tuple(found[spec.name] for spec in specs)
    if len({tensor.shape[0] for tensor in ordered}) > 1:
        raise InvalidRequest("the inputs differ in their first dimension, the batch")
    return ordered


def _input(item: dict[str, Any], spec: TensorSpec, may_hold_booleans: bool) -> Tensor:
    name, datatype = spec.name, item.get("datatype")
    if type(datatype) is not str or datatype not in spec.accepts:
        raise InvalidRequest(f"input {name!r}: datatype must be one of {', '.join(spec.accepts)}")
    parameters = _parameters(item.get("parameters"), f"input {name!r}")
    # A picture file stands for one whole row, so its tensor has only the batch dimension.
    picture = datatype == "BYTES" and spec.datatype != "BYTES"
    shape = _shape(name, item.get("shape"), (-1,) if picture else spec.shape)
    if "data" not in item:
        raise InvalidRequest(f"input {name!r} has no `data`")
    base64 = parameters.get("content_type") == "base64"
    return tensors.from_json(
        name,
        datatype,
        shape,
        item["data"],
        base64=base64,
        picture=picture,
        may_hold_booleans=may_hold_booleans,
    )


def _shape(name: str, shape: object, declared: tuple[int, ...]) -> tuple[int, ...]:
    if type(shape) is not list or not all(type(size) is int for size in shape[: MAX_DIMENSIONS + 1]):
        raise InvalidRequest(f"input {name!r}: `shape` must be a list of whole numbers")
    sizes = tuple(shape[: MAX_DIMENSIONS + 1])
    if not _fits(sizes, declared):
        raise InvalidRequest(
            f"input {name!r}: shape {_short(shape)} does not fit {list(declared)} (-1 is any size from 1)"
        )
    count = 1
    for size in sizes:
        count *= size
        if count > MAX_ELEMENTS:
            raise InvalidRequest(f"input {name!r}: shape {_short(shape)} has too many elements")
    return sizes


def _fits(sizes: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    return len(sizes) == len(declared) and all(
        size == wanted or (wanted == -1 and size >= 1) for size, wanted in zip(sizes, declared, strict=True)
    )


def _wanted(listed: object, specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    if listed is None:
        return ()
    if type(listed) is not list:
        raise InvalidRequest("`outputs` must be a list")
    known = [spec.name for spec in specs]
    names: list[str] = []
    for item in listed:
        name = _name_of(item, "an output")
        if name not in known:
            raise InvalidRequest(f"unknown output {name[:64]!r}; the model gives {', '.join(known)}")
        if name in names:
            raise InvalidRequest(f"output {name!r} is asked for twice")
        _parameters(item.get("parameters"), f"output {name!r}")
        names.append(name)
    return tuple(names)


def _name_of(item: object, what: str) -> str:
    if type(item) is not dict or type(item.get("name")) is not str:
        raise InvalidRequest(f"{what} must be an object with a `name`")
    name: str = item["name"]
    return name


def _parameters(value: object, where: str) -> dict[str, Parameter]:
    if value is None:
        return {}
    if type(value) is not dict or not all(type(item) in (str, int, float, bool) for item in value.values()):
        raise InvalidRequest(f"{where}: `parameters` must map names to strings, numbers or booleans")
    return value


def _refuse_duplicate_keys(body: bytes, document: dict[str, Any]) -> None:
    """A key given twice would be read differently by two parsers.

    orjson keeps the last one silently. Every key is followed by a colon, so counting both is enough; colons
    inside strings are rare in requests and are dealt with on the second look.
    """
    keys = _count_keys(document)
    if body.count(b":") != keys and _without_strings(body).count(b":") != keys:
        raise InvalidRequest("the request gives a key twice")


def _count_keys(document: dict[str, Any]) -> int:
    count = 0
    stack: list[Any] = [document]
    while stack:
        value = stack.pop()
        if type(value) is dict:
            count += len(value)
            # `data` was read into a tensor, so it holds no objects; it is by far the longest list.
            stack.extend(item for key, item in value.items() if key != "data" and type(item) in (dict, list))
        else:
            stack.extend(item for item in value if type(item) in (dict, list))
    return count


def _without_strings(body: bytes) -> bytes:
    # In valid JSON a quote that is not escaped begins or ends a string.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(plain.split(b'"')[::2])


def _short(shape: list[Any]) -> str:
    text = str(shape[: MAX_DIMENSIONS + 1])
    return text if len(text) <= 100 else text[:97] + "..."


def _input_json(tensor: Tensor) -> dict[str, Any]:
    item: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if isinstance(tensor.data, list):
        item["parameters"] = {"content_type": "base64"}
        item["data"] = [binascii.b2a_base64(element, newline=False).decode() for element in tensor.data]
    else:
        item["data"] = tensor.values()
    return item


def _output_tensor(item: dict[str, Any]) -> Tensor:
    shape = tuple(item["shape"])
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("shape")
    try:
        return tensors.from_json(str(item["name"]), str(item["datatype"]), shape, item["data"])
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
