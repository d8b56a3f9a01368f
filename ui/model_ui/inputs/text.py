"""Texts: a box to write one into, with the example that the model's spec gives."""

from collections.abc import Mapping

from model_ui.inputs.base import InputKind, PredictionRequest, button
from model_ui.render.markup import text
from model_ui.tasks import Task

# What the API takes.
LONGEST = 100_000


def _form(task: Task) -> str:
    example = task.inputs[0].example
    shown = text(example) if isinstance(example, str) else ""
    hint = f' placeholder="for example: {shown}" data-example="{shown}"' if shown else ""
    try_one = button("example", "Example") if shown else ""
    return (
        '<form class="m-pad m-form" data-widget="form" novalidate><label class="m-field m-wide"><span>Text</span>'
        f'<textarea name="text" rows="5" maxlength="{LONGEST}" spellcheck="false"{hint}></textarea></label>'
        f'<div class="m-tools">{button("clear", "Clear")}{try_one}'
        f"{button('predict', 'Predict', primary=True)}</div></form>"
    )


def _request(_: Task, fields: Mapping[str, object]) -> PredictionRequest | None:
    given = fields.get("text")
    if not isinstance(given, str) or not given.strip():
        return None
    return PredictionRequest(body={"text": given[:LONGEST]})


def _waiting(_: Task) -> tuple[str, str]:
    return "Write a text", "Every chosen deployment answers as soon as you pause."


KIND = InputKind(_form, _request, _waiting)
