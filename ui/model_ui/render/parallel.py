"""Parallel coordinates: an axis for each value in which experiments differ, a line for each experiment.

Called by the page Compare, whose template draws them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_ui.render.markup import number

MOST_AXES, MOST_WORDS = 8, 8
STEP, SIDE, TOP, BOTTOM = 130, 70, 34, 250
# From so many times the smallest on, values are shown by their magnitude.
WIDE = 100


@dataclass(frozen=True)
class Axis:
    """One axis in pixels; `ticks` are its ends, or each text, from above."""

    name: str
    x: int
    ticks: tuple[tuple[float, str], ...]
    is_log: bool


@dataclass(frozen=True)
class Line:
    """One experiment: `parts` are runs of points between axes that it has no value on, `words` says its values."""

    name: str
    colour: str
    parts: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    words: str


@dataclass(frozen=True)
class Parallel:
    """What is drawn."""

    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    width: int
    height: int = BOTTOM + 24


@dataclass(frozen=True)
class _Scale:
    places: Mapping[object, float]
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False


def parallel(
    columns: Sequence[tuple[str, Sequence[object]]], names: Sequence[str], colours: Sequence[str]
) -> Parallel | None:
    """The drawing of named values, one of each experiment; None where there are no two axes or lines to draw."""
    scales = [(name, values, scale) for name, values in columns if (scale := _scale(values))][:MOST_AXES]
    if len(scales) < 2 or len(names) < 2:
        return None
    axes = tuple(
        Axis(name, SIDE + place * STEP, scale.ticks, scale.is_log)
        for place, (name, _, scale) in enumerate(scales)
    )
    lines = tuple(_line(at, name, colours[at], scales) for at, name in enumerate(names))
    return Parallel(axes, lines, 2 * SIDE + (len(axes) - 1) * STEP)


def _line(at: int, name: str, colour: str, scales: list[tuple[str, Sequence[object], _Scale]]) -> Line:
    parts: list[list[tuple[float, float]]] = [[]]
    words = []
    for place, (axis, values, scale) in enumerate(scales):
        y = scale.places.get(values[at])
        if y is None:
            parts.append([])
            continue
        parts[-1].append((SIDE + place * STEP, y))
        words.append(f"{axis} {_words(values[at])}")
    drawn = tuple(" ".join(f"{x},{y:.1f}" for x, y in part) for part in parts if len(part) > 1)
    return Line(name, colour, drawn, tuple(dot for part in parts for dot in part), ", ".join(words))


def _scale(values: Sequence[object]) -> _Scale | None:
    """Where values stand on an axis, the largest at the top; None for those that cannot be drawn, or do not differ."""
    there = [value for value in values if value is not None]
    numbers = [float(value) for value in there if isinstance(value, int | float) and math.isfinite(value)]
    if len(set(there)) < 2:
        return None
    if len(numbers) == len(there) and not any(isinstance(value, bool) for value in there):
        return _of_numbers(numbers)
    words = sorted({str(value) for value in there})
    if len(words) > MOST_WORDS:
        return None
    heights = {word: _height(at / (len(words) - 1)) for at, word in enumerate(reversed(words))}
    return _Scale(
        {value: heights[str(value)] for value in there}, tuple((heights[word], word) for word in words)
    )


def _of_numbers(numbers: Sequence[float]) -> _Scale:
    low, high = min(numbers), max(numbers)
    is_log = low > 0 and high / low >= WIDE

    def share(value: float) -> float:
        if is_log:
            return math.log(value / low) / math.log(high / low)
        # Halves, because the difference of two large numbers may be infinite.
        return (value / 2 - low / 2) / (high / 2 - low / 2)

    places: dict[object, float] = {value: _height(share(value)) for value in numbers}
    return _Scale(places, ((_height(1), number(high)), (_height(0), number(low))), is_log)


def _height(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP - 20), 1)


def _words(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(float(value)) if is_number and isinstance(value, int | float) else str(value)
