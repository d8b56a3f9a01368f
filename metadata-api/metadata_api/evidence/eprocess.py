"""Tests of a champion against a candidate that stay valid however often somebody looks: e-processes on paired answers.

Pure functions of counts. Of each labelled input both answered, either one was right alone (a discordant pair: a win of
the candidate, or a loss) or both were right or wrong (a tie). The mathematics, with references, is in docs/evidence.md.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate

# Bets over which `log_non_inferiority` averages.
BETS = 64
# Most steps of a path.
STEPS = 400
# Most labels that `labels_missing` looks ahead.
HORIZON = 1_000_000
_NEGLIGIBLE = 1e-18


@dataclass(frozen=True)
class Counts:
    """Paired answers: who was right alone, and how often neither was."""

    wins: int = 0
    losses: int = 0
    ties: int = 0

    @property
    def discordant(self) -> int:
        """Pairs of which one answer was right."""
        return self.wins + self.losses

    @property
    def labels(self) -> int:
        """All pairs."""
        return self.discordant + self.ties

    def plus(self, candidate_right: bool, champion_right: bool) -> "Counts":
        """With one more pair."""
        return Counts(
            self.wins + (candidate_right and not champion_right),
            self.losses + (champion_right and not candidate_right),
            self.ties + (candidate_right == champion_right),
        )


def log_superiority(counts: Counts) -> float:
    """Natural logarithm of the e-value against 'the candidate is not better'.

    The likelihood ratio of the win rates above 1/2 to 1/2, averaged over them evenly. With w wins of n discordant pairs
    this is the sum over k <= w of C(n + 1, k), divided by (n + 1) C(n, w).
    """
    wins, pairs = counts.wins, counts.discordant
    return _log_binomial_sum(pairs + 1, wins) - math.log(pairs + 1) - _log_binomial(pairs, wins)


def log_non_inferiority(counts: Counts, margin: float) -> float:
    """Natural logarithm of the e-value against 'the candidate's accuracy is lower by `margin` or more', 0 < margin < 1.

    The wealth of bets on (win - loss + margin), each of which nobody who is worse by the margin gains from, averaged
    over `BETS` sizes of bets.
    """
    if not 0 < margin < 1:
        raise ValueError("margin must be between 0 and 1")
    largest = 1 / (1 - margin)
    logs = []
    for number in range(BETS):
        bet = largest * (number + 0.5) / BETS
        logs.append(
            counts.wins * math.log1p(bet * (margin + 1))
            + counts.losses * math.log1p(bet * (margin - 1))
            + counts.ties * math.log1p(bet * margin)
        )
    return _log_sum(logs) - math.log(BETS)


def log_evidence(counts: Counts, margin: float) -> float:
    """The test that a margin asks for: 0 that the candidate is better, more that it is not worse by the margin."""
    return log_non_inferiority(counts, margin) if margin else log_superiority(counts)


def win_rate_interval(counts: Counts, alpha: float) -> tuple[float, float]:
    """A confidence sequence for the candidate's share of the discordant pairs.

    It holds at every number of labels at once with probability 1 - alpha: the rates that an even mixture over all rates
    does not outweigh by 1 / alpha.
    """
    wins, losses = counts.wins, counts.losses
    pairs = counts.discordant
    floor = math.log(alpha) - _log_binomial(pairs, wins) - math.log(pairs + 1)

    def is_inside(rate: float) -> bool:
        return _times_log(wins, rate) + _times_log(losses, 1 - rate) > floor

    best = wins / pairs if pairs else 0.5
    low = 0.0 if is_inside(0.0) else _edge(is_inside, 0.0, best)
    high = 1.0 if is_inside(1.0) else _edge(is_inside, 1.0, best)
    return low, high


def path(pairs: Iterable[tuple[bool, bool]], margin: float) -> list[tuple[Counts, float]]:
    """Counts and log e-value after each pair (candidate right, champion right), in the order of the labels.

    Of more than `STEPS` pairs they are thinned out evenly; the newest is always there.
    """
    after = list(accumulate(pairs, lambda counts, pair: counts.plus(*pair), initial=Counts()))[1:]
    stride = max(1, -(-len(after) // STEPS))
    return [(counts, log_evidence(counts, margin)) for counts in after[::-1][::stride][::-1]]


def labels_missing(
    counts: Counts, alpha: float, margin: float, discordant_share: float | None = None
) -> int | None:
    """How many more labels would decide for the candidate if it went on as it did; None when it never would.

    'As it did' are the shares of wins and losses so far, with half a win and half a loss added. `discordant_share` is
    that of the labels to come, where they are chosen for it. 0 when it is decided.
    """
    goal = -math.log(alpha)
    if log_evidence(counts, margin) >= goal:
        return 0
    rate = (counts.wins + 0.5) / (counts.discordant + 1)
    share = (counts.discordant + 1) / (counts.labels + 2) if discordant_share is None else discordant_share

    def decides(more: int) -> bool:
        # Whole ones only: half an input decides nothing, and to hope for it would say too few again and again.
        discordant = math.floor(share * more)
        wins = round(discordant * rate)
        later = Counts(counts.wins + wins, counts.losses + discordant - wins, counts.ties + more - discordant)
        return log_evidence(later, margin) >= goal

    most = 1
    while not decides(most):
        most *= 2
        if most > HORIZON:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if decides(middle) else (middle, most)
    return most


def fewest_labels(alpha: float) -> int:
    """How many wins in a row decide that a candidate is better."""
    wins = 1
    while log_superiority(Counts(wins)) < -math.log(alpha):
        wins += 1
    return wins


def _edge(is_inside: Callable[[float], bool], outside: float, inside: float) -> float:
    """Where an interval that holds `inside` and not `outside` ends, on its outer side."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _times_log(count: int, value: float) -> float:
    """count * log(value), where nothing of 0 is 0."""
    if not count:
        return 0.0
    return count * math.log(value) if value > 0 else -math.inf


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_binomial_sum(n: int, upto: int) -> float:
    """log of the sum over k <= upto of C(n, k): from its largest term outwards, each a multiple of the one before."""
    peak = min(upto, n // 2)
    total, term = 1.0, 1.0
    for k in range(peak, 0, -1):
        term *= k / (n - k + 1)
        total += term
        if term < _NEGLIGIBLE * total:
            break
    term = 1.0
    for k in range(peak + 1, upto + 1):
        term *= (n - k + 1) / k
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return _log_binomial(n, peak) + math.log(total)


def _log_sum(logs: list[float]) -> float:
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(one - largest) for one in logs))
