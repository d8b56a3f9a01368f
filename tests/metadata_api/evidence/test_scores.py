"""One label scores every version that answered its input, whenever and however it was asked."""

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.evidence import scores
from tests.metadata_api.evidence.answering import NUMBER, answered, inputs, record, sha, versions_of_task
from tests.metadata_api.evidence.test_labels import label


class TestPaired:
    @pytest.fixture
    def two(self, api: httpx.Client, engine: Engine) -> list[int]:
        inputs(engine, range(10))
        return versions_of_task(engine, "digits", count=2)

    def paired(self, engine: Engine, task: str, two: list[int]) -> list[scores.Pair]:
        with Session(engine) as session:
            return scores.paired(session, task, *two)

    def test_the_newest_answer_of_each_counts_in_the_order_of_labels(
        self, api: httpx.Client, engine: Engine, two: list[int]
    ) -> None:
        one, other = two
        record(
            engine,
            [
                answered(one, 1, label="5", confidence=0.9),
                answered(other, 1, label="5", confidence=0.8),
                answered(other, 1, label="3", deployment="canary", alias="challenger", confidence=0.7),
                answered(other, 1, status="error"),
                answered(None, 1, label="8"),
                answered(one, 2, label="1"),
                answered(other, 2, label="2"),
                answered(one, 3, label="1"),
                answered(one, 4, label="4"),
                answered(other, 4, label="4"),
            ],
        )
        label(api, 2, task="digits", label="2")
        label(api, 1, task="digits", label="5", chosen="queue")
        label(api, 3, task="digits", label="5")
        found = self.paired(engine, "digits", two)
        assert [(one.input_sha256, one.chosen, one.truth) for one in found] == [
            (sha(2), "other", "2"),
            (sha(1), "queue", "5"),
        ]
        assert [(one.one_right, one.other_right) for one in found] == [(False, True), (True, False)]
        assert found[0].first_labelled_at < found[1].first_labelled_at

    def test_an_answer_after_the_label_counts_too_and_a_correction_turns_it(
        self, api: httpx.Client, engine: Engine, two: list[int]
    ) -> None:
        label(api, 1, task="digits", label="5")
        record(engine, [answered(two[0], 1, label="5"), answered(two[1], 1, label="6")])
        assert [(one.one_right, one.other_right) for one in self.paired(engine, "digits", two)] == [
            (True, False)
        ]
        label(api, 1, task="digits", label="6")
        assert [(one.one_right, one.other_right) for one in self.paired(engine, "digits", two)] == [
            (False, True)
        ]

    def test_of_numbers_the_nearer_one_is_right(self, api: httpx.Client, engine: Engine) -> None:
        inputs(engine, range(5))
        two = versions_of_task(engine, "houses", count=2, outputs=NUMBER, labels=[])
        for number, pair in enumerate(((10.0, 14.0), (9.0, 11.0), (30.0, 11.0))):
            record(engine, [answered(id, number, number=value) for id, value in zip(two, pair, strict=True)])
            label(api, number, task="houses", number=10.0)
        record(engine, [answered(two[0], 4, label="5"), answered(two[1], 4, number=10.0)])
        label(api, 4, task="houses", number=10.0)
        found = self.paired(engine, "houses", two)
        assert [(one.truth, one.one_right, one.other_right) for one in found] == [
            (10.0, True, False),
            (10.0, True, True),
            (10.0, False, True),
        ]
