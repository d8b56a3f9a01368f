"""The score of one version, and of two on what both answered, from what was counted; called by `scores`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from metadata_api.evidence import calibration, number_errors
from metadata_api.evidence.intervals import wilson
from metadata_api.evidence.tallies import Counted, NumberError, Tally
from metadata_api.schemas import scores as bodies

CHOSEN = ("random", "queue", "other")
# Most cells of a confusion matrix.
MOST_CELLS = 2500
# Names under which training records have what the live score has, best known first.
_ACCURACY = (
    "test_accuracy",
    "accuracy",
    "eval_accuracy",
    "val_accuracy",
    "validation_accuracy",
    "train_accuracy",
)
_MAE = ("test_mean_absolute_error", "test_mae", "mean_absolute_error", "mae", "val_mae", "validation_mae")
_RMSE = ("test_rmse", "rmse", "val_rmse", "validation_rmse")


def scored(tally: Tally, labels: Sequence[str], training: dict[str, Any] | None) -> dict[str, Any]:
    """The fields of a `VersionScore` that follow from labels; `labels` are the version's classes."""
    score = _score(tally.counted, tally.errors)
    deployments = {one.deployment for one in tally.counted} | {one.deployment for one in tally.errors}
    return {
        "score": score,
        "by_chosen": {chosen: _part(tally, "chosen", chosen) for chosen in CHOSEN},
        "by_deployment": [
            bodies.ServedAnswers(deployment=name, score=_part(tally, "deployment", name))
            for name in sorted(deployments)
        ],
        "confusion": _confusion(tally.counted, labels),
        "calibration": _calibration(tally.counted),
        "generalisation": list(_gaps(score, training or {})),
    }


def compared(one: Tally, other: Tally) -> dict[str, Any]:
    """The fields of a `PairScore` that follow from labels."""
    errors = {item.label_id: abs(item.error) for item in other.errors}
    both = [(abs(item.error), errors[item.label_id]) for item in one.errors if item.label_id in errors]
    only_one = (one.right & other.wrong).bit_count() + sum(mine < theirs for mine, theirs in both)
    only_other = (one.wrong & other.right).bit_count() + sum(theirs < mine for mine, theirs in both)
    both_right = (one.right & other.right).bit_count() + sum(mine == theirs for mine, theirs in both)
    neither = (one.wrong & other.wrong).bit_count()
    n = only_one + only_other + both_right + neither
    return {
        "n": n,
        "both_right": both_right,
        "only_one": only_one,
        "only_other": only_other,
        "neither": neither,
        "difference": (only_one - only_other) / n if n else None,
    }


def _part(tally: Tally, key: str, value: str) -> bodies.Score:
    """Of the answers with this chosen or deployment."""
    return _score(
        [one for one in tally.counted if getattr(one, key) == value],
        [one for one in tally.errors if getattr(one, key) == value],
    )


def _score(counted: Iterable[Counted], errors: Iterable[NumberError]) -> bodies.Score:
    shares: Counter[bool] = Counter()
    for one in counted:
        shares[one.is_right] += one.n
    n = shares.total()
    right = shares[True]
    return bodies.Score(
        share=bodies.Share(n=n, right=right, accuracy=right / n if n else None, interval=wilson(right, n)),
        errors=number_errors.of([one.error for one in errors]),
    )


def _confusion(counted: Iterable[Counted], labels: Sequence[str]) -> bodies.Confusion | None:
    cells: Counter[tuple[str, str | None]] = Counter()
    for one in counted:
        if one.truth is not None:
            cells[one.truth, one.answer] += one.n
    if not cells:
        return None
    said = {label for cell in cells for label in cell if label is not None}
    frequent = sorted(cells.items(), key=lambda item: (-item[1], item[0][0], item[0][1] or ""))
    return bodies.Confusion(
        labels=[*labels, *sorted(said - set(labels))],
        cells=[bodies.Cell(truth=truth, answer=answer, n=n) for (truth, answer), n in frequent[:MOST_CELLS]],
        more=max(0, len(frequent) - MOST_CELLS),
    )


def _calibration(counted: Iterable[Counted]) -> bodies.Calibration | None:
    bins = [calibration.Bin() for _ in range(calibration.BINS)]
    for one in counted:
        if one.bin is not None:
            found = bins[one.bin]
            found.n += one.n
            found.total += one.confidence or 0.0
            found.right += one.n if one.is_right else 0
    n = sum(one.n for one in bins)
    if not n:
        return None
    shown = [
        bodies.CalibrationBin(
            lower=lower,
            upper=upper,
            n=one.n,
            confidence=one.total / one.n if one.n else None,
            accuracy=one.right / one.n if one.n else None,
        )
        for lower, upper, one in zip(calibration.EDGES, calibration.EDGES[1:], bins, strict=False)
    ]
    return bodies.Calibration(n=n, ece=calibration.expected_error(bins), bins=shown)


def _gaps(score: bodies.Score, training: dict[str, Any]) -> Iterable[bodies.Gap]:
    """Of each metric that the record has under one of its names, the best known one."""
    share, errors = score.share.accuracy, score.errors
    live: dict[tuple[str, ...], tuple[float | None, int]] = {
        _ACCURACY: (share, -1),
        _MAE: (errors.mae if errors else None, 1),
        _RMSE: (errors.rmse if errors else None, 1),
    }
    for names, (now, sign) in live.items():
        for name in names:
            value = training.get(name)
            if now is not None and isinstance(value, int | float) and not isinstance(value, bool):
                yield bodies.Gap(metric=name, training=value, live=now, gap=sign * (now - value))
                break
