"""What is shown of a deployment: what is observed of it, against what is desired."""

from dataclasses import replace

import pytest

from metadata_api.deploying.base import Desired, Observed
from metadata_api.deploying.status import Status, against, unknown

DESIRED = Desired("champion", "cnn-baseline", 3, "ab" * 32, "native", 2)
READY = Observed("ready", 3, 3, None, "native")


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(READY, ("ready", 3, None), id="what is desired answers"),
        pytest.param(
            Observed("ready", 3, 3, "1 of 2 replicas answer.", "native"),
            ("ready", 3, "1 of 2 replicas answer."),
            id="with its reason",
        ),
        pytest.param(Observed("ready", 3, 3, None), ("ready", 3, None), id="a runtime that nobody can tell"),
        pytest.param(
            Observed("failed", 3, 2, "it fails", "native"),
            ("failed", 2, "it fails"),
            id="the old one answers",
        ),
        pytest.param(
            Observed("ready", 2, 2, None, "native"),
            ("pending", 2, "KServe has not taken up version 3 yet."),
            id="another version",
        ),
        pytest.param(
            Observed("ready", None, None, None, "native"),
            ("pending", None, "KServe has not taken up version 3 yet."),
            id="no version",
        ),
        pytest.param(
            Observed("failed", 3, 3, "it fails", "torchserve"),
            ("pending", 3, "KServe has not taken up the runtime native yet."),
            id="another runtime",
        ),
        pytest.param(None, ("pending", None, "KServe has not taken it up yet."), id="nothing"),
    ],
)
def test_a_deployment_that_shall_run(
    observed: Observed | None, expected: tuple[str, int | None, str | None]
) -> None:
    assert against(DESIRED, observed, "KServe")[:3] == expected


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(None, ("stopped", None, None), id="nothing"),
        pytest.param(READY, ("pending", 3, "It is being stopped."), id="it answers"),
        pytest.param(
            Observed("starting", 3, None, None), ("pending", None, "It is being stopped."), id="it starts"
        ),
    ],
)
def test_a_deployment_that_shall_not_run(
    observed: Observed | None, expected: tuple[str, int | None, str | None]
) -> None:
    assert against(None, observed, "KServe")[:3] == expected


def test_while_nothing_can_be_observed_nothing_is_said_to_answer() -> None:
    assert unknown("No answer.") == Status("unknown", None, "No answer.")


@pytest.mark.parametrize("desired", [DESIRED, replace(DESIRED, version=4), None])
def test_how_the_answering_worker_is_contained_is_kept_whatever_is_desired(desired: Desired | None) -> None:
    observed = replace(READY, containment={"landlock": 7})
    assert against(desired, observed, "KServe").containment == {"landlock": 7}
