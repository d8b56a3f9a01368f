"""What stands beside answers for saying which one is right: a press or a key for each class; called by `answers`."""

from collections.abc import Sequence
from urllib.parse import urlencode

from model_ui.label_keys import MOST_KEYS, Choice, choices
from model_ui.prediction_types import Result
from model_ui.render.markup import text

_NAMES = {"label": "Class", "number": "Number", "text": "Text"}
_FIELDS = {"probabilities": "label", "label": "label", "number": "number", "text": "text"}


def right(sha256: str, task: str, results: Sequence[Result], *, may_label: bool) -> str:
    """HTML for one task of an input that was stored: a label scores every version that answered.

    Answers of a kind that no label can be compared with, and visitors who may not label, get the way to Label only.
    """
    # Relative, so that it stays behind the prefix of a proxy.
    address = text(f"label?{urlencode({'task': task, 'input': sha256})}")
    said = [result for result in results if result.task == task and result.status == "ok"]
    field = next((_FIELDS[result.kind] for result in said if result.kind in _FIELDS), "")
    if not field or not may_label:
        return (
            f'<p class="m-right">Do you know what is right? <a href="{address}">Label it</a>: '
            "that scores every version that answered.</p>"
        )
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{text(value)}">'
        for name, value in {"do": "label", "field": field, "sha256": sha256, "task": task}.items()
    )
    classes = _classes(said) if field == "label" else []
    few = 0 < len(classes) <= MOST_KEYS
    body = _buttons(choices(classes)) if few else _typed(field, classes)
    return (
        f'<form class="m-right m-label-it" method="post" action="{address}" data-right>{hidden}'
        f'<p>The right answer is</p>{body}<p class="m-said" role="status"></p>'
        f'<p class="m-sub">It scores every version that answered. <a href="{address}">Label it</a> on its page.</p>'
        "</form>"
    )


def _classes(results: Sequence[Result]) -> list[str]:
    """Those that any of the answers names, numbers in their order."""
    named = {share.label for result in results for share in result.probabilities or ()}
    return sorted(named, key=lambda one: (not one.isdecimal(), int(one) if one.isdecimal() else 0, one))


def _buttons(found: Sequence[Choice]) -> str:
    buttons = "".join(
        f'<button class="m-button" name="value" value="{text(one.label)}" data-press="{text(one.key)}" '
        f'aria-keyshortcuts="{text(one.key)}">{text(one.label)}{_key(one)}</button>'
        for one in found
    )
    return f'<div class="m-label-keys">{buttons}</div>'


def _key(one: Choice) -> str:
    return f" <kbd>{text(one.key)}</kbd>" if one.key and one.key != one.label.lower() else ""


def _typed(field: str, classes: Sequence[str]) -> str:
    listed = ""
    options = ""
    if classes:
        listed = ' list="m-classes"'
        options = "".join(f'<option value="{text(one)}">' for one in classes)
        options = f'<datalist id="m-classes">{options}</datalist>'
    number = ' inputmode="decimal"' if field == "number" else ""
    return (
        f'<div class="m-label-keys"><input name="value" required autocomplete="off" maxlength="10000"{number}{listed} '
        f'aria-label="{_NAMES[field]}">{options}<button class="m-button">Label</button></div>'
    )
