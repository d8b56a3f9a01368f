"""What the models say about one image: agreement, the image they saw, a card for each; used by the Try page."""

import base64
import binascii
from collections import Counter

from model_ui.api_types import Agreement, Comparison, Probability, Result
from model_ui.render.markup import chip, empty, milliseconds, percent, text

# More labels than this, or longer ones, do not fit as columns beside each other.
COLUMNS = 12
COLUMN_LETTERS = 2
ROWS = 5
PNG = b"\x89PNG\r\n\x1a\n"


def answers(comparison: Comparison) -> str:
    """HTML of a whole answer: the vote on top, then a card for each deployment, in the API's order."""
    images = {image for result in comparison.results if (image := _picture(result.preprocessed))}
    shared = images.pop() if len(images) == 1 else ""
    cards = "".join(
        _card(result, comparison.agreement, own_picture=not shared) for result in comparison.results
    )
    return f'<div class="m-answers">{_vote(comparison, shared)}<div class="m-cards">{cards}</div></div>'


def waiting() -> str:
    """HTML of the place for answers before there are any."""
    return empty("Draw a digit", "Every chosen deployment answers as soon as you lift the pen.")


def _vote(comparison: Comparison, image: str) -> str:
    agreement = comparison.agreement
    failed = sum(result.status == "error" for result in comparison.results)
    remarks = _warnings(comparison)
    kind = "bad" if agreement.of == 0 else "ok" if agreement.unanimous and not remarks else "warn"
    glyph = text(agreement.label) if agreement.label is not None else "?"
    long = " long" if agreement.label is not None and len(agreement.label) > COLUMN_LETTERS else ""
    broken = (
        f'<p class="m-failed">{failed} of {len(comparison.results)} could not answer</p>' if failed else ""
    )
    return (
        f'<section class="m-vote {kind}" aria-live="polite">'
        f'<div class="m-glyph{long}">{glyph}</div>'
        f'<div class="m-verdict"><h3>{_headline(agreement)}</h3><p>{_dissent(comparison)}</p>{remarks}{broken}</div>'
        f"{_seen(image, 'What the models saw') if image else ''}</section>"
    )


def _warnings(comparison: Comparison) -> str:
    """What the models find unusual about the image, each remark once, with how many say so when not all do."""
    said = Counter(result.warning for result in comparison.results if result.warning)
    answered = sum(result.status == "ok" for result in comparison.results)
    return "".join(
        f'<p class="m-unusual" role="status">{text(warning)}'
        f"{f' ({count} of {answered} models)' if count < answered else ''}</p>"
        for warning, count in said.most_common()
    )


def _headline(agreement: Agreement) -> str:
    if agreement.of == 0:
        return "No model could answer"
    if agreement.label is None:
        return f"The vote is tied between {agreement.of} answers"
    return f"{agreement.votes} of {agreement.of} say {text(agreement.label)}"


def _dissent(comparison: Comparison) -> str:
    agreement = comparison.agreement
    others = Counter(
        result.label
        for result in comparison.results
        if result.status == "ok" and result.label is not None and result.label != agreement.label
    )
    if not others:
        return (
            "" if agreement.of == 0 else "All answers agree." if agreement.of > 1 else "One model answered."
        )
    return ", ".join(
        f"{votes} say{'s' if votes == 1 else ''} {text(label)}" for label, votes in others.most_common()
    )


def _card(result: Result, agreement: Agreement, *, own_picture: bool) -> str:
    version = chip(f"v{result.version}", "quiet") if result.version is not None else ""
    origin = "" if result.deployment == result.experiment else f" ({result.experiment})"
    head = (
        f'<header><h4 title="{text(result.deployment + origin)}">{text(result.deployment)}</h4>{version}'
        f'<span class="m-latency" title="time until this deployment answered">{milliseconds(result.latency_ms)}</span>'
        f"</header>"
    )
    if result.status == "error" or result.probabilities is None:
        detail = result.error.detail or result.error.error if result.error else ""
        reason = text(detail or "no answer")
        return f'<article class="m-card failed">{head}<p class="m-error" role="alert">{reason}</p></article>'
    differs = agreement.label is not None and result.label != agreement.label
    seen = _picture(result.preprocessed) if own_picture else ""
    image = _seen(seen, "saw") if seen else ""
    return (
        f'<article class="m-card{" differs" if differs else ""}">{head}<div class="m-card-body">'
        f"{_answer(result)}{_bars(result)}{image}</div></article>"
    )


def _answer(result: Result) -> str:
    best = result.probabilities[0].probability if result.probabilities else 0.0
    label = result.label or ""
    long = " long" if len(label) > COLUMN_LETTERS else ""
    return (
        f'<div class="m-answer"><span class="m-label{long}" title="{text(label)}">{text(label)}</span>'
        f'<span class="m-sure">{percent(best)}</span></div>'
    )


def _bars(result: Result) -> str:
    shares = result.probabilities or ()
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


def _seen(image: str, caption: str) -> str:
    return (
        f'<figure class="m-seen"><img src="data:image/png;base64,{image}" alt="{text(caption)}: 28 by 28 pixels" '
        f'width="28" height="28"><figcaption>{text(caption)}</figcaption></figure>'
    )


def _picture(seen: str | None) -> str:
    """The base64 of a PNG as it may stand in an attribute; empty when it is not one."""
    try:
        content = base64.b64decode(seen or "", validate=True)
    except (binascii.Error, ValueError):
        return ""
    return base64.b64encode(content).decode() if content.startswith(PNG) else ""
