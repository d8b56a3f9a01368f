"""A row of named values, for models that take tables: checked against the columns of each."""

import math
import struct
from collections.abc import Sequence
from typing import Annotated

import orjson
from pydantic import Field

from metadata_api.predicting.base import CannotTake, Json, ParsedInput
from metadata_api.schemas.fields import NullableScalars
from serving_runtime.archive import tensor_kinds
from serving_runtime.archive.tensor_kinds import Column, TensorSpec
from serving_runtime.errors import InvalidRequest
from serving_runtime.protocol import tensors as v2
from serving_runtime.protocol.tensors import Tensor

BODY = Annotated[
    NullableScalars,
    Field(
        min_length=1,
        description="A value for every column, for models that take tables: numbers, texts, true and false; null for "
        "one that is missing.",
    ),
]
Value = float | str | bool | None
_SHOWN = 20
_CHARACTERS = 200
_NAMED = 10
# A row whose names fit is nearer than any other, however many of its values are wrong.
_WRONG_NAME = 1000
_SINGLE = struct.Struct("<f")
_TRUTHS: dict[Value, bool] = {True: True, False: False, "true": True, "false": False}


def parse(value: dict[str, Value]) -> ParsedInput:
    """Values by column, kept as JSON in the order of the names."""
    file = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    shown = {
        name: item[:_CHARACTERS] if isinstance(item, str) else item
        for name, item in sorted(value.items())[:_SHOWN]
    }
    return ParsedInput(
        "row", file, "application/json", value, summary={"values": shown, "columns": len(value)}
    )


def load(file: bytes) -> dict[str, Value]:
    """A kept row."""
    found: dict[str, Value] = orjson.loads(file)
    return found


def may_fit(summary: Json, inputs: Sequence[TensorSpec]) -> bool:
    """Whether a model takes one table with as many columns, and with those that the summary names."""
    if not _takes_rows(inputs):
        return False
    names = {column.name for column in inputs[0].columns}
    least = sum(not column.optional for column in inputs[0].columns)
    return least <= summary["columns"] <= len(names) and names.issuperset(summary["values"])


def tensors(content: dict[str, Value], inputs: Sequence[TensorSpec]) -> list[Tensor]:
    """The values in the order of a table's columns, each category as its index or, in a table of texts, as itself."""
    spec = inputs[0]
    if not _takes_rows(inputs):
        kinds = " and ".join(sorted({one.kind for one in inputs}))
        raise CannotTake("takes_other_kind", f"It takes {kinds}, no row of named values.")
    _check_names(content, spec.columns)
    values, wrong = [], []
    for column in spec.columns:
        try:
            values.append(_value(content.get(column.name), column, spec.datatype))
        except ValueError as error:
            wrong.append(f"{column.name} {error}")
    if wrong:
        raise CannotTake("takes_other_values", f"{'; '.join(wrong[:_NAMED])}.", distance=len(wrong))
    return [_tensor(spec, values)]


def of_row(row: Sequence[Tensor], inputs: Sequence[TensorSpec]) -> ParsedInput | None:
    """The values of a table's tensor by column, a category as its text; a number of FP32 as short as it can be."""
    spec = inputs[0]
    values = row[0].values()
    if len(row) != 1 or spec.kind != "table" or len(values) != len(spec.columns) or not values:
        return None
    if row[0].datatype == "FP32":
        values = list(map(_shortest, values))
    try:
        named = {
            column.name: _named(value, column) for column, value in zip(spec.columns, values, strict=True)
        }
        # What the way there makes something else of, or nothing, is kept as it came.
        return parse(named) if tensors(named, inputs)[0].values() == row[0].values() else None
    except (CannotTake, LookupError, ValueError):
        return None


def _named(value: Value, column: Column) -> Value:
    """What a person writes for a value of a tensor."""
    if column.optional and value == "":
        return None
    if column.categories and value is not None and not isinstance(value, str):
        return column.categories[int(value)]
    return value


def _shortest(value: float) -> float:
    """The shortest decimal that is the same number of FP32: 5.1 instead of 5.099999904632568."""
    return next(
        short
        for digits in (6, 7, 8, 9)
        if digits == 9 or _SINGLE.pack(short := float(f"{value:.{digits}g}")) == _SINGLE.pack(value)
    )


def _takes_rows(inputs: Sequence[TensorSpec]) -> bool:
    return len(inputs) == 1 and inputs[0].kind == "table" and bool(inputs[0].columns)


def _check_names(content: dict[str, Value], columns: Sequence[Column]) -> None:
    names = [column.name for column in columns]
    unknown = [name for name in content if name not in names]
    missing = [one.name for one in columns if not one.optional and one.name not in content]
    if unknown or missing:
        said = [f"it has no column {', '.join(unknown[:_NAMED])}"] if unknown else []
        said += [f"the row lacks {', '.join(missing[:_NAMED])}"] if missing else []
        detail = f"Its columns are others: {' and '.join(said)}."
        # The share of names that only one of both has: a wide table with some of them is nearer than a narrow one
        # without.
        wrong = (len(unknown) + len(missing)) / (len(unknown) + len(names))
        raise CannotTake("takes_other_columns", detail, distance=_WRONG_NAME + round(_WRONG_NAME * wrong))


def _value(value: Value, column: Column, datatype: str) -> Value:
    """One value as the model takes it; raises ValueError with what is wrong, and what would be right."""
    as_text = datatype == "BYTES"
    if column.optional and value in (None, ""):
        return ""
    if value is None:
        raise ValueError(f"is missing: it takes {_takes(column, datatype)}")
    if datatype == "BOOL" and not column.categories:
        return _truth(value, column)
    if isinstance(value, bool):
        raise ValueError(f"is true or false: it takes {_takes(column, datatype)}")
    if column.categories:
        if str(value) not in column.categories:
            raise ValueError(f"is none of {', '.join(column.categories[:_NAMED])}")
        return str(value) if as_text else column.categories.index(str(value))
    bounded = column.minimum is not None or column.maximum is not None
    if as_text and not bounded:
        return str(value)
    if isinstance(value, str) or not math.isfinite(value):
        raise ValueError(f"is no number: it takes {_takes(column, datatype)}")
    unit = f" {column.unit}" if column.unit else ""
    if column.minimum is not None and value < column.minimum:
        raise ValueError(f"is below {column.minimum:g}{unit}")
    if column.maximum is not None and value > column.maximum:
        raise ValueError(f"is above {column.maximum:g}{unit}")
    return str(value) if as_text else value


def _truth(value: Value, column: Column) -> bool:
    """True and false, also as 1 and 0, and as text, which forms and the command line send."""
    found = _TRUTHS.get(value.strip().lower() if isinstance(value, str) else value)
    if found is None:
        raise ValueError(f"is neither: it takes {_takes(column, 'BOOL')}")
    return found


def _takes(column: Column, datatype: str) -> str:
    """In words; a category is sent as its text, whatever the model gets."""
    return tensor_kinds.taken(column, "BYTES" if column.categories else datatype)


def _tensor(spec: TensorSpec, values: Sequence[Value]) -> Tensor:
    shape = (1, *spec.shape[1:])
    if spec.datatype == "BYTES":
        return Tensor(spec.name, "BYTES", shape, [str(value).encode() for value in values])
    if spec.datatype == "FP16":  # it has no form in JSON
        try:
            packed = struct.pack(f"<{len(values)}e", *values)
        except OverflowError:
            raise CannotTake(
                "takes_other_values", "A number is out of the range of FP16.", distance=1
            ) from None
        return Tensor(spec.name, "FP16", shape, packed)
    whole = [
        int(value) if isinstance(value, float) and value.is_integer() and spec.datatype[:2] != "FP" else value
        for value in values
    ]
    if spec.datatype == "BOOL":  # of a category its index
        whole = [bool(value) if value in (0, 1) else value for value in whole]
    try:
        return v2.from_json(spec.name, spec.datatype, shape, whole)
    except v2.WrongElement as error:
        column = spec.columns[error.at]
        detail = f"{column.name} takes {_takes(column, spec.datatype)}, not {error.element}."
        raise CannotTake("takes_other_values", detail, distance=1) from None
    except InvalidRequest as error:
        raise CannotTake("takes_other_values", f"{error}.", distance=1) from None
