"""Classes: the label that got most votes, and for each model its probabilities as bars."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from model_ui.answers.base import Answer, AnswerKind, Verdict, named, says
from model_ui.prediction_types import AskedInput, Probability, Result
from model_ui.render.markup import percent, text

# A model whose best class is hardly more probable than chance does not know; it has no vote beside those that do.
BETTER_THAN_CHANCE = 0.05
# More labels than this, or longer ones, do not fit as columns beside each other.
COLUMNS = 12
COLUMN_LETTERS = 2
ROWS = 5


def _verdict(answers: Sequence[Answer]) -> Verdict:
    guessing = [answer for answer in answers if _guesses(answer.result)]
    if not 0 < len(guessing) < len(answers):
        return _vote(answers, len(answers))
    voting = [answer for answer in answers if answer not in guessing]
    found = _vote(voting, len(answers))
    lost = f"{named(guessing)} {'does' if len(guessing) == 1 else 'do'} not know"
    return replace(found, detail=f"{'; '.join(filter(None, [_dissent(voting), lost]))}.")


def _guesses(result: Result) -> bool:
    shares = result.probabilities or ()
    return len(shares) > 1 and shares[0].probability < 1 / len(shares) + BETTER_THAN_CHANCE


def _vote(answers: Sequence[Answer], asked: int) -> Verdict:
    """What those that vote say, of so many that answered."""
    (label, voters), *others = ordered = _by_label(answers)
    if asked == 1 or len(answers) == 1:
        return Verdict(says(answers, label), "One model answered.", label)
    tied = [item for item in ordered if len(item[1]) == len(voters)]
    if len(tied) > 1:
        labels = " and ".join(other for other, _ in tied) if len(tied) == 2 else f"{len(tied)} classes"
        return Verdict(f"Tied between {labels}", _dissent(answers), "?", agreed=False)
    return Verdict(
        f"{len(voters)} of {asked} say {label}",
        _dissent(answers) or "All answers agree.",
        label,
        agreed=not others,
        dissenters={answer.name for _, group in others for answer in group},
    )


def _dissent(answers: Sequence[Answer]) -> str:
    """Who says something else than most; where nothing has most votes, who says what."""
    ordered = _by_label(answers)
    tied = len(ordered) > 1 and len(ordered[0][1]) == len(ordered[1][1])
    return "; ".join(says(group, label) for label, group in (ordered if tied else ordered[1:]))


def _by_label(answers: Sequence[Answer]) -> list[tuple[str, list[Answer]]]:
    """Labels with those that say them, the label of most first."""
    votes: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        votes[answer.result.label or ""].append(answer)
    return sorted(votes.items(), key=lambda item: -len(item[1]))


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
