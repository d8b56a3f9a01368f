"""How soon a change is seen, with the intervals of the product."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from metadata_api.deploying.intervals import DEFAULT, Intervals
from tests.metadata_api.deploying.asking import deploy, events, seen, shown
from tests.metadata_api.servers import Front, V2Server
from tests.waiting import until

pytestmark = [pytest.mark.clock, pytest.mark.system]


@pytest.fixture(scope="module")
def intervals() -> Intervals:
    return DEFAULT


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def test_a_deployment_reaches_the_models_file_and_is_seen_ready(api: httpx.Client, front: Front) -> None:
    with within(1.5):
        deploy(api)
    [model] = json.loads(front.models_file.read_text())["models"]
    assert (model["name"], model["version"], model["runtime"]) == ("digits", "1", "torchserve")
    assert Path(model["mar"]).name == model["sha256"]
    assert Path(model["mar"]).is_absolute()
    assert (events(api)[0], events(api)[-1]) == (("create", 1), ("ready", 1))


def test_a_change_in_serving_is_seen_within_a_second(api: httpx.Client, front: Front) -> None:
    deploy(api)
    front.states["digits"] = {"state": "failed", "live_version": None, "reason": "The worker died."}
    with within(1.2):
        until(lambda: seen(api) == ("failed", None, "The worker died."))
    assert not shown(api)["ready"]


def test_a_serving_process_that_is_away_leaves_the_state_unknown_until_it_is_back(
    api: httpx.Client, serving: V2Server
) -> None:
    deploy(api)
    serving.silence()
    until(lambda: seen(api)[0] == "unknown")
    assert "does not answer" in str(seen(api)[2])
    serving.listen()
    with within(1.5):
        until(lambda: shown(api)["ready"])
