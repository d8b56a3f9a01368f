"""The parts of a v2 infer request, each checked against what the model takes and gives.

Called by `protocol.decode_request`; whatever a client can get wrong raises InvalidRequest.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from serving_runtime.archive import tensor_kinds
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.errors import InvalidRequest
from serving_runtime.protocol import binary, tensors
from serving_runtime.protocol.tensors import NUMBERS, ImageCheck, Tensor, WrongElement

MAX_DIMENSIONS = 8
MAX_ELEMENTS = 64 * 1024 * 1024
MAX_STRINGS = 100_000  # each BYTES element is an object of its own
MAX_ID = 1024
Parameter = str | int | float | bool

_PARAMETER_TYPES = {str, int, float, bool}
_NONE: frozenset[str] = frozenset()


def read_id(value: object) -> str | None:
    """The client's own mark of the request."""
    if value is not None and (type(value) is not str or len(value) > MAX_ID):
        raise InvalidRequest(f"`id` must be a string of at most {MAX_ID} characters")
    return value


def read_parameters(value: object, where: str) -> dict[str, Parameter]:
    """`parameters` of a request, an input or an output; unknown names are ignored."""
    if value is None:
        return {}
    if type(value) is not dict or not set(map(type, value.values())) <= _PARAMETER_TYPES:
        raise InvalidRequest(f"{where}: `parameters` must map names to strings, numbers or booleans")
    return value


def read_switch(parameters: dict[str, Parameter], name: str, default: bool, where: str) -> bool:
    """A parameter that is true or false."""
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InvalidRequest(f"{where}: the parameter `{name}` must be true or false")
    return value


def read_inputs(
    listed: object,
    specs: Sequence[TensorSpec],
    tail: binary.Tail | None,
    may_hold_booleans: bool,
    check_image: ImageCheck,
) -> tuple[Tensor, ...]:
    """Every input of the model once, in the model's order; binary ones are taken from `tail`."""
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
        found[name] = _input(item, spec, tail, may_hold_booleans, check_image)
    if tail is not None:
        tail.finish()
    if len(found) < len(by_name):
        missing = next(name for name in by_name if name not in found)
        raise InvalidRequest(f"input {missing!r} is missing")
    ordered = tuple([found[name] for name in by_name])
    if len(ordered) > 1 and len({tensor.shape[0] for tensor in ordered}) > 1:
        raise InvalidRequest("the inputs differ in their first dimension, the batch")
    return ordered


def read_raw(body: bytes, specs: Sequence[TensorSpec], check_image: ImageCheck) -> tuple[Tensor, ...]:
    """The only input of a model, when the body is its raw bytes and nothing else.

    Numbers come in the model's own datatype, as many rows as there are; BYTES are one element, and so is an image.
    """
    if len(specs) != 1:
        raise InvalidRequest(
            f"the model takes {len(specs)} inputs: send them with JSON, as {binary.HEADER} is 0"
        )
    (spec,) = specs
    if "BYTES" in spec.accepts and (spec.datatype == "BYTES" or tensors.is_image(body)):
        if spec.datatype == "BYTES" and spec.shape != (-1,):
            raise InvalidRequest(f"input {spec.name!r} has more than one element: send it with JSON")
        if spec.datatype != "BYTES":
            check_image(spec.name, body)
        return (Tensor(spec.name, "BYTES", (1,), [body]),)
    row = math.prod(spec.shape[1:]) * NUMBERS[spec.datatype][1]
    if not body or len(body) % row:
        raise InvalidRequest(f"input {spec.name!r}: {len(body)} bytes are no rows of {row} bytes each")
    return (binary.decode(spec.name, spec.datatype, (len(body) // row, *spec.shape[1:]), body),)


def read_outputs(
    listed: object, specs: Sequence[TensorSpec], all_binary: bool
) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names that are asked for (none = all), and the names of those that go out in binary."""
    names: tuple[str, ...] = ()
    in_binary = _NONE
    if listed is not None or all_binary:
        names, in_binary = _outputs(listed, specs, all_binary)
    if "FP16" in [spec.datatype for spec in specs]:
        _reject_fp16_in_json(names, in_binary, specs)
    return names, in_binary


def fits(sizes: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    """Whether a shape is one of those that a tensor is declared with."""
    if len(sizes) != len(declared):
        return False
    for size, expected in zip(sizes, declared, strict=True):
        if size != expected and (expected != -1 or size < 1):
            return False
    return True


def _input(
    item: dict[str, Any],
    spec: TensorSpec,
    tail: binary.Tail | None,
    may_hold_booleans: bool,
    check_image: ImageCheck,
) -> Tensor:
    name, datatype = spec.name, item.get("datatype")
    if type(datatype) is not str or datatype not in spec.accepts:
        raise InvalidRequest(f"input {name!r}: datatype must be one of {', '.join(spec.accepts)}")
    parameters = read_parameters(item.get("parameters"), f"input {name!r}")
    # An image file stands for one whole row, so its tensor has only the batch dimension.
    image = check_image if datatype == "BYTES" and spec.datatype != "BYTES" else None
    most = MAX_STRINGS if datatype == "BYTES" else MAX_ELEMENTS
    declared = (-1,) if image is not None else spec.shape
    shape = _shape(name, item.get("shape"), declared, most, column=datatype == "BYTES" and declared == (-1,))
    if binary.SIZE in parameters:
        raw = _raw(item, name, parameters[binary.SIZE], tail)
        tensor = binary.decode(name, datatype, shape, raw, image=image)
    elif "data" in item:
        try:
            tensor = tensors.from_json(
                name,
                datatype,
                shape,
                item["data"],
                base64=parameters.get("content_type") == "base64",
                image=image,
                may_hold_booleans=may_hold_booleans,
            )
        except WrongElement as error:
            raise _of_column(error, spec) from None
    else:
        _reject_shared_memory(parameters, f"input {name!r}")
        raise InvalidRequest(f"input {name!r} has no `data`")
    return tensor if len(shape) == len(declared) else replace(tensor, shape=shape[:1])


def _of_column(error: WrongElement, spec: TensorSpec) -> InvalidRequest:
    """The same of a table with the column's name and what it takes, which whoever wrote the row can use."""
    if not spec.columns:
        return error
    column = spec.columns[error.at % len(spec.columns)]
    takes = tensor_kinds.taken(column, spec.datatype)
    return InvalidRequest(f"input {spec.name!r}, column {column.name!r}: send {takes}, not {error.element}")


def _raw(item: dict[str, Any], name: str, size: object, tail: binary.Tail | None) -> bytes:
    if "data" in item:
        raise InvalidRequest(f"input {name!r} has both `data` and `{binary.SIZE}`; send one of them")
    if tail is None:
        raise InvalidRequest(
            f"input {name!r} is binary, but the header {binary.HEADER}, the length of the JSON, is missing"
        )
    return tail.take(name, size)


def _shape(
    name: str, shape: object, declared: tuple[int, ...], most: int, *, column: bool
) -> tuple[int, ...]:
    """The given shape, checked. `column`: [n, 1] is as good as [n], because clients write strings so."""
    if type(shape) is not list or not set(map(type, shape[: MAX_DIMENSIONS + 1])) <= {int}:
        raise InvalidRequest(f"input {name!r}: `shape` must be a list of whole numbers")
    sizes = tuple(shape[: MAX_DIMENSIONS + 1])
    if not fits(sizes, declared) and not (column and _is_column(sizes)):
        raise InvalidRequest(
            f"input {name!r}: shape {_short(shape)} does not fit {list(declared)} (-1 is any size from 1)"
        )
    count = 1
    for size in sizes:
        count *= size
        if count > most:
            raise InvalidRequest(
                f"input {name!r}: shape {_short(shape)} has too many elements, at most {most} are taken"
            )
    return sizes


def _is_column(sizes: tuple[int, ...]) -> bool:
    return 2 <= len(sizes) <= MAX_DIMENSIONS and sizes[0] >= 1 and set(sizes[1:]) == {1}


def _outputs(
    listed: object, specs: Sequence[TensorSpec], all_binary: bool
) -> tuple[tuple[str, ...], frozenset[str]]:
    if listed is None:
        listed = []
    if type(listed) is not list:
        raise InvalidRequest("`outputs` must be a list")
    known = [spec.name for spec in specs]
    requested: dict[str, bool] = {}
    for item in listed:
        name = _name_of(item, "an output")
        if name not in known:
            raise InvalidRequest(f"unknown output {name[:64]!r}; the model gives {', '.join(known)}")
        if name in requested:
            raise InvalidRequest(f"output {name!r} is asked for twice")
        where = f"output {name!r}"
        parameters = read_parameters(item.get("parameters"), where)
        _reject_shared_memory(parameters, where)
        if "classification" in parameters:
            raise InvalidRequest(f"{where}: `classification` is not offered; ask for the output and sort it")
        requested[name] = read_switch(parameters, "binary_data", all_binary, where)
    in_binary = {name for name, is_binary in requested.items() if is_binary}
    if all_binary and not requested:
        in_binary.update(known)
    return tuple(requested), frozenset(in_binary)


def _reject_fp16_in_json(
    names: tuple[str, ...], in_binary: frozenset[str], specs: Sequence[TensorSpec]
) -> None:
    for spec in specs:
        asked = not names or spec.name in names
        if spec.datatype == "FP16" and asked and spec.name not in in_binary:
            raise InvalidRequest(
                f"output {spec.name!r}: FP16 has no JSON form; ask for it with the parameter `binary_data`: true"
            )


def _reject_shared_memory(parameters: dict[str, Parameter], where: str) -> None:
    if "shared_memory_region" in parameters:
        raise InvalidRequest(f"{where}: shared memory is not offered; tensors travel in the body")


def _name_of(item: object, what: str) -> str:
    if type(item) is not dict or type(item.get("name")) is not str:
        raise InvalidRequest(f"{what} must be an object with a `name`")
    name: str = item["name"]
    return name


def _short(shape: list[Any]) -> str:
    text = str(shape[: MAX_DIMENSIONS + 1])
    return text if len(text) <= 100 else text[:97] + "..."
