"""Rolling back to what is stopped or not served any more: it is woken and proven first, then the alias moves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.database.session import Base
from tests.metadata_api.making import make_deployment, make_version, open_settings
from tests.metadata_api.servers import Front, V2Server, running
from tests.waiting import until

CHAMPION = "/v1/aliases/champion"
DEPLOYMENTS = "/v1/deployments"
STARTING = {"state": "starting", "live_version": None}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, serving: V2Server) -> Front:
    front = Front(tmp_path_factory.mktemp("rollbacks") / "models.json")
    serving.status = front.status
    return front


@pytest.fixture(scope="module")
def address(own_engine: Engine, serving: V2Server, front: Front) -> Iterator[str]:
    """An API whose serving process has everything ready at once, unless `front` says otherwise."""
    settings = open_settings(own_engine, front.models_file.parent, serving.url)
    with running(create_app(settings)) as address:
        yield address


@pytest.fixture
def api(address: str, own_engine: Engine, front: Front) -> Iterator[httpx.Client]:
    """`champion` was moved from `old` to `new`; both are ready."""
    front.states.clear()
    with own_engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    make_deployment(own_engine, "old")
    make_deployment(own_engine, "new")
    with httpx.Client(base_url=address, timeout=30) as client:
        for name in ("old", "new"):
            until(partial(is_ready, client, name), f"{name} is ready")
            client.put(CHAMPION, json={"deployment": name}).raise_for_status()
        yield client


def is_ready(api: httpx.Client, name: str) -> bool:
    return bool(api.get(f"{DEPLOYMENTS}/{name}").json()["ready"])


def back(api: httpx.Client, **query: Any) -> httpx.Response:
    return api.post(f"{CHAMPION}/rollback", json={"reason": "worse"}, params=query)


def target(api: httpx.Client) -> tuple[str, bool]:
    found = api.get(CHAMPION).json()
    return found["deployment"], found["live"]


def test_to_what_is_ready_it_is_one_step(api: httpx.Client) -> None:
    assert back(api, wait_seconds=0).status_code == 200
    assert target(api) == ("old", True)


def test_what_is_stopped_is_started_and_proven_first(api: httpx.Client, front: Front) -> None:
    api.post(f"{DEPLOYMENTS}/old/stop").raise_for_status()
    until(lambda: "old" not in front.desired(), "old is stopped")
    front.states["old"] = STARTING
    waits = back(api, wait_seconds=0.3)
    assert (waits.status_code, waits.json()["deployment"]) == (202, "old")
    assert "Send the same request again" in waits.json()["detail"]
    assert target(api) == ("new", True)
    front.states.clear()
    moved = back(api)
    assert (moved.status_code, moved.json()["deployment"]) == (200, "old")
    assert target(api) == ("old", True)
    event = api.get(f"{CHAMPION}/events").json()["items"][0]
    assert (event["kind"], event["reason"]) == ("rollback", "worse")


def test_what_is_gone_is_deployed_again(api: httpx.Client) -> None:
    api.delete(f"{DEPLOYMENTS}/old").raise_for_status()
    assert back(api).status_code == 200
    assert target(api) == ("old", True)
    assert is_ready(api, "old")


def test_what_serves_another_version_now_stays_and_the_old_one_gets_a_name_of_its_own(
    api: httpx.Client, own_engine: Engine
) -> None:
    make_version(own_engine, 2, experiment="old")
    api.patch(f"{DEPLOYMENTS}/old", json={"version": 2}).raise_for_status()
    found = back(api).json()
    assert (found["deployment"], found["experiment"], found["version"]) == ("old-v1", "old", 1)
    assert api.get(f"{DEPLOYMENTS}/old").json()["version"] == 2


def test_of_a_version_that_was_deleted_it_says_so(api: httpx.Client) -> None:
    api.delete(f"{DEPLOYMENTS}/old").raise_for_status()
    api.delete("/v1/experiments/old", params={"cascade": True}).raise_for_status()
    answer = back(api)
    assert (answer.status_code, answer.json()["error"]) == (409, "version_gone")
    assert target(api)[0] == "new"


def test_who_moves_the_alias_meanwhile_wins(api: httpx.Client, own_engine: Engine, front: Front) -> None:
    make_deployment(own_engine, "third")
    until(lambda: is_ready(api, "third"), "third is ready")
    api.post(f"{DEPLOYMENTS}/old/stop").raise_for_status()
    front.states["old"] = STARTING
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(back, api)
        until(lambda: api.get(f"{DEPLOYMENTS}/old").json()["desired"] == "running", "old is woken")
        api.put(CHAMPION, json={"deployment": "third"}).raise_for_status()
        front.states.clear()
        answer = waiting.result(30)
    assert (answer.status_code, answer.json()["error"]) == (409, "alias_changed")
    assert target(api)[0] == "third"
