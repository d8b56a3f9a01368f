"""Reads the JSON that a model gives as text, one for each row: class probabilities, and boxes on an image.

TorchServe's own handlers answer so. Nothing is known of the author, so everything that does not fit raises ValueError.
"""

import json
import sys
from dataclasses import dataclass
from typing import Any

_COORDINATES = 4
_MOST_BOXES = 10_000


@dataclass(frozen=True)
class Box:
    """One object on an image: x1, y1, x2, y2 in pixels of the file that was sent, and how sure the model is, 0 to 1."""

    label: str
    score: float
    box: tuple[float, float, float, float]


def probabilities(text: str | bytes) -> dict[str, float]:
    """`{label: probability, ...}` in the model's order, most often the likeliest first."""
    found = _read(text)
    if not isinstance(found, dict) or not found:
        raise ValueError("the answer is no JSON object of labels and probabilities")
    return {label: _number(value, "a probability") for label, value in found.items()}


def boxes(text: str | bytes) -> list[Box]:
    """A list of `{"label": .., "score": .., "box": [x1, y1, x2, y2]}`, or TorchServe's `{LABEL: [..], "score": ..}`."""
    found = _read(text)
    if not isinstance(found, list) or len(found) > _MOST_BOXES:
        raise ValueError(f"the answer is no JSON list of at most {_MOST_BOXES} boxes")
    return [_box(item) for item in found]


def _read(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the answer is not readable as JSON") from None


def _box(item: object) -> Box:
    if not isinstance(item, dict) or "score" not in item:
        raise ValueError('a box is no JSON object with a "score"')
    if "box" in item:
        label, corners = item.get("label", ""), item["box"]
    else:
        named = [(key, value) for key, value in item.items() if key != "score"]
        if len(named) != 1:
            raise ValueError(
                'a box is neither {"label", "score", "box"} nor {LABEL: [x1, y1, x2, y2], "score"}'
            )
        label, corners = named[0]
    if not isinstance(corners, list) or len(corners) != _COORDINATES:
        raise ValueError("a box has no four coordinates")
    x1, y1, x2, y2 = (_number(each, "a coordinate") for each in corners)
    return Box(str(label), _number(item["score"], "a score"), (x1, y1, x2, y2))


def _number(value: object, what: str) -> float:
    # Compared, because `isfinite` raises for an integer that no float holds.
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:  # type: ignore[arg-type]
        raise ValueError(f"{what} is no finite number")
    return float(value)  # type: ignore[arg-type]
