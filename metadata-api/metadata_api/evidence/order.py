"""In which order inputs are offered to be labelled; called by `queue`. Pure, so that it can be simulated.

What decides most comes first, and every fifth place has an input of a random slice. Which inputs are in the slice, and
their order, follow from a hash of task and input alone: nobody's labels and no model's answers bend it, so what is
labelled of it is a random sample. Inputs of the slice come in no other place, for the same reason.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from metadata_api.schemas.queue import Reason

# The slice is this share of all inputs, and has this share of places.
SLICE = 5
RANDOM_SHARE = 1 / SLICE


@dataclass(frozen=True, slots=True)
class Candidate:
    """An input without a label, and what is known of the answers to it."""

    sha256: str
    candidate_differs: bool = False
    """The candidate answers otherwise than the champion."""
    answers: int = 1
    """Different answers of the versions that are served; none of recorded traffic whose answers were not kept."""
    spread: float = 0.0
    """Of numbers, the greatest minus the least."""
    margin: float | None = None
    """Of probabilities, the least that a version puts between its first and its second class."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place of the queue: which input, and why."""

    input: Candidate
    reason: Reason

    @property
    def chosen(self) -> Literal["random", "queue"]:
        """How the input was chosen, as its label shall say."""
        return "random" if self.reason == "random" else "queue"


def ordered(task: str, candidates: Iterable[Candidate], labelled: int = 0) -> Iterator[Place]:
    """All candidates, each once; `labelled` of the queue have a label already, and this goes on behind them.

    Whoever asks anew after each label so comes to the random slice as often as who asks for many at once.
    Those on which candidate and champion differ come by their hash, not by how sure anybody is: so the labelled ones
    are a random sample of them, and the test between both stays true for all inputs.
    """
    drawn, decisive = [], []
    for one in candidates:
        digest = _hash(task, one.sha256)
        if digest % SLICE == 0:
            drawn.append((digest, one))
        else:
            decisive.append((*_rank(one), digest, one))
    drawn.sort(key=lambda entry: entry[0])
    decisive.sort(key=lambda entry: entry[:-1])
    return _mixed([one for _, one in drawn], [entry[-1] for entry in decisive], labelled)


def is_drawn(task: str, sha256: str) -> bool:
    """Whether an input is of the task's random slice."""
    return _hash(task, sha256) % SLICE == 0


def is_decisive(one: Candidate) -> bool:
    """Whether versions answer otherwise."""
    return one.candidate_differs or one.answers > 1


def _mixed(drawn: Sequence[Candidate], decisive: Sequence[Candidate], labelled: int) -> Iterator[Place]:
    random, queue = iter(drawn), iter(decisive)
    left = len(drawn) + len(decisive)
    for place in range(labelled, labelled + left):
        # The first place is one that decides, so that whoever labels one input only has one of these.
        turn = (random, queue) if place % SLICE == SLICE - 1 else (queue, random)
        for lane in turn:
            if (one := next(lane, None)) is not None:
                yield Place(one, "random" if lane is random else _reason(one))
                break


def _rank(one: Candidate) -> tuple[int, float, float]:
    if one.candidate_differs:
        return 0, 0.0, 0.0
    if one.answers > 1:
        return 1, -one.answers, -one.spread
    if not one.answers:
        return 3, 0.0, 0.0
    return 2, 1.0 if one.margin is None else one.margin, 0.0


def _reason(one: Candidate) -> Reason:
    if one.candidate_differs:
        return "candidate_differs"
    return "versions_differ" if one.answers > 1 else "small_margin" if one.answers else "unanswered"


def _hash(task: str, sha256: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{task}/{sha256}".encode()).digest()[:8])
