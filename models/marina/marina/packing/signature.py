"""Inputs and outputs of a packed model in the words of `model.yaml`, told by its example and by what it gave for it."""

import io
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from marina.errors import WrongUse
from marina.packing.example import Example
from serving_runtime.packed import images

Array = npt.NDArray[Any]
Json = dict[str, Any]
DATATYPES = {"b": "BOOL", "u": "UINT", "i": "INT", "f": "FP"}
SURE = 1e-3


@dataclass(frozen=True)
class Candidate:
    """One way to read the example: the model's inputs, their values in one row, and how an image becomes an array."""

    inputs: list[Json]
    row: list[Array]
    image: Json | None = None
    is_unclear: bool = False
    """Whether another reading of the same array, with or without a batch, is as likely."""


@dataclass(frozen=True)
class ImageOptions:
    """What an image alone does not tell: the size that the model wants, its channels, and how values are normalised."""

    size: tuple[int, int] | None = None
    channels: int | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


def candidates(example: Example, batch: str | None, options: ImageOptions) -> list[Candidate]:
    """The ways in which an example may be meant, the likeliest first. Raises WrongUse.

    `batch` says whether the first dimension of an array is the batch (`first`) or there is none (`none`).
    """
    match example.kind:
        case "image":
            return list(_images(example.image, options))
        case "table":
            return [Candidate([_table(example.columns)], [])]
        case "text":
            declared = {"name": "text", "datatype": "BYTES", "shape": [-1], "kind": "text"}
            return [Candidate([{**declared, "example": example.text}], [])]
    return _tensors(example.arrays, batch)


def outputs(
    found: dict[str, Array], texts: dict[str, list[str]], labels: list[str], unit: str
) -> tuple[list[Json], str | None, list[list[str]]]:
    """The outputs, the result to which softmax has to be applied, and pairs of the model's name and the output's.

    `found` are the results for one row, each [1, ...]. Raises WrongUse when labels do not fit.
    """
    if "label" in texts and not found:
        return [_output("label", "BYTES", [-1], "label")], None, [["label", "label"]]
    if labels:
        key = _of_classes(found, len(labels))
        softmax = None if _are_probabilities(found[key]) else key
        others = [(other, _other_name(other)) for other in found if other != key]
        described = [*_classes(len(labels)), *(_tensor_output(name, found[other]) for other, name in others)]
        return described, softmax, [[key, "probabilities"], *map(list, others)]
    if len(found) == 1:
        ((key, value),) = found.items()
        if value.shape in ((1,), (1, 1)) and value.dtype.kind == "f":
            number = _output("number", datatype(value), [-1, *value.shape[1:]], "number")
            return [number | ({"unit": unit} if unit else {})], None, [[key, "number"]]
    names = [[key, _name(key)] for key in found]
    return [_tensor_output(name, found[key]) for key, name in names], None, names


def _of_classes(found: dict[str, Array], count: int) -> str:
    """The one result that has a number for each class. Raises WrongUse."""
    fitting = [key for key, value in found.items() if value.shape == (1, count) and value.dtype.kind == "f"]
    if len(fitting) == 1:
        return fitting[0]
    if len(found) == 1:
        ((_, value),) = found.items()
        given = "x".join(map(str, value.shape[1:])) or "1"
        raise WrongUse(f"the model gives {given} values for a row, and there are {count} labels")
    raise WrongUse(
        f"of the {len(found)} results of the model {len(fitting) or 'none'} have a number for each of {count} labels: "
        "--labels names the classes of one"
    )


def _name(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", key)[:64]


def _other_name(key: str) -> str:
    """Of a result beside those of the classes, whose outputs have names of their own."""
    name = _name(key)
    return f"model_{name}" if name in ("probabilities", "label") else name


def _tensor_output(name: str, value: Array) -> Json:
    return _output(name, datatype(value), [-1, *value.shape[1:]], "tensor")


def expected(
    found: dict[str, Array],
    texts: dict[str, list[str]],
    labels: list[str],
    softmax: str | None,
    names: list[list[str]],
) -> list[Json]:
    """The golden answer: the results as v2 tensors of the outputs."""
    tensors = []
    for key, name in names:
        if key in texts:
            tensors.append({"name": name, "datatype": "BYTES", "shape": [1], "data": texts[key]})
            continue
        value = found[key]
        if key == softmax:
            powers = np.exp(value - value.max(-1, keepdims=True))
            value = powers / powers.sum(-1, keepdims=True)
        tensors.append(tensor(name, value))
        if name == "probabilities":
            tensors[-1] = tensor(name, value.astype(np.float32))
            best = labels[int(value[0].argmax())]
            tensors.append({"name": "label", "datatype": "BYTES", "shape": [1], "data": [best]})
    return tensors


def tensor(name: str, value: Array) -> Json:
    """An array as a v2 tensor."""
    return {
        "name": name,
        "datatype": datatype(value),
        "shape": list(value.shape),
        "data": value.reshape(-1).tolist(),
    }


def datatype(value: Array) -> str:
    """v2's name of an array's type."""
    kind = DATATYPES[value.dtype.kind]
    return kind if kind == "BOOL" else f"{kind}{value.dtype.itemsize * 8}"


def _table(columns: list[Json]) -> Json:
    """A row of numbers; of texts where a value may be missing, which no number says."""
    datatype = "FP32"
    if any(column.get("optional") for column in columns):
        datatype, columns = "BYTES", [_as_text(column) for column in columns]
    return {
        "name": "row",
        "datatype": datatype,
        "shape": [-1, len(columns)],
        "kind": "table",
        "columns": columns,
    }


def _as_text(column: Json) -> Json:
    """The same column in a table of texts, which has no ranges."""
    kept = {key: value for key, value in column.items() if key not in ("minimum", "maximum")}
    example = kept.get("example")
    return kept | ({"example": f"{example:.15g}"} if isinstance(example, float) else {})


def _images(file: bytes, options: ImageOptions) -> Any:
    try:
        with Image.open(io.BytesIO(file)) as opened:
            size, grey = opened.size, opened.mode in ("1", "L", "I", "I;16", "F")
    except (OSError, Image.DecompressionBombError) as error:
        raise WrongUse("the example is no image that can be read: take another PNG or JPEG") from error
    width, height = options.size or size
    likely = options.channels or (1 if grey else 3)
    for channels in [likely] if options.channels else [likely, 4 - likely]:
        if {len(options.mean), len(options.std)} - {1, channels}:
            continue
        for layout in ("CHW", "HW", "HWC") if channels == 1 else ("CHW", "HWC"):
            facts: Json = {"width": width, "height": height, "channels": channels, "layout": layout}
            sizes = {"C": channels, "H": height, "W": width}
            shape = [-1, *(sizes[letter] for letter in layout)]
            declared = {"name": "image", "datatype": "UINT8", "shape": shape, "kind": "image"}
            shown = {"image": {**facts, "minimum": 0, "maximum": 255}, "accepts": ["UINT8", "FP32", "BYTES"]}
            spread = {"mean": _each(options.mean, channels), "std": _each(options.std, channels)}
            file_alone = np.empty(1, dtype=object)
            file_alone[0] = file
            row = images.prepare(file_alone, {**facts, **spread})[0]
            yield Candidate([{**declared, **shown}], [row], {**facts, **spread})


def _each(values: tuple[float, ...], channels: int) -> list[float]:
    return list(values) if len(values) == channels else list(values) * channels


def pixels(chosen: Candidate) -> Array:
    """The image as uint8 [1, ...] in the model's layout."""
    assert chosen.image
    row = chosen.row[0]
    shape = [len(chosen.image["mean"]) if letter == "C" else 1 for letter in chosen.image["layout"]]
    mean, std = (np.array(chosen.image[key], np.float32).reshape(shape) for key in ("mean", "std"))
    found: Array = np.clip(np.rint((row * std + mean) * 255), 0, 255).astype(np.uint8)[np.newaxis]
    return found


def _tensors(arrays: dict[str, Array], batch: str | None) -> list[Candidate]:
    """As they are; and whole numbers as FP32, which is what a model mostly wants that does not take them."""
    found = _with_and_without_batch(arrays, batch)
    if any(array.dtype == np.int64 for array in arrays.values()):
        as_floats = {
            name: one.astype(np.float32) if one.dtype == np.int64 else one for name, one in arrays.items()
        }
        found += _with_and_without_batch(as_floats, batch)
    return found


def _with_and_without_batch(arrays: dict[str, Array], batch: str | None) -> list[Candidate]:
    """Without a batch dimension, or with one in front; a first dimension of 1 is more likely the batch."""
    have_first = (
        all(array.ndim for array in arrays.values()) and len({len(one) for one in arrays.values()}) == 1
    )
    with_first = [_tensor_candidate({name: array[0] for name, array in arrays.items()})] if have_first else []
    without = [_tensor_candidate(arrays)]
    if batch == "first" and not have_first:
        raise WrongUse("the arrays of the example have no common first dimension: leave --batch first out")
    if batch:
        return with_first if batch == "first" else without
    one_row = have_first and len(next(iter(arrays.values()))) == 1
    if one_row:
        return [*with_first, *without]
    return [replace(one, is_unclear=True) for one in (*without, *with_first)]


def _tensor_candidate(row: dict[str, Array]) -> Candidate:
    inputs = [
        {"name": name, "datatype": datatype(array), "shape": [-1, *array.shape], "kind": "tensor"}
        for name, array in row.items()
    ]
    return Candidate(inputs, list(row.values()))


def _classes(count: int) -> list[Json]:
    return [
        _output("probabilities", "FP32", [-1, count], "probabilities"),
        _output("label", "BYTES", [-1], "label"),
    ]


def _output(name: str, form: str, shape: list[int], kind: str) -> Json:
    return {"name": name, "datatype": form, "shape": shape, "kind": kind}


def _are_probabilities(value: Array) -> bool:
    """Whether the row sums to 1; otherwise they are logits."""
    return bool(value.min() >= 0 and abs(float(value.sum()) - 1) < SURE)
