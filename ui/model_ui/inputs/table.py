"""One row of a table: a form with a field for each column, its unit, its range and its example."""

import math
from collections.abc import Mapping

from pydantic import JsonValue

from model_ui.inputs.base import Incomplete, InputKind, PredictionRequest, button
from model_ui.render.markup import number, text
from model_ui.render.versions import range_words
from model_ui.spec_types import Column, Tensor
from model_ui.tasks import Task

NAMED = 5
TRUTHS = ("true", "false")


def _form(task: Task) -> str:
    tensor = task.inputs[0]
    fields = "".join(_field(column, tensor) for column in tensor.columns)
    return (
        # A form has its controls as properties, which would hide its own: `dataset` is a good name for a column.
        '<div data-widget="form"><form class="m-pad m-form" novalidate>'
        f'<div class="m-fields">{fields}</div>'
        f'<div class="m-tools">{button("clear", "Clear")}{button("example", "Example")}'
        f"{button('predict', 'Predict', primary=True)}</div></form></div>"
    )


def _field(column: Column, tensor: Tensor) -> str:
    name, example = text(column.name), text(_example(column, tensor))
    label = f'<span title="{name}">{name}{_unit(column)}</span>'
    choices = column.categories or (TRUTHS if tensor.datatype == "BOOL" else ())
    if choices:
        options = "".join(
            f'<option value="{text(one)}"{" selected" if text(one) == example else ""}>{text(one)}</option>'
            for one in ("", *choices)
        )
        control = f'<select name="{name}" data-example="{example}">{options}</select>'
        return f'<label class="m-field">{label}{control}</label>'
    if tensor.datatype == "BYTES":
        empty = ' placeholder="may be empty"' if column.optional else ""
        shown = f'value="{example}" data-example="{example}"{empty}'
        return f'<label class="m-field">{label}<input name="{name}" {shown}></label>'
    low, high = column.minimum, column.maximum
    words = range_words(column.model_copy(update={"unit": ""}))
    scale = ""
    if low is not None and high is not None and low < high:
        # Beside the number, which is what a keyboard and a screen reader get.
        scale = (
            f'<input type="range" min="{low}" max="{high}" step="any" data-of="{name}" tabindex="-1" '
            'aria-hidden="true">'
        )
    hint = f'<small class="m-range">{text(words)}</small>' if words else ""
    return (
        f'<label class="m-field">{label}<input type="number" step="any" inputmode="decimal" name="{name}" '
        f'value="{example}" data-example="{example}">{scale}{hint}</label>'
    )


def _unit(column: Column) -> str:
    return f" <em>{text(column.unit)}</em>" if column.unit else ""


def _example(column: Column, tensor: Tensor) -> str:
    """What a field holds at first: the example, else a value in the middle of the range."""
    if tensor.datatype == "BOOL" and not column.categories:
        return "true" if column.example else "false"
    if isinstance(column.example, int | float):
        return f"{column.example:.15g}"
    if isinstance(column.example, str):
        return column.example
    if column.categories:
        return column.categories[0]
    if column.minimum is not None and column.maximum is not None:
        middle = (column.minimum + column.maximum) / 2
        short = f"{middle:.4g}"
        return short if column.minimum <= float(short) <= column.maximum else f"{middle:.15g}"
    return ""


def _request(task: Task, fields: Mapping[str, object]) -> PredictionRequest | None:
    if not fields:
        return None
    tensor = task.inputs[0]
    given = {column.name: str(fields.get(column.name, "")) for column in tensor.columns}
    if not any(value.strip() for value in given.values()):
        return None
    optional = {column.name for column in tensor.columns if column.optional}
    missing = [name for name, value in given.items() if not value.strip() and name not in optional]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise Incomplete(f"Fill in {', '.join(missing[:NAMED])}{more}.")
    values = zip(tensor.columns, given.values(), strict=True)
    row = {column.name: _value(column, tensor, value) for column, value in values}
    return PredictionRequest(body={"row": row})


def _value(column: Column, tensor: Tensor, value: str) -> JsonValue:
    if column.optional and not value.strip():
        return None
    if column.categories:  # as it is, also with spaces at its ends
        return value
    if tensor.datatype == "BYTES":
        return value.strip()
    return value == "true" if tensor.datatype == "BOOL" else _number(column, value)


def _number(column: Column, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Incomplete(f"{column.name} has to be a number such as {number(1.5)}.")
    return found


def _waiting(_: Task) -> tuple[str, str]:
    return (
        "Fill in a row",
        "It holds an example already: press Predict, or change a value, and every model answers.",
    )


KIND = InputKind(_form, _request, _waiting)
