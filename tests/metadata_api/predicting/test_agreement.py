"""What the answers of many models agree on: votes, the spread of numbers, groups of texts."""

from typing import Any
from uuid import uuid4

import pytest

from metadata_api.predicting.agreement import agreements
from metadata_api.schemas.predictions import (
    AnyAgreement,
    ClassAgreement,
    NoAgreement,
    NumberAgreement,
    Result,
    TextAgreement,
    TextGroup,
)

TASK = "the-task"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["5"], ("5", 1, 1, True, 1.0, 0.0)),
        (["5", "3", "5", "5"], ("5", 3, 4, False, 0.5, 0.811)),
        (["5", "3"], (None, 1, 2, False, 0.0, 1.0)),
        (["5", None], ("5", 1, 1, True, 1.0, 0.0)),
    ],
)
def test_classes_are_votes(labels: list[str | None], expected: tuple[Any, ...]) -> None:
    found = agreement([result("label", label=label) for label in labels])
    assert isinstance(found, ClassAgreement)
    numbers = (found.margin, round(found.entropy, 3))
    assert (found.label, found.votes, found.of, found.unanimous, *numbers) == expected


def test_pairs_that_disagree_are_named() -> None:
    found = agreement(
        [result("label", name=name, label=label) for name, label in zip("abc", "554", strict=True)]
    )
    assert isinstance(found, ClassAgreement)
    assert found.disagree == [("a", "c"), ("b", "c")]


def test_numbers_have_a_spread_and_a_unit_only_if_all_have_the_same() -> None:
    numbers = [result("number", number=value, unit="mg") for value in (1.0, 3.0)]
    assert agreement(numbers) == NumberAgreement(
        task=TASK, kind="numbers", least=1, greatest=3, mean=2, spread=1, of=2, unit="mg"
    )
    other = agreement([*numbers, result("number", number=5.0)])
    assert isinstance(other, NumberAgreement)
    assert other.unit is None


def test_texts_are_groups_the_largest_first() -> None:
    texts = [result("text", name=name, text=text) for name, text in (("a", "ja"), ("b", "no"), ("c", "no"))]
    groups = [TextGroup(text="no", deployments=["b", "c"]), TextGroup(text="ja", deployments=["a"])]
    assert agreement(texts) == TextAgreement(task=TASK, kind="texts", groups=groups, of=3)


def test_of_several_families_the_one_with_most_answers_counts() -> None:
    found = agreement(
        [result("number", number=1.0), result("label", label="5"), result("probabilities", label="5")]
    )
    assert isinstance(found, ClassAgreement)
    assert found.of == 2


def test_models_of_two_tasks_are_not_compared() -> None:
    found = agreements(
        [
            result("label", task="digits", label="5"),
            result("label", task="pets", label="dog"),
            result("label", task="digits", label="5"),
        ]
    )
    assert [(one.task, one.of, getattr(one, "unanimous", None)) for one in found] == [
        ("digits", 2, True),
        ("pets", 1, True),
    ]


def test_what_cannot_be_compared_and_nothing_at_all_is_no_agreement() -> None:
    assert agreement([result("boxes", boxes=[])]) == NoAgreement(task=TASK, kind="none", of=1)
    assert agreements([]) == []
    assert agreements([result("label", label=None)]) == []


def agreement(results: list[Result]) -> AnyAgreement:
    """Of answers of one task."""
    [found] = agreements(results)
    assert found.task == TASK
    return found


def result(kind: str, name: str = "a", *, task: str = TASK, **answer: Any) -> Result:
    """An answer with this content, or a failure where it is None."""
    failed = list(answer.values()) == [None]
    return Result(
        prediction_id=uuid4(),
        deployment=name,
        alias=None,
        experiment="a",
        task=task,
        version=None if failed else 1,
        status="error" if failed else "ok",
        kind=kind,
        latency_ms=1.0,
        cold=False,
        error=None,
        preprocessed=None,
        warning=None,
        **answer,
    )
