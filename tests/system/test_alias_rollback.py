"""An alias goes back to a deployment that is stopped, or gone, while it is asked all the time."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conftest import Stack

ALIAS = "back-and-forth"
OLD, NEW = "old-target", "new-target"
RATE = 50
BODY = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28], "data": [0] * 784}]}


@dataclass
class Traffic:
    """What asking the alias `RATE` times a second came to: when, the status, and who answered."""

    api: httpx.Client
    answers: list[tuple[float, int, str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stopped.wait(1 / RATE):
            answer = self.api.post(f"/v2/models/{ALIAS}/infer", json=BODY)
            who = answer.json().get("model_name", "") if answer.status_code == 200 else answer.text
            self.answers.append((time.monotonic(), answer.status_code, who))

    @property
    def failed(self) -> list[tuple[float, int, str]]:
        return [answer for answer in self.answers if answer[1] != 200]


@pytest.fixture
def moved(stack: Stack, api: httpx.Client, starter_mars: dict[str, Path]) -> Iterator[None]:
    """The alias was moved from `OLD`, whose version nobody else serves, to `NEW`, and both are ready."""
    try:
        api.post("/v1/experiments", json={"name": OLD}).raise_for_status()
        mar = starter_mars["mlp-baseline"].read_bytes()
        api.post(f"/v1/experiments/{OLD}/versions", content=mar).raise_for_status()
        for name, experiment in ((OLD, OLD), (NEW, "mlp-tiny-lr")):
            new = {"name": name, "experiment": experiment, "runtime": "native"}
            api.post("/v1/deployments", json=new).raise_for_status()
        for name in (OLD, NEW):
            stack.wait_until_ready(name)
            api.put(f"/v1/aliases/{ALIAS}", json={"deployment": name}).raise_for_status()
        yield
    finally:
        api.delete(f"/v1/aliases/{ALIAS}")
        for name in (OLD, NEW):
            api.delete(f"/v1/deployments/{name}")
        api.delete(f"/v1/experiments/{OLD}", params={"cascade": True})


@pytest.mark.parametrize("how", ["warm", "stopped", "gone"])
def test_nothing_fails_and_the_old_version_answers_within_a_second(
    moved: None, stack: Stack, api: httpx.Client, how: str
) -> None:
    if how == "stopped":
        api.post(f"/v1/deployments/{OLD}/stop").raise_for_status()
    if how == "gone":
        api.delete(f"/v1/deployments/{OLD}").raise_for_status()
    traffic = Traffic(api)
    asking = threading.Thread(target=traffic.run)
    asking.start()
    try:
        time.sleep(1)  # traffic before it, so that a failure of the move itself would show
        began = time.monotonic()
        answer = api.post(f"/v1/aliases/{ALIAS}/rollback", params={"wait_seconds": 60}, timeout=90)
        moved_at = time.monotonic()
        time.sleep(1.5)  # and after it
    finally:
        traffic.stopped.set()
        asking.join(30)
    assert (answer.status_code, answer.json()["deployment"]) == (200, OLD)
    assert traffic.failed == []
    first = min(at for at, _, who in traffic.answers if who == OLD)
    assert first - (began if how == "warm" else moved_at) < 1
    assert {who for at, _, who in traffic.answers if at > moved_at + 1} == {OLD}
