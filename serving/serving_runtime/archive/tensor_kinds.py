"""What a tensor of a model is: an image, a row of a table, a text, class probabilities, a number, ...

Pure: what a model spec says of its tensors becomes `TensorSpec`, what it leaves out is derived from datatype and shape,
and one form in JSON is what version rows, the metadata API and v2 metadata show. `spec_fields` reads a model spec.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

InputKind = Literal["image", "table", "text", "tensor", "raw"]
OutputKind = Literal["probabilities", "label", "number", "text", "boxes", "tensor", "raw"]
INPUT_KINDS: tuple[InputKind, ...] = get_args(InputKind)
OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
"""`raw` says that nothing is known."""

LAYOUTS = ("HW", "HWC", "CHW")
FLOATS = ("FP16", "FP32", "FP64")
Example = str | float | list[Any]
_SHOWN_CATEGORIES = 10


@dataclass(frozen=True)
class ImageFormat:
    """The image that goes into the network; a file of another size is brought to it by the model itself.

    Width and height are pixels, None for any; `minimum` is black and `maximum` is white (or paper and ink).
    """

    width: int | None
    height: int | None
    channels: int
    layout: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Column:
    """One number or text of a row.

    `categories` are what it may be: a table of numbers gets the index of one, a table of BYTES its text. A value of an
    `optional` column may be missing, which an empty text says.
    """

    name: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    example: float | str | None = None
    optional: bool = False


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: v2 datatype, shape with -1 for the batch (always the first dimension), and what it is.

    `accepts` lists every datatype that an input may come in; it always holds `datatype`. `image` belongs to images,
    `columns` to tables, `unit` to numbers; `example` is a text or the numbers of one row.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    accepts: tuple[str, ...]
    kind: str = "raw"
    image: ImageFormat | None = None
    columns: tuple[Column, ...] = ()
    unit: str = ""
    example: Example | None = None

    @property
    def content_type(self) -> str | None:
        """What MLServer calls it: np, str or base64; None where nothing is known."""
        if self.kind == "raw":
            return None
        if self.datatype != "BYTES":
            return "np"
        return "base64" if self.kind == "image" else "str"


def input_kind(datatype: str, shape: tuple[int, ...], accepts: Sequence[str], *, columns: bool) -> InputKind:
    """What an input is when its model spec does not say it."""
    if columns:
        return "table"
    if datatype == "BYTES":
        return "text" if is_column(shape) else "tensor"
    return "image" if "BYTES" in accepts and image_layout(shape) is not None else "tensor"


def output_kind(datatype: str, shape: tuple[int, ...], labels: Sequence[str]) -> OutputKind:
    """The same for an output; `labels` are the model's."""
    if datatype in FLOATS and labels and shape == (-1, len(labels)):
        return "probabilities"
    if datatype == "BYTES" and is_column(shape):
        return "label" if labels else "text"
    return "number" if datatype in FLOATS and is_column(shape) else "tensor"


def is_column(shape: tuple[int, ...]) -> bool:
    """Whether there is one element a row."""
    return shape in ((-1,), (-1, 1))


def image_layout(shape: tuple[int, ...]) -> str | None:
    """HW, HWC or CHW, as one image of the batch has it; None when it cannot be an image."""
    sizes = shape[1:]
    if len(sizes) == 2:
        return "HW"
    if len(sizes) != 3:
        return None
    if sizes[2] in (1, 3):
        return "HWC"
    return "CHW" if sizes[0] in (1, 3) else None


def image_format(datatype: str, shape: tuple[int, ...]) -> ImageFormat | None:
    """What datatype and shape tell of an image; None for files of any size."""
    layout = image_layout(shape) if datatype != "BYTES" else None
    if layout is None:
        return None
    sizes = dict(zip(layout, shape[1:], strict=True))
    white = 255 if datatype == "UINT8" else 1
    return ImageFormat(sizes["W"], sizes["H"], sizes.get("C", 1), layout, 0, white)


def as_document(tensor: TensorSpec) -> dict[str, Any]:
    """The tensor in JSON, without what it does not have."""
    document: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "accepts": list(tensor.accepts),
        "kind": tensor.kind,
        "content_type": tensor.content_type,
    }
    if tensor.image is not None:
        document["image"] = vars(tensor.image).copy()
    if tensor.columns:
        document["columns"] = [_column_document(column) for column in tensor.columns]
    if tensor.unit:
        document["unit"] = tensor.unit
    if tensor.example is not None:
        document["example"] = tensor.example
    return document


def from_document(
    document: dict[str, Any], *, is_input: bool, labels: Sequence[str], kind: str = ""
) -> TensorSpec:
    """The tensor that `as_document` wrote; for one that was written without a kind, `kind` or what is derived."""
    datatype, shape = document["datatype"], tuple(document["shape"])
    accepts = tuple(document.get("accepts") or (datatype,))
    columns = tuple(
        Column(**{**column, "categories": tuple(column.get("categories", ()))})
        for column in document.get("columns", ())
    )
    image = ImageFormat(**document["image"]) if document.get("image") else None
    if "kind" in document:
        kind = document["kind"]
    else:
        derived = input_kind(datatype, shape, accepts, columns=bool(columns))
        kind = kind or (derived if is_input else output_kind(datatype, shape, labels))
        image = image_format(datatype, shape) if kind == "image" else None
    unit, example = document.get("unit", ""), document.get("example")
    return TensorSpec(document["name"], datatype, shape, accepts, kind, image, columns, unit, example)


def parameters(tensor: TensorSpec) -> dict[str, str | float | bool]:
    """The `parameters` of the tensor in v2 metadata, which are flat: texts, numbers, true or false."""
    found: dict[str, str | float | bool] = {"kind": tensor.kind}
    if tensor.content_type is not None:
        found["content_type"] = tensor.content_type
    if tensor.image is not None:
        found |= {name: value for name, value in vars(tensor.image).items() if value is not None}
    if tensor.columns:
        found |= _column_parameters(tensor.columns)
    if tensor.unit:
        found["unit"] = tensor.unit
    return found


def taken(column: Column, datatype: str) -> str:
    """What the column takes, in words: `a number from 11 to 15 % vol`, `the index of its category: 0 red, 1 white`."""
    shown = column.categories[:_SHOWN_CATEGORIES]
    more = ", ..." if len(shown) < len(column.categories) else ""
    nothing = ", or an empty text" if column.optional else ""
    if column.categories and datatype == "BYTES":
        return f"one of {', '.join(shown)}{more}{nothing}"
    if column.categories:
        return (
            f"the index of its category: {', '.join(f'{at} {name}' for at, name in enumerate(shown))}{more}"
        )
    if datatype == "BYTES":
        return f"a string{nothing}"
    words = {"BOOL": "true or false"}.get(datatype, "a number" if datatype in FLOATS else "a whole number")
    least, most = column.minimum, column.maximum
    if least is not None and most is not None:
        words += f" from {least:g} to {most:g}"
    elif least is not None or most is not None:
        words += f" from {least:g}" if least is not None else f" up to {most:g}"
    return f"{words} {column.unit}".rstrip()


def example_of(column: Column, *, as_text: bool) -> float | str:
    """What the column takes: its example, else its least value; of categories the index, or with `as_text` the text."""
    value = column.example if column.example is not None else next(iter(column.categories), column.minimum)
    if as_text:
        return "" if value is None else str(value)
    if isinstance(value, str):
        return column.categories.index(value)
    return 0 if value is None else value


def _column_parameters(columns: Sequence[Column]) -> dict[str, str]:
    """Names in order; by name, of columns that have them, categories, units, ranges with null for no bound."""
    found: dict[str, Any] = {"columns": [column.name for column in columns]}
    about = {
        "categories": {one.name: one.categories for one in columns if one.categories},
        "units": {one.name: one.unit for one in columns if one.unit},
        "ranges": {
            one.name: [one.minimum, one.maximum]
            for one in columns
            if one.minimum is not None or one.maximum is not None
        },
    }
    found |= {name: values for name, values in about.items() if values}
    if optional := [one.name for one in columns if one.optional]:
        found["optional"] = optional
    return {name: json.dumps(values, ensure_ascii=False) for name, values in found.items()}


def _column_document(column: Column) -> dict[str, Any]:
    fields = vars(column) | {"categories": list(column.categories)}
    return {
        name: value for name, value in fields.items() if value not in (None, "", []) and value is not False
    }
