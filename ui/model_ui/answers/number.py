"""Numbers: their mean and spread, with a point for each model on one line."""

from collections.abc import Sequence
from statistics import fmean, median, pstdev

from model_ui.answers.base import Answer, AnswerKind, Verdict
from model_ui.prediction_types import AskedInput
from model_ui.render.markup import number, text

# With fewer nobody can say who is the odd one out.
FEWEST = 3


def _verdict(answers: Sequence[Answer]) -> Verdict:
    values = [_value(answer) for answer in answers]
    unit = answers[0].result.unit or ""
    low, high, mean = min(values), max(values), fmean(values)
    if len(answers) == 1:
        return Verdict(_with_unit(mean, unit), "One model answered.", number(mean))
    if low == high:
        return Verdict(_with_unit(mean, unit), f"All {len(answers)} models say the same.", number(mean))
    detail = f"mean {number(mean)} ± {number(pstdev(values))} of {len(answers)} models"
    if len(answers) >= FEWEST:
        middle = median(values)
        farthest = max(answers, key=lambda answer: abs(_value(answer) - middle))
        detail += f"; farthest from the others is {farthest.name} with {number(_value(farthest))}"
    return Verdict(
        f"{number(low)} to {_with_unit(high, unit)}",
        f"{detail}.",
        number(mean),
        agreed=True,
        more=_line(answers, None),
    )


def _body(answer: Answer, answers: Sequence[Answer], _: AskedInput) -> str:
    unit = answer.result.unit or ""
    shown = f'<span class="m-unit">{text(unit)}</span>' if unit else ""
    line = _line(answers, answer) if len(answers) > 1 else ""
    return f'<div class="m-number"><span class="m-label">{number(_value(answer))}</span>{shown}</div>{line}'


def _line(answers: Sequence[Answer], own: Answer | None) -> str:
    """All values as points between the smallest and the largest; `own` is emphasised."""
    values = [_value(answer) for answer in answers]
    low, width = min(values), (max(values) - min(values)) or 1.0
    points = "".join(
        f'<i class="{"own" if answer is own else ""}" style="--at:{(value - low) / width:.4f}" '
        f'title="{text(answer.name)}: {number(value)}"></i>'
        for answer, value in zip(answers, values, strict=True)
    )
    return f'<div class="m-line" aria-hidden="true">{points}</div>'


def _value(answer: Answer) -> float:
    return answer.result.number or 0.0


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".strip()


KIND = AnswerKind(frozenset(("number",)), _verdict, _body)
