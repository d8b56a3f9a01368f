"""Calibration: whether a version is as often right as it says; called by `scores`.

Confidence is the probability that a version gives to its own answer. Ten bins of equal width, each without its lower
and with its upper edge.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ARRAY, ColumnElement, Double, Integer, cast, func
from sqlalchemy.dialects.postgresql import array

BINS = 10
EDGES = tuple(at / BINS for at in range(BINS + 1))
# As floats are added up, so that a confidence on an edge falls where other libraries have it.
_INNER = tuple(at * (1 / BINS) for at in range(1, BINS))


@dataclass(slots=True)
class Bin:
    """Answers whose confidence is in one bin: how many, the sum of their confidence, and how many are right."""

    n: int = 0
    total: float = 0.0
    right: int = 0


def bin_of(confidence: ColumnElement[float]) -> ColumnElement[int]:
    """The number of a confidence's bin, from 0."""
    # width_bucket counts the edges up to a value; turned round it leaves out one that is the value.
    edges = cast(array([-edge for edge in reversed(_INNER)]), ARRAY(Double))
    return BINS - 1 - func.width_bucket(-confidence, edges, type_=Integer)


def expected_error(bins: Iterable[Bin]) -> float:
    """The expected calibration error: how far share of right answers and confidence are apart, over all answers."""
    known = list(bins)
    return sum(abs(one.right - one.total) for one in known) / sum(one.n for one in known)
