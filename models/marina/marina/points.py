"""Points and parameters as the API takes them, from what training code has at hand; for runs and for TensorBoard."""

import math
import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, SupportsFloat

MAX_STEP = 2**53
MAX_TEXT = 10_000
MAX_NAME = 100
BATCH_METRICS = 200
Json = dict[str, Any]
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


class Point(NamedTuple):
    """One value of a metric; the time is in seconds since 1970."""

    metric: str
    step: int
    value: float
    time: float


def made(metric: str, step: Any, value: SupportsFloat, time: float) -> Point:
    """A point of anything that is a number, such as a tensor of one element; raises ValueError, TypeError."""
    whole = int(step)
    if whole != step or abs(whole) > MAX_STEP:
        raise ValueError(f"the step {step!r} is no whole number")
    return Point(metric_name(metric), whole, float(value), time)


def metric_name(text: str) -> str:
    """The name of a metric nearest to a text: letters and digits of any script and _ . / -, from a letter on.

    Other characters of ASCII become `_`; others yet, such as emoji, are written by their number, so that two names
    stay two.
    """
    parts: list[str] = []
    for one in unicodedata.normalize("NFC", text):
        if one.isalnum() or one in "_./-" or unicodedata.category(one).startswith("M"):
            parts.append(one)
        elif not one.isascii():
            parts.append(f"_u{ord(one):x}_")
        elif parts[-1:] != ["_"]:
            parts.append("_")
    name = "".join(parts)
    return (name if name[:1].isalpha() else f"m_{name}")[:MAX_NAME]


def batch(held: deque[Point], most: int) -> list[Point]:
    """Take the next points off `held`: up to so many, of as many metrics as a request may have; empty at the end."""
    metrics: set[str] = set()
    taken: list[Point] = []
    while held and len(taken) < most:
        metrics.add(held[0].metric)
        if len(metrics) > BATCH_METRICS:
            break
        taken.append(held.popleft())
    return taken


def body(points: Iterable[Point]) -> Json:
    """The body that appends points."""
    by_metric: dict[str, Json] = {}
    for metric, step, value, time in points:
        one = by_metric.setdefault(metric, {"steps": [], "values": [], "times": []})
        one["steps"].append(step)
        # JSON has no word for these.
        one["values"].append(value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN"))
        one["times"].append(time)
    return {"points": by_metric}


def scalars(given: Mapping[str, Any]) -> Json:
    """Parameters or tags: text, numbers, true and false as they are, anything else as text."""
    return {text(str(key))[:200]: _scalar(value) for key, value in given.items()}


def text(given: str) -> str:
    """A text as JSON and the API can hold it: paths and arguments may have characters that are none."""
    return given.encode(errors="replace").decode().replace("\x00", "")


def _scalar(value: Any) -> Any:
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value if abs(value) < 2**63 else str(value)
    return text(str(value))[:MAX_TEXT]
