"""Boxes: what a model found, drawn on the image that was sent, with a list beside it."""

from collections import Counter
from collections.abc import Sequence

from model_ui.answers.base import Answer, AnswerKind, Verdict, says
from model_ui.prediction_types import AskedInput, Box
from model_ui.render.markup import percent, text

LEAST_SCORE = 0.3
MOST = 30


def _verdict(answers: Sequence[Answer]) -> Verdict:
    found = {answer.name: _labels(answer) for answer in answers}
    several = Counter(found.values())
    most, votes = several.most_common(1)[0]
    if len(several) == 1:
        title = f"{'All models find' if len(answers) > 1 else 'Found:'} {most or 'nothing'}"
        return Verdict(title, "One model answered." if len(answers) == 1 else "All answers agree.")
    groups = [
        says([answer for answer in answers if found[answer.name] == labels], labels or "nothing")
        for labels in several
        if labels != most
    ]
    return Verdict(
        f"{votes} of {len(answers)} find {most or 'nothing'}",
        "; ".join(groups),
        agreed=False,
        dissenters={name for name, labels in found.items() if labels != most},
    )


def _labels(answer: Answer) -> str:
    """What an answer found, in one order: `2 × cat, dog`."""
    counts = Counter(box.label or "something" for box in _sure(answer))
    return ", ".join(f"{count} × {label}" if count > 1 else label for label, count in sorted(counts.items()))


def _sure(answer: Answer) -> list[Box]:
    boxes = sorted(answer.result.boxes or (), key=lambda box: -box.score)
    return [box for box in boxes if box.score >= LEAST_SCORE][:MOST]


def _body(answer: Answer, _: Sequence[Answer], asked: AskedInput) -> str:
    shown = _sure(answer)
    rest = len(answer.result.boxes or ()) - len(shown)
    rows = "".join(
        f'<li><i class="m-mark c{number % 6}"></i><b>{text(box.label or "something")}</b> {percent(box.score)}</li>'
        for number, box in enumerate(shown)
    )
    more = f'<li class="m-sub">and {rest} less sure</li>' if rest else ""
    listed = f'<ul class="m-found-list">{rows or "<li>nothing</li>"}{more}</ul>'
    return f'<div class="m-found">{_drawn(shown, asked)}{listed}</div>'


def _drawn(boxes: Sequence[Box], asked: AskedInput) -> str:
    """The boxes over the image, which the page shows as the background: it has the image that it sent."""
    width, height = (asked.summary.get(key) for key in ("width", "height"))
    if not isinstance(width, int) or not isinstance(height, int) or width < 1 or height < 1:
        return ""
    side = max(width, height)
    shapes = "".join(
        f'<rect class="c{number % 6}" x="{left:g}" y="{top:g}" width="{max(right - left, 0):g}" '
        f'height="{max(bottom - top, 0):g}" stroke-width="{side / 160:g}"></rect>'
        f'<text class="c{number % 6}" x="{left:g}" y="{top:g}" dx="{side / 80:g}" dy="{side / 24:g}" '
        f'font-size="{side / 28:g}" stroke-width="{side / 200:g}">{text(box.label)}</text>'
        for number, box in enumerate(boxes)
        for left, top, right, bottom in (box.box,)
    )
    label = text(f"{len(boxes)} boxes on the image")
    return (
        f'<svg class="m-boxes" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{shapes}</svg>'
    )


KIND = AnswerKind(frozenset(("boxes",)), _verdict, _body, wide=True)
