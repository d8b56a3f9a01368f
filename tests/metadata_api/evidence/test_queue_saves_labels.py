"""In the order of the queue the same decision takes at most 60 % of the labels that it takes in random order."""

import math
import random
import statistics
from collections.abc import Iterable

import pytest

from metadata_api.evidence import eprocess
from metadata_api.evidence.order import Candidate, ordered

POOL = 3000
ALPHA = 0.05
CLASSES = 10


def answers_of_two(generator: random.Random) -> tuple[list[Candidate], dict[str, tuple[bool, bool]]]:
    """Inputs as the queue sees them, and which of candidate and champion is right about each.

    The champion is right on 85 %, the candidate on 90 %, mostly about the same inputs. Where both are wrong they may
    say the same or not, which the queue cannot tell from a difference that decides.
    """
    given, right = [], {}
    for _ in range(POOL):
        sha256 = f"{generator.getrandbits(256):064x}"
        drawn = generator.random()
        # Both right, only the candidate, only the champion, neither.
        case = sum(drawn >= edge for edge in (0.81, 0.90, 0.94))
        differs = case in (1, 2) or (case == 3 and generator.random() < 0.4)
        answers = 2 if differs or generator.random() < 0.1 else 1
        given.append(Candidate(sha256, differs, answers, margin=generator.random()))
        right[sha256] = (case in (0, 1), case in (0, 2))
    return given, right


def labels_to_decision(order: Iterable[str], right: dict[str, tuple[bool, bool]]) -> int:
    """Labels until the test says that the candidate is better; all of them when it never does."""
    counts = eprocess.Counts()
    for sha256 in order:
        counts = counts.plus(*right[sha256])
        if right[sha256][0] != right[sha256][1] and eprocess.log_superiority(counts) >= -math.log(ALPHA):
            break
    return counts.labels


@pytest.mark.parametrize("runs", [40, pytest.param(200, marks=pytest.mark.long)])
def test_the_queue_decides_with_fewer_labels(runs: int) -> None:
    in_queue, at_random = [], []
    for seed in range(runs):
        generator = random.Random(seed)
        given, right = answers_of_two(generator)
        shuffled = [one.sha256 for one in given]
        generator.shuffle(shuffled)
        queue = [place.input.sha256 for place in ordered("digits", given)]
        in_queue.append(labels_to_decision(queue, right))
        at_random.append(labels_to_decision(shuffled, right))
    shares = [mine / theirs for mine, theirs in zip(in_queue, at_random, strict=True)]
    print(
        f"labels to the same decision, median of {runs}: {statistics.median(in_queue):.0f} in the queue, "
        f"{statistics.median(at_random):.0f} in random order, share {statistics.median(shares):.0%}"
    )
    assert statistics.median(in_queue) <= 0.6 * statistics.median(at_random)
    assert statistics.median(shares) <= 0.6
