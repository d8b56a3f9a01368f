"""The place of an experiment among all that have its metric."""

import pytest

from model_ui.api_types import Experiment
from model_ui.pages.experiment import better
from tests.ui.fake_experiments import experiment
from tests.ui.fake_listing import narrowed


@pytest.mark.parametrize(
    ("metric", "before", "now", "others", "ahead"),
    [
        ("loss", 0.5, 0.4, {"lower": 0.3, "equal": 0.5, "higher": 0.6}, ["lower"]),
        ("accuracy", 0.8, 0.9, {"lower": 0.7, "equal": 0.8, "higher": 0.95}, ["higher"]),
    ],
)
def test_only_others_that_are_strictly_better_are_ahead_also_while_it_gets_better_itself(
    metric: str, before: float, now: float, others: dict[str, float], ahead: list[str]
) -> None:
    def having(name: str, best: float) -> dict[str, object]:
        return experiment(name, metrics={metric: {"final": best, "best": best, "points": 1}})

    read = Experiment.model_validate(having("running", before))
    stored = [having("running", now), *(having(name, best) for name, best in others.items())]
    assert [item["name"] for item in narrowed(stored, better(read, metric))] == ahead
