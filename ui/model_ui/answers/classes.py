"""Classes: the label that got most votes, and for each model its probabilities as bars."""

from collections import defaultdict
from collections.abc import Sequence

from model_ui.answers.base import Answer, AnswerKind, Verdict, says
from model_ui.prediction_types import AskedInput, Probability, Result
from model_ui.render.markup import percent, text

# More labels than this, or longer ones, do not fit as columns beside each other.
COLUMNS = 12
COLUMN_LETTERS = 2
ROWS = 5


def _verdict(answers: Sequence[Answer]) -> Verdict:
    votes: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        votes[answer.result.label or ""].append(answer)
    ordered = sorted(votes.items(), key=lambda item: -len(item[1]))
    label, voters = ordered[0]
    if len(answers) == 1:
        return Verdict(says(answers, label), "One model answered.", label)
    tied = [item for item in ordered if len(item[1]) == len(voters)]
    if len(tied) > 1:
        sides = "; ".join(says(others, other) for other, others in ordered)
        labels = " and ".join(other for other, _ in tied[:2]) if len(tied) == 2 else f"{len(tied)} classes"
        return Verdict(f"Tied between {labels}", sides, "?", agreed=False)
    dissent = "; ".join(says(others, other) for other, others in ordered[1:])
    return Verdict(
        f"{len(voters)} of {len(answers)} say {label}",
        dissent or "All answers agree.",
        label,
        agreed=not dissent,
        dissenters={answer.name for _, others in ordered[1:] for answer in others},
    )


def _body(answer: Answer, _: Sequence[Answer], __: AskedInput) -> str:
    result = answer.result
    return f"{_label(result)}{_bars(result)}"


def _label(result: Result) -> str:
    label = result.label or ""
    long = " long" if len(label) > COLUMN_LETTERS else ""
    best = (
        f'<span class="m-sure">{percent(result.probabilities[0].probability)}</span>'
        if result.probabilities
        else ""
    )
    return f'<div class="m-answer"><span class="m-label{long}" title="{text(label)}">{text(label)}</span>{best}</div>'


def _bars(result: Result) -> str:
    shares = result.probabilities or ()
    if not shares:
        return ""
    if len(shares) <= COLUMNS and all(len(share.label) <= COLUMN_LETTERS for share in shares):
        # In label order, so that the same label stands at the same place in every card.
        ordered = sorted(shares, key=lambda share: (len(share.label), share.label))
        kind = "columns"
    else:
        ordered, kind = list(shares[:ROWS]), "rows"
    bars = "".join(_bar(share, top=share.label == result.label) for share in ordered)
    return f'<ul class="m-bars {kind}" aria-label="Probabilities">{bars}</ul>'


def _bar(share: Probability, *, top: bool) -> str:
    label, sure = text(share.label), percent(share.probability)
    height = min(max(share.probability, 0.0), 1.0)
    return (
        f'<li class="{"top" if top else ""}" title="{label}: {sure}">'
        f'<span class="m-bar"><i style="--share:{height:.4f}"></i></span>'
        f'<b>{label}</b><em class="m-hidden">{sure}</em></li>'
    )


KIND = AnswerKind(frozenset(("probabilities", "label")), _verdict, _body)
