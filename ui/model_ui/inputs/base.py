"""What a kind of input is made of; each kind is a module beside this one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from model_ui.tasks import Task


@dataclass(frozen=True)
class PredictionRequest:
    """What the API is asked about: an image file, or the fields of a JSON body."""

    image: bytes | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


class Incomplete(Exception):
    """What somebody has put in cannot be asked about; the text says what to do."""


@dataclass(frozen=True)
class InputKind:
    """One kind: its HTML, what its values ask, and what stands in the place of answers before there are any.

    `form` gives one element with `data-widget`, the name of its script: `form` collects all named controls.
    `request` gets the values as the browser sent them, None when there is nothing; raises Incomplete.
    """

    form: Callable[[Task], str]
    request: Callable[[Task, Mapping[str, object]], PredictionRequest | None]
    waiting: Callable[[Task], tuple[str, str]]


def button(action: str, label: str, *, primary: bool = False) -> str:
    """A button of an input; `action` is one of its widget, or `predict`."""
    kind = "submit" if action == "predict" and primary else "button"
    style = " primary" if primary else ""
    return f'<button type="{kind}" class="m-button{style}" data-do="{action}">{label}</button>'
