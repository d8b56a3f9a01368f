"""The tensors of a model spec: `inputs` and `outputs` of model.yaml, read strictly."""

import re
from collections.abc import Sequence
from typing import Any

from serving_runtime.archive import spec_fields, tensor_kinds
from serving_runtime.archive.spec_fields import ModelSpecError
from serving_runtime.archive.tensor_kinds import (
    INPUT_KINDS,
    LAYOUTS,
    OUTPUT_KINDS,
    Column,
    Example,
    ImageFormat,
    TensorSpec,
)
from serving_runtime.contracts import DATATYPES

_TENSOR = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_SIDE = 100_000
_MOST_COLUMNS = 10_000
_MOST_EXAMPLES = 10_000


def inputs(value: object) -> tuple[TensorSpec, ...]:
    """Read `inputs`. Raises ModelSpecError."""
    return _distinct(
        [_input(item, f"inputs[{at}]") for at, item in enumerate(_listed(value, "inputs"))], "inputs"
    )


def outputs(value: object, labels: Sequence[str]) -> tuple[TensorSpec, ...]:
    """Read `outputs` of a model with these labels. Raises ModelSpecError."""
    listed = enumerate(_listed(value, "outputs"))
    return _distinct([_output(item, f"outputs[{at}]", labels) for at, item in listed], "outputs")


_TENSOR_KEYS = ("name", "datatype", "shape")
_INPUT_KEYS = (*_TENSOR_KEYS, "accepts", "kind", "image", "columns", "example")
_OUTPUT_KEYS = (*_TENSOR_KEYS, "kind", "unit")


def _input(value: object, where: str) -> TensorSpec:
    fields = spec_fields.mapping(value, where, required=_TENSOR_KEYS, known=_INPUT_KEYS)
    name, datatype, shape = _named(fields, where)
    accepts = fields.get("accepts", [datatype])
    if not isinstance(accepts, list) or len(accepts) > len(DATATYPES) or datatype not in accepts:
        raise ModelSpecError(f"{where}.accepts must be a list of datatypes that holds {datatype}")
    accepts = tuple(spec_fields.datatype(item, f"{where}.accepts") for item in accepts)
    columns = _columns(fields["columns"], f"{where}.columns", datatype) if "columns" in fields else ()
    kind: str = tensor_kinds.input_kind(datatype, shape, accepts, columns=bool(columns))
    if "image" in fields:
        kind = "image"
    if "kind" in fields:
        kind = spec_fields.choice(fields["kind"], f"{where}.kind", INPUT_KINDS)
    for key, belongs in (("image", "image"), ("columns", "table")):
        if key in fields and kind != belongs:
            raise ModelSpecError(
                f"{where}.{key} is for the kind {belongs}; leave it out, or set kind: {belongs}"
            )
    _check_input(kind, datatype, shape, columns, where)
    image = None
    if kind == "image":
        image = _image(fields.get("image"), f"{where}.image", datatype, shape)
    example = _example(fields["example"], f"{where}.example", kind, shape) if "example" in fields else None
    return TensorSpec(name, datatype, shape, accepts, kind, image, columns, "", example)


def _check_input(
    kind: str, datatype: str, shape: tuple[int, ...], columns: tuple[Column, ...], where: str
) -> None:
    fits_column = tensor_kinds.is_column(shape)
    if kind == "text" and (datatype != "BYTES" or not fits_column):
        raise ModelSpecError(f"{where} is a text: its datatype must be BYTES and its shape [-1]")
    if kind == "image" and datatype == "BYTES" and not fits_column:
        raise ModelSpecError(f"{where} is an image file: its shape must be [-1]")
    if kind == "image" and datatype != "BYTES" and tensor_kinds.image_layout(shape) is None:
        raise ModelSpecError(
            f"{where} is an image: its shape must be [-1, height, width], with 1 or 3 channels before or after"
        )
    if kind != "table":
        return
    if not columns:
        raise ModelSpecError(f"{where} is a table: list its columns, such as columns: [{{name: age}}]")
    if shape != (-1, len(columns)) and not (fits_column and len(columns) == 1):
        raise ModelSpecError(f"{where} has {len(columns)} columns: its shape must be [-1, {len(columns)}]")


def _output(value: object, where: str, labels: Sequence[str]) -> TensorSpec:
    fields = spec_fields.mapping(value, where, required=_TENSOR_KEYS, known=_OUTPUT_KEYS)
    name, datatype, shape = _named(fields, where)
    kind: str = tensor_kinds.output_kind(datatype, shape, labels)
    if "kind" in fields:
        kind = spec_fields.choice(fields["kind"], f"{where}.kind", OUTPUT_KINDS)
    unit = spec_fields.line(fields.get("unit", ""), f"{where}.unit", longest=40)
    if unit and kind != "number":
        raise ModelSpecError(f"{where}.unit is for the kind number; leave it out, or set kind: number")
    fits_column = tensor_kinds.is_column(shape)
    if kind in ("label", "text", "boxes") and (datatype != "BYTES" or not fits_column):
        raise ModelSpecError(f"{where} is of the kind {kind}: its datatype must be BYTES and its shape [-1]")
    if kind == "number" and (datatype in ("BYTES", "BOOL") or not fits_column):
        raise ModelSpecError(f"{where} is a number: its datatype must be one of numbers and its shape [-1]")
    if kind == "probabilities" and not (datatype == "BYTES" and fits_column):
        _check_probabilities(datatype, shape, labels, where)
    return TensorSpec(name, datatype, shape, (datatype,), kind, unit=unit)


def _check_probabilities(datatype: str, shape: tuple[int, ...], labels: Sequence[str], where: str) -> None:
    if datatype not in tensor_kinds.FLOATS or len(shape) != 2:
        raise ModelSpecError(
            f"{where} are probabilities: the datatype must be FP32 or FP64 and the shape [-1, number of labels]"
        )
    if labels and shape[1] != len(labels):
        raise ModelSpecError(f"{where} has {shape[1]} probabilities, but there are {len(labels)} labels")


def _named(fields: dict[str, Any], where: str) -> tuple[str, str, tuple[int, ...]]:
    name = spec_fields.match(
        fields["name"], f"{where}.name", _TENSOR, "letters, digits, dots, dashes, at most 64"
    )
    datatype = spec_fields.datatype(fields["datatype"], f"{where}.datatype")
    return name, datatype, spec_fields.tensor_shape(fields["shape"], f"{where}.shape")


def _listed(value: object, where: str) -> list[object]:
    if not isinstance(value, list) or not 1 <= len(value) <= 16:
        raise ModelSpecError(f"{where} must be a list of 1 to 16 tensors")
    return value


def _distinct(tensors: list[TensorSpec], where: str) -> tuple[TensorSpec, ...]:
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise ModelSpecError(f"{where} has two tensors with one name; rename one")
    return tuple(tensors)


def _image(value: object, where: str, datatype: str, shape: tuple[int, ...]) -> ImageFormat | None:
    told = tensor_kinds.image_format(datatype, shape)
    if value is None:
        return told
    known = ("width", "height", "channels", "layout", "minimum", "maximum")
    fields = spec_fields.mapping(value, where, known=known)
    given = {key: spec_fields.whole(fields[key], f"{where}.{key}", 1, _MOST_SIDE) for key in ("width", "height")
             if key in fields}  # fmt: skip
    channels = spec_fields.whole(
        fields.get("channels", told.channels if told else 3), f"{where}.channels", 1, 4
    )
    layout = fields.get("layout", told.layout if told else "HW" if channels == 1 else "HWC")
    layout = spec_fields.choice(layout, f"{where}.layout", LAYOUTS)
    found = ImageFormat(
        width=given.get("width", told.width if told else None),
        height=given.get("height", told.height if told else None),
        channels=channels,
        layout=layout,
        minimum=spec_fields.number(fields.get("minimum", 0), f"{where}.minimum"),
        maximum=spec_fields.number(fields.get("maximum", told.maximum if told else 255), f"{where}.maximum"),
    )
    if found.minimum >= found.maximum:
        raise ModelSpecError(f"{where}.minimum must be below maximum")
    sizes = {"H": found.height, "W": found.width, "C": channels}
    expected = (-1, *(sizes[axis] for axis in layout))
    if told is not None and (expected != shape or (layout == "HW" and channels != 1)):
        raise ModelSpecError(
            f"{where} says {list(expected)[1:]} in the layout {layout}, the shape is {list(shape)}"
        )
    return found


def _columns(value: object, where: str, datatype: str) -> tuple[Column, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_COLUMNS:
        raise ModelSpecError(
            f"{where} must be a list of 1 to {_MOST_COLUMNS} columns, such as [{{name: age}}]"
        )
    columns = tuple(_column(item, f"{where}[{at}]", datatype) for at, item in enumerate(value))
    if len({column.name for column in columns}) < len(columns):
        raise ModelSpecError(f"{where} has two columns with one name; rename one")
    return columns


def _column(value: object, where: str, datatype: str) -> Column:
    known = ("name", "unit", "minimum", "maximum", "categories", "example", "optional")
    fields = spec_fields.mapping(value, where, required=("name",), known=known)
    name = spec_fields.line(fields["name"], f"{where}.name", longest=100)
    if not name.strip():
        raise ModelSpecError(f"{where}.name is empty; name the column")
    categories = spec_fields.label_texts(fields.get("categories", []), f"{where}.categories")
    if not all(map(str.strip, categories)):
        raise ModelSpecError(
            f"{where}.categories has an empty one; give it a name that can be seen and typed"
        )
    least, most = (
        spec_fields.number(fields[key], f"{where}.{key}") if key in fields else None
        for key in ("minimum", "maximum")
    )
    if (categories or datatype == "BYTES") and (least is not None or most is not None):
        raise ModelSpecError(f"{where} holds texts; leave minimum and maximum out")
    if least is not None and most is not None and least > most:
        raise ModelSpecError(f"{where}.minimum must not be above maximum")
    unit = spec_fields.line(fields.get("unit", ""), f"{where}.unit", longest=40)
    example: float | str | None = fields.get("example")
    if example is not None:
        texts = categories or datatype == "BYTES"
        read = spec_fields.line if texts else spec_fields.number
        example = read(example, f"{where}.example")
        if categories and example not in categories:
            raise ModelSpecError(f"{where}.example must be one of the categories")
    optional = fields.get("optional", False)
    if type(optional) is not bool:
        raise ModelSpecError(f"{where}.optional must be true or false")
    if optional and datatype != "BYTES":
        raise ModelSpecError(
            f"{where}.optional: no number says that a value is missing; make the table one of BYTES, where an empty "
            "text does"
        )
    return Column(name, unit, least, most, categories, example, optional)


def _example(value: object, where: str, kind: str, shape: tuple[int, ...]) -> Example:
    if kind == "text":
        return spec_fields.lines(value, where)
    if kind != "tensor":
        raise ModelSpecError(
            f"{where} is for the kinds text and tensor; a table has one in each of its columns"
        )
    return _numbers(value, where, list(shape[1:]))


def _numbers(value: object, where: str, sizes: list[int]) -> float | list[Any]:
    if not sizes:
        return spec_fields.number(value, where)
    if not isinstance(value, list) or len(value) != sizes[0] or len(value) > _MOST_EXAMPLES:
        raise ModelSpecError(
            f"{where} must be one row: lists of numbers in the shape of the tensor without -1"
        )
    return [_numbers(item, where, sizes[1:]) for item in value]
