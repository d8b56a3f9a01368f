"""What the answers of many models agree on."""

from uuid import uuid4

import pytest

from metadata_api.predicting.results import agreement
from metadata_api.schemas.predictions import Result


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], (None, 0, 0, False)),
        (["5"], ("5", 1, 1, True)),
        (["5", "3", "5"], ("5", 2, 3, False)),
        (["5", "3"], (None, 1, 2, False)),
        (["5", None], ("5", 1, 1, True)),
    ],
)
def test_agreement_counts_the_answers_that_are_ok(
    labels: list[str | None], expected: tuple[str | None, int, int, bool]
) -> None:
    results = [result(label) for label in labels]
    found = agreement(results)
    assert (found.label, found.votes, found.of, found.unanimous) == expected


def result(label: str | None) -> Result:
    """An answer with this label, or a failure."""
    return Result(
        prediction_id=uuid4(),
        deployment="a",
        alias=None,
        experiment="a",
        version=1 if label else None,
        status="ok" if label else "error",
        kind="probabilities",
        label=label,
        probabilities=None,
        latency_ms=1.0,
        error=None,
        preprocessed=None,
        warning=None,
    )
