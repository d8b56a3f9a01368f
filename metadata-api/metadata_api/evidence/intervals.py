"""Intervals of shares; called by `scores`."""

import math
from statistics import NormalDist

LEVEL = 0.95


def wilson(right: int, n: int, level: float = LEVEL) -> tuple[float, float] | None:
    """Wilson's score interval of a share, both ends within 0 to 1; None for nothing out of nothing.

    Unlike the usual one it is sound for few and for shares near 0 and 1: none out of ten is 0 to 0.28, not 0 to 0.
    """
    if not n:
        return None
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)
