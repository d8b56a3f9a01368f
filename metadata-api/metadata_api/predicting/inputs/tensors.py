"""Tensors as v2 names them, for models of every kind: each input of the model, one row."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from pydantic import Field

from metadata_api.errors import Invalid
from metadata_api.predicting.base import CannotTake, Json, ParsedInput
from metadata_api.schemas.fields import Body as _Body
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.contracts import DATATYPES
from serving_runtime.errors import InvalidRequest
from serving_runtime.protocol import tensors as v2
from serving_runtime.protocol.fields import fits
from serving_runtime.protocol.tensors import Tensor


class TensorBody(_Body):
    """One input as it stands in a v2 request."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    datatype: Annotated[str, Field(pattern=f"^({'|'.join(DATATYPES)})$")]
    shape: Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(min_length=1, max_length=8)]
    """Its first number is the row's: 1."""
    data: list[Any]
    """Flat or nested like `shape`; BYTES as texts, or base64 with the parameter that says so."""
    parameters: dict[str, str] = {}
    """Only `content_type`: `base64`."""


BODY = Annotated[
    list[TensorBody], Field(min_length=1, max_length=16, description="The inputs of a model as v2 has them.")
]


def parse(value: Sequence[TensorBody]) -> ParsedInput:
    """Tensors of one row, kept as JSON with flat data; raises Invalid."""
    if len({item.name for item in value}) < len(value):
        raise Invalid("tensors_invalid", "Two tensors have one name. Send each input once.")
    return _kept([_parsed(item) for item in value])


def load(file: bytes) -> list[Tensor]:
    """Kept tensors."""
    return [_parsed(TensorBody.model_validate(item)) for item in orjson.loads(file)]


def may_fit(summary: Json, inputs: Sequence[TensorSpec]) -> bool:
    """Whether the tensors have the names of a model's inputs."""
    return {one["name"] for one in summary["tensors"]} == {spec.name for spec in inputs}


def tensors(content: Sequence[Tensor], inputs: Sequence[TensorSpec]) -> list[Tensor]:
    """The same tensors, where they have the names, datatypes and shapes of a model's inputs."""
    given = {tensor.name: tensor for tensor in content}
    if given.keys() != {spec.name for spec in inputs}:
        names = ", ".join(spec.name for spec in inputs)
        raise CannotTake("takes_other_kind", f"Its inputs are named {names}.")
    for spec in inputs:
        tensor = given[spec.name]
        if tensor.datatype not in spec.accepts:
            raise CannotTake("takes_other_kind", f"Its input {spec.name} is {' or '.join(spec.accepts)}.")
        # A file in BYTES is one element, whatever the numbers of it are.
        shape = spec.shape if tensor.datatype == spec.datatype or tensor.datatype != "BYTES" else (-1,)
        if not fits(tensor.shape, shape):
            sizes = [1, *shape[1:]]
            raise CannotTake("takes_other_size", f"Its input {spec.name} has the shape {sizes}.")
    return [given[spec.name] for spec in inputs]


def of_row(row: Sequence[Tensor], _inputs: Sequence[TensorSpec]) -> ParsedInput | None:
    """The row as it is; raises Invalid for what has no JSON form."""
    if any(tensor.datatype == "FP16" for tensor in row):
        raise Invalid("tensors_invalid", "FP16 has no JSON form, in which tensors are kept.")
    return _kept(list(row))


def _kept(found: list[Tensor]) -> ParsedInput:
    file = orjson.dumps([tensor.to_json() for tensor in found])
    shown = [{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in found]
    return ParsedInput("tensors", file, "application/json", found, summary={"tensors": shown})


def _parsed(item: TensorBody) -> Tensor:
    if item.shape[0] != 1:
        raise Invalid("tensors_invalid", f"{item.name} has {item.shape[0]} rows. Send one, or many to /v2.")
    base64 = item.parameters.get("content_type") == "base64"
    try:
        return v2.from_json(item.name, item.datatype, tuple(item.shape), item.data, base64=base64)
    except InvalidRequest as error:
        raise Invalid("tensors_invalid", f"{error}.") from None
