"""Tensors as JSON, and models of which nothing is known, which get a text as it is."""

import json
import math
from collections.abc import Mapping
from typing import Any

from model_ui.inputs.base import Incomplete, InputKind, PredictionRequest, button
from model_ui.render.markup import text
from model_ui.spec_types import Tensor
from model_ui.tasks import Task

# An example of more numbers is nothing that somebody reads.
MOST_SHOWN = 64
DEEPEST = 16


def _form(task: Task) -> str:
    fields = "".join(_field(tensor, number) for number, tensor in enumerate(task.inputs))
    known = '<p class="m-sub">Nothing is known about what these models take: they get the text as it is.</p>'
    return (
        f'<form class="m-pad m-form" data-widget="form" novalidate>{known if task.kind == "raw" else ""}{fields}'
        f'<div class="m-tools">{button("clear", "Clear")}{button("example", "Example")}'
        f"{button('predict', 'Predict', primary=True)}</div></form>"
    )


def _field(tensor: Tensor, number: int) -> str:
    shape = " × ".join("n" if size < 0 else str(size) for size in tensor.shape)
    example = "" if _is_plain(tensor) else text(json.dumps(_example(tensor)))
    about = "text" if _is_plain(tensor) else f"{tensor.datatype} {shape}, as JSON"
    return (
        f'<label class="m-field m-wide"><span>{text(tensor.name)} <em>{text(about)}</em></span>'
        f'<textarea name="{number}" rows="4" spellcheck="false" class="m-code" data-example="{example}">'
        f"{example}</textarea></label>"
    )


def _is_plain(tensor: Tensor) -> bool:
    """Whether it is one BYTES element, of which nothing is known."""
    return tensor.datatype == "BYTES" and len(tensor.shape) == 1 and tensor.kind == "raw"


def _example(tensor: Tensor) -> Any:
    """A tensor to start from: one row of the example, or of zeros."""
    if tensor.example is not None:
        return [tensor.example]
    sizes = [1 if size < 0 else size for size in tensor.shape]
    if math.prod(sizes) > MOST_SHOWN:
        return []
    value: Any = "" if tensor.datatype == "BYTES" else False if tensor.datatype == "BOOL" else 0
    for size in reversed(sizes):
        value = [value] * size
    return value


def _request(task: Task, fields: Mapping[str, object]) -> PredictionRequest | None:
    given = [str(fields.get(str(number), "")).strip() for number, _ in enumerate(task.inputs)]
    if not any(given):
        return None
    tensors = [_tensor(tensor, value) for tensor, value in zip(task.inputs, given, strict=True)]
    return PredictionRequest(body={"tensors": tensors})


def _tensor(tensor: Tensor, given: str) -> dict[str, Any]:
    """A tensor of v2: its shape is that of the nested lists, of which a single row may lack the outermost."""
    fields = {"name": tensor.name, "datatype": tensor.datatype}
    if _is_plain(tensor):
        return {**fields, "shape": [1], "data": [given]}
    try:
        value = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise Incomplete(f"{tensor.name} is no JSON: write nested lists such as [[1, 2], [3, 4]].") from error
    shape, data = _flat(value, tensor.name)
    if len(shape) == len(tensor.shape) - 1:
        shape = [1, *shape]
    return {**fields, "shape": shape, "data": data}


def _flat(value: Any, name: str) -> tuple[list[int], list[Any]]:
    """Shape and values of nested lists; raises Incomplete when they are not even."""
    if not isinstance(value, list):
        return [], [value]
    shape, rows = [len(value)], value
    while rows and isinstance(rows[0], list) and len(shape) < DEEPEST:
        sizes = {len(row) if isinstance(row, list) else -1 for row in rows}
        if len(sizes) != 1:
            raise Incomplete(f"The lists of {name} have different lengths. Make all rows equally long.")
        shape.append(sizes.pop())
        rows = [item for row in rows for item in row]
    if any(isinstance(item, float) and not math.isfinite(item) for item in rows):
        raise Incomplete(f"{name} holds NaN or infinity, which models do not take. Write numbers.")
    if any(isinstance(item, list | dict) for item in rows):
        raise Incomplete(f"The lists of {name} are not nested evenly. Write lists of numbers.")
    return shape, rows


def _waiting(task: Task) -> tuple[str, str]:
    title = "Write a text" if task.kind == "raw" else "Write tensors as JSON"
    return title, "Press Predict, or change something, and every chosen deployment answers."


KIND = InputKind(_form, _request, _waiting)
