"""Tensors as JSON, as the model gave them; also of what nothing is known."""

import json
from collections.abc import Sequence

from model_ui.answers.base import Answer, AnswerKind, Verdict
from model_ui.prediction_types import AskedInput, OutputTensor
from model_ui.render.markup import text

MOST_LETTERS = 4000


def _verdict(answers: Sequence[Answer]) -> Verdict:
    said = {_key(answer) for answer in answers}
    if len(answers) == 1:
        return Verdict("One model answered")
    if len(said) == 1:
        return Verdict(f"All {len(answers)} say the same")
    return Verdict(f"{len(answers)} models answered", f"{len(said)} different answers", agreed=False)


def _key(answer: Answer) -> str:
    return json.dumps([tensor.model_dump() for tensor in answer.result.tensors or ()])


def _body(answer: Answer, _: Sequence[Answer], __: AskedInput) -> str:
    tensors = answer.result.tensors or ()
    if not tensors and answer.result.text is not None:
        return f'<pre class="m-json">{text(answer.result.text[:MOST_LETTERS])}</pre>'
    return "".join(_tensor(tensor) for tensor in tensors) or '<p class="m-sub">nothing</p>'


def _tensor(tensor: OutputTensor) -> str:
    shape = " × ".join(str(size) for size in tensor.shape)
    said = "too long to be shown" if tensor.data is None else json.dumps(tensor.data, ensure_ascii=False)
    cut = "…" if len(said) > MOST_LETTERS else ""
    return (
        f'<div class="m-tensor"><b>{text(tensor.name)}</b> <em>{text(f"{tensor.datatype} {shape}")}</em>'
        f'<pre class="m-json" tabindex="0">{text(said[:MOST_LETTERS])}{cut}</pre></div>'
    )


KIND = AnswerKind(frozenset(("tensor", "raw")), _verdict, _body, wide=True)
