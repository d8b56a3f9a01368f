"""What models answer: one module for each kind, and the registry from which `render.answers` takes them."""

from model_ui.answers import boxes, classes, number, tensor, text
from model_ui.answers.base import Answer, AnswerKind, Verdict, joined

__all__ = ["ANSWERS", "Answer", "AnswerKind", "Verdict", "joined", "kind_of"]

ANSWERS: tuple[AnswerKind, ...] = (classes.KIND, number.KIND, text.KIND, boxes.KIND, tensor.KIND)


def kind_of(answer: Answer) -> AnswerKind:
    """How an answer is shown; one of an unknown kind is shown as tensors."""
    found = (kind for kind in ANSWERS if answer.result.kind in kind.outputs)
    return next(found, tensor.KIND)
