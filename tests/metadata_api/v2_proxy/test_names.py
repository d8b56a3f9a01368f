"""What is answered under an alias: by an API with its reconciler, before servers that do as they are told."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, make_version, url_of
from tests.metadata_api.servers import Front, V2Server, running, says
from tests.waiting import until

CHAMPION = "/v1/aliases/champion"
DEPLOYMENTS = "/v1/deployments"


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own, so that no other application writes what it sees of these deployments."""
    with own_database(postgres_url) as engine:
        yield engine


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(tmp_path / "models.json")


@pytest.fixture
def api(engine: Engine, clean: None, front: Front, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of it, two deployments of version 1, and the alias `champion` that points at `digits`."""
    make_deployment(engine, "digits")
    make_version(engine, 2)
    make_deployment(engine, "letters")
    with V2Server() as serving:
        serving.status = front.status
        serving.models = {name: says(name.encode()) for name in ("digits", "letters")}
        settings = Settings(
            auth=Auth(mode="off"),
            database_url=url_of(engine),
            store_dir=tmp_path / "store",
            serving_url=serving.url,
            serving_models_file=front.models_file,
        )
        with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as client:
            point_at(client, "digits")
            yield client


def point_at(api: httpx.Client, deployment: str) -> None:
    api.put(CHAMPION, json={"deployment": deployment}).raise_for_status()


def ask(api: httpx.Client) -> tuple[int, str]:
    answer = api.post("/v2/models/champion/infer", json={})
    return answer.status_code, answer.json()["error"] if answer.is_error else answer.text


def test_the_deployment_answers_that_it_points_at_now(api: httpx.Client) -> None:
    assert ask(api) == (200, "digits")
    point_at(api, "letters")
    assert ask(api) == (200, "letters")
    api.post(f"{CHAMPION}/rollback").raise_for_status()
    assert ask(api) == (200, "digits")
    api.delete(CHAMPION)
    assert ask(api)[0] == 404


def test_it_is_live_once_its_version_was_seen_answering(api: httpx.Client, front: Front) -> None:
    until(lambda: api.get(CHAMPION).json()["live"])
    assert api.get(CHAMPION).json()["reason"] is None
    front.states["digits"] = {"live_version": None, "state": "failed"}
    until(lambda: not api.get(CHAMPION).json()["live"])
    assert api.get(CHAMPION).json()["reason"] == (
        "Version 1 of deployment digits does not answer. /v1/deployments/digits says why."
    )


def test_a_stale_one_answers_until_the_other_version_does_and_then_says_so(
    api: httpx.Client, front: Front
) -> None:
    until(lambda: api.get(CHAMPION).json()["live"])
    front.states["digits"] = {"live_version": "1", "state": "starting"}
    api.patch(f"{DEPLOYMENTS}/digits", json={"version": 2}).raise_for_status()
    until(lambda: api.get(f"{DEPLOYMENTS}/digits").json()["observed"]["state"] == "starting")
    assert (ask(api), api.get(CHAMPION).json()["live"]) == ((200, "digits"), True)
    front.states.clear()
    until(lambda: api.get(f"{DEPLOYMENTS}/digits").json()["ready"])
    told = (
        "Alias champion points at version 1 of digits, but deployment digits was moved to version 2 of "
        "digits. Move the alias, or roll the deployment back."
    )
    assert ask(api) == (409, told)
    shown = api.get(CHAMPION).json()
    assert (shown["live"], shown["reason"]) == (False, told)
    point_at(api, "digits")
    assert ask(api) == (200, "digits")


def test_a_stopped_deployment_says_so(api: httpx.Client) -> None:
    api.post(f"{DEPLOYMENTS}/digits/stop").raise_for_status()
    assert ask(api) == (409, "Deployment digits is stopped. Start it first.")
    assert api.get(CHAMPION).json()["reason"] == (
        "Deployment digits is stopped. Start it, or move the alias."
    )


def test_another_version_of_the_alias_is_a_404(api: httpx.Client) -> None:
    answer = api.post("/v2/models/champion/versions/2/infer", json={})
    assert answer.status_code == 404
    assert "no alias at that version" in answer.json()["error"]


def test_a_version_of_another_experiment_is_not_taken_for_its_own(api: httpx.Client, engine: Engine) -> None:
    # As Helm may do it: the deployment keeps its name and number, and serves another experiment.
    until(lambda: api.get(CHAMPION).json()["live"])
    with engine.begin() as connection:
        connection.execute(
            text(
                "update deployments set experiment_id = other.experiment_id, version_id = other.version_id "
                "from deployments other where other.name = 'letters' and deployments.name = 'digits'"
            )
        )
    until(lambda: ask(api)[0] == 409)  # another process wrote it: that is seen within a second
    assert "points at version 1 of digits" in ask(api)[1]
