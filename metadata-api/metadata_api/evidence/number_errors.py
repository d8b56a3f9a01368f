"""How far numbers are from the right ones; called by `scores`."""

import math
from collections.abc import Sequence

from metadata_api.schemas import scores as bodies

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def of(errors: Sequence[float]) -> bodies.NumberErrors | None:
    """Statistics of errors, each an answer minus what is right; None without any."""
    if not errors:
        return None
    n = len(errors)
    ordered = sorted(errors)
    return bodies.NumberErrors(
        n=n,
        mae=math.fsum(map(abs, errors)) / n,
        rmse=math.sqrt(math.fsum(error * error for error in errors) / n),
        mean=math.fsum(errors) / n,
        median_absolute=quantile(sorted(map(abs, errors)), 0.5),
        quantiles={str(share): quantile(ordered, share) for share in SHARES},
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share is, between two values in proportion."""
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
