"""Texts: who says the same, and what each model wrote."""

from collections import defaultdict
from collections.abc import Sequence

from model_ui.answers.base import Answer, AnswerKind, Verdict, says
from model_ui.prediction_types import AskedInput
from model_ui.render.markup import text

MOST_LETTERS = 4000


def _verdict(answers: Sequence[Answer]) -> Verdict:
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[(answer.result.text or "").strip()].append(answer)
    ordered = sorted(groups.values(), key=len, reverse=True)
    if len(answers) == 1:
        return Verdict("One model answered")
    if len(ordered) == 1:
        return Verdict(f"All {len(answers)} say the same")
    if len(ordered[0]) == 1:
        return Verdict(f"{len(answers)} different texts", agreed=False)
    others = [answer for group in ordered[1:] for answer in group]
    title = f"{len(ordered[0])} of {len(answers)} say the same"
    return Verdict(
        title, says(others, "something else"), agreed=False, dissenters={answer.name for answer in others}
    )


def _body(answer: Answer, _: Sequence[Answer], __: AskedInput) -> str:
    said = answer.result.text or ""
    cut = "…" if len(said) > MOST_LETTERS else ""
    return f'<p class="m-text">{text(said[:MOST_LETTERS])}{cut}</p>'


KIND = AnswerKind(frozenset(("text",)), _verdict, _body)
