"""What the models say about one input: what it comes to, and a card for each answer; used by the Try page."""

import base64
import binascii
import struct
from collections import Counter
from collections.abc import Sequence

from model_ui.answers import ANSWERS, Answer, AnswerKind, Verdict, joined, kind_of
from model_ui.prediction_types import AskedInput, Comparison, NotAsked, Result
from model_ui.render.markup import chip, empty, milliseconds, text
from model_ui.render.right import right

PNG = b"\x89PNG\r\n\x1a\n"
LONG = 2
FEW = 3
DIGITS = 4
# What differs although the answer is the same.
CIRCUMSTANCES = {"deployment", "alias", "latency_ms", "cold"}


def answers(comparison: Comparison, *, may_label: bool = True) -> str:
    """HTML of an answer: of each task and kind what it comes to and its cards; what failed; and who was not asked."""
    images = {image for result in comparison.results if (image := _picture(result.preprocessed))}
    shared = images.pop() if len(images) == 1 else ""
    found = grouped(comparison.results)
    answered = [answer for answer in found if answer.result.status == "ok"]
    failed = [answer for answer in found if answer.result.status == "error"]
    tasks = dict.fromkeys(answer.result.task for answer in answered)
    sections = "".join(
        _section(kind, alike, comparison, shared)
        for task in tasks
        for kind in ANSWERS
        if (alike := [one for one in answered if one.result.task == task and kind_of(one) is kind])
    )
    if not answered:
        title = "No model could answer" if failed else "No model was asked"
        sections = _vote(Verdict(title), "bad")
    silent = "".join(_failed(answer) for answer in failed)
    cards = f'<div class="m-cards">{silent}</div>' if silent else ""
    asked = comparison.input.sha256
    labels = "".join(
        right(asked, task, comparison.results, may_label=may_label) for task in tasks if task and asked
    )
    content = f"{sections}{cards}{labels}{_passed_over(comparison.not_asked)}"
    return f'<div class="m-answers" data-about="{text(asked)}">{content}</div>'


def waiting(title: str = "Nothing is deployed yet", hint: str = "") -> str:
    """HTML of the place for answers before there are any."""
    return empty(
        title,
        hint or "Models that are deployed are asked here. Upload one on the page Models, or deploy one.",
    )


def grouped(results: Sequence[Result]) -> list[Answer]:
    """Answers by version: identical ones of one version are one, at the place of the first."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(_key(result), []).append(result)
    return [
        Answer(
            group[0],
            tuple(result.deployment for result in group),
            tuple(dict.fromkeys(result.alias for result in group if result.alias)),
        )
        for group in found.values()
    ]


def _key(result: Result) -> str:
    if result.version is None or result.status == "error":
        return result.deployment
    shares = [(share.label, round(share.probability, DIGITS)) for share in result.probabilities or ()]
    return f"{shares} {result.model_dump(exclude=CIRCUMSTANCES | {'probabilities'})}"


def _section(kind: AnswerKind, answers: list[Answer], comparison: Comparison, shared: str) -> str:
    verdict = kind.verdict(answers)
    failed = sum(result.status == "error" for result in comparison.results)
    remarks = _warnings([answer.result for answer in answers])
    broken = (
        f'<p class="m-failed">{failed} of {len(comparison.results)} could not answer</p>' if failed else ""
    )
    image = _seen(shared, "What the models saw") if shared else ""
    state = "ok" if verdict.agreed and not remarks else "warn"
    # Those that answer for an alias first, then who differs, so that neither has to be looked for among sixty.
    ordered = sorted(answers, key=lambda answer: (not answer.aliases, answer.name not in verdict.dissenters))
    cards = "".join(
        _card(kind, answer, answers, comparison.input, verdict, own_picture=not shared) for answer in ordered
    )
    wide = " wide" if kind.wide else ""
    return f'{_vote(verdict, state, remarks + broken, image)}<div class="m-cards{wide}">{cards}</div>'


def _vote(verdict: Verdict, state: str, remarks: str = "", image: str = "") -> str:
    long = " long" if len(verdict.glyph) > LONG else ""
    glyph = f'<div class="m-glyph{long}">{text(verdict.glyph)}</div>' if verdict.glyph else ""
    detail = f"<p>{text(verdict.detail)}</p>" if verdict.detail else ""
    return (
        f'<section class="m-vote {state}" aria-live="polite">{glyph}'
        f'<div class="m-verdict"><h2>{text(verdict.title)}</h2>{detail}{verdict.more}{remarks}</div>{image}</section>'
    )


def _warnings(results: Sequence[Result]) -> str:
    """What the models find unusual about the input, each remark once, with how many say so when not all do."""
    said = Counter(result.warning for result in results if result.warning)
    return "".join(
        f'<p class="m-unusual" role="status">{text(warning)}'
        f"{f' ({count} of {len(results)} models)' if count < len(results) else ''}</p>"
        for warning, count in said.most_common()
    )


def _card(
    kind: AnswerKind,
    answer: Answer,
    others: Sequence[Answer],
    asked: AskedInput,
    verdict: Verdict,
    *,
    own_picture: bool,
) -> str:
    seen = _picture(answer.result.preprocessed) if own_picture else ""
    image = _seen(seen, "saw") if seen else ""
    differs = " differs" if answer.name in verdict.dissenters else ""
    return (
        f'<article class="m-card{differs}">{_head(answer)}<div class="m-card-body">'
        f"{kind.body(answer, others, asked)}{image}</div></article>"
    )


def _failed(answer: Answer) -> str:
    error = answer.result.error
    reason = (error.detail or error.error) if error else ""
    return (
        f'<article class="m-card failed">{_head(answer)}'
        f'<p class="m-error" role="alert">{text(reason or "no answer")}</p></article>'
    )


def _head(answer: Answer) -> str:
    result = answer.result
    version = chip(f"v{result.version}", "quiet") if result.version is not None else ""
    aliases = "".join(chip(alias, "ok", "the alias of this deployment") for alias in answer.aliases)
    cold = chip("cold", "quiet", "it had to be started for this answer") if result.cold else ""
    origin = "" if answer.name == result.experiment else f" ({result.experiment})"
    also = ", ".join(answer.deployments[1:])
    more = f'<p class="m-sub m-also">also {text(also)}</p>' if also else ""
    return (
        f'<header><h3 title="{text(answer.name + origin)}">{text(answer.name)}</h3>{version}{aliases}{cold}'
        f'<span class="m-latency" title="time until this deployment answered">{milliseconds(result.latency_ms)}</span>'
        f"</header>{more}"
    )


def _passed_over(not_asked: Sequence[NotAsked]) -> str:
    """Who was not asked, a line for each reason: its detail where all have the same, else the reason's name."""
    if not not_asked:
        return ""
    reasons: dict[str, list[NotAsked]] = {}
    for item in not_asked:
        reasons.setdefault(item.reason, []).append(item)
    rows = "".join(
        f"<li><b>{text(joined([item.deployment or item.experiment for item in group]))}</b>: "
        f"{text(_why(reason, group))}</li>"
        for reason, group in reasons.items()
    )
    count = f"{len(not_asked)} deployment{' was' if len(not_asked) == 1 else 's were'} not asked"
    is_open = " open" if len(not_asked) <= FEW else ""
    return f'<details class="m-passed"{is_open}><summary>{count}</summary><ul>{rows}</ul></details>'


def _why(reason: str, group: Sequence[NotAsked]) -> str:
    details = {item.detail for item in group}
    said = details.pop() if len(details) == 1 else ""
    return said or reason.replace("_", " ")


def _seen(image: str, caption: str) -> str:
    width, height = struct.unpack(">II", base64.b64decode(image[:44])[16:24])
    return (
        f'<figure class="m-seen"><img src="data:image/png;base64,{image}" alt="{text(caption)}: {width} by {height} '
        f'pixels" width="{width}" height="{height}"><figcaption>{text(caption)}</figcaption></figure>'
    )


def _picture(seen: str | None) -> str:
    """The base64 of a PNG as it may stand in an attribute; empty when it is not one."""
    try:
        content = base64.b64decode(seen or "", validate=True)
    except (binascii.Error, ValueError):
        return ""
    return base64.b64encode(content).decode() if content.startswith(PNG) and len(content) > 32 else ""
