"""`GET /v1/aliases/NAME?at=T` and the lineage of an answer, over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, make_image, make_mar, open_settings
from tests.metadata_api.servers import V2Server, answers, running

CHAMPION = "/v1/aliases/champion"


@pytest.fixture(scope="module")
def own(postgres_url: str) -> Iterator[Engine]:
    with own_database(postgres_url) as engine:
        yield engine


@pytest.fixture(scope="module")
def own_api(
    own: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """An API whose deployments answer as they are told; nobody reconciles them."""
    folder = tmp_path_factory.mktemp("own")
    settings = open_settings(own, folder, serving.url)
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


class TestThen:
    """Where a name led at a moment."""

    @pytest.fixture
    def times(self, api: httpx.Client, engine: Engine) -> list[str]:
        """When the alias was set, moved and deleted."""
        make_deployment(engine, "digits")
        make_deployment(engine, "letters")
        api.put(CHAMPION, json={"deployment": "digits", "reason": "first"}).raise_for_status()
        api.put(CHAMPION, json={"deployment": "letters"}).raise_for_status()
        api.delete(CHAMPION).raise_for_status()
        return [event["at"] for event in reversed(api.get(f"{CHAMPION}/events").json()["items"])]

    def test_is_told_with_the_change_that_made_it_so(self, api: httpx.Client, times: list[str]) -> None:
        then = api.get(CHAMPION, params={"at": times[0]}).json()
        assert (then["deployment"], then["experiment"], then["version"]) == ("digits", "digits", 1)
        assert (then["since"], then["until"]) == (times[0], times[1])
        assert (then["event"]["kind"], then["event"]["reason"]) == ("create", "first")
        assert api.get(CHAMPION, params={"at": times[1]}).json()["deployment"] == "letters"

    @pytest.mark.parametrize(("event", "before", "said"), [(0, True, "first set"), (2, False, "deleted")])
    def test_when_there_was_none_it_says_since_or_until_when(
        self, api: httpx.Client, times: list[str], event: int, before: bool, said: str
    ) -> None:
        moment = datetime.fromisoformat(times[event]) - timedelta(microseconds=int(before))
        answer = api.get(CHAMPION, params={"at": moment.isoformat()})
        assert (answer.status_code, answer.json()["error"]) == (404, "alias_unknown_then")
        assert said in answer.json()["detail"]
        assert times[event].removesuffix("Z") in answer.json()["detail"]

    def test_of_a_log_that_was_cut_it_says_where_it_begins(
        self, api: httpx.Client, times: list[str], engine: Engine
    ) -> None:
        with engine.begin() as connection:
            connection.execute(text("delete from alias_events where kind = 'create'"))
        answer = api.get(CHAMPION, params={"at": times[0]})
        assert (answer.status_code, answer.json()["error"]) == (404, "alias_log_too_short")

    def test_needs_a_time_zone(self, api: httpx.Client, times: list[str]) -> None:
        assert api.get(CHAMPION, params={"at": "2026-01-01T00:00:00"}).status_code == 422

    def test_a_name_that_never_was_is_unknown(self, api: httpx.Client) -> None:
        answer = api.get("/v1/aliases/nobody", params={"at": datetime.now(UTC).isoformat()})
        assert (answer.status_code, answer.json()["error"]) == (404, "alias_unknown")

    def test_a_clock_that_steps_back_leaves_the_log_in_order(
        self, api: httpx.Client, times: list[str], engine: Engine
    ) -> None:
        with engine.begin() as connection:
            connection.execute(text("update alias_events set at = at + interval '1 hour'"))
        api.put(CHAMPION, json={"deployment": "digits"}).raise_for_status()
        newest, last, *_ = api.get(f"{CHAMPION}/events").json()["items"]
        assert newest["at"] == last["at"]
        assert api.get(CHAMPION, params={"at": newest["at"]}).json()["deployment"] == "digits"


class TestLineage:
    """From an answer back to its training run."""

    @pytest.fixture
    def answer(self, own_api: httpx.Client, serving: V2Server, tmp_path: Path) -> dict[str, Any]:
        """An answer of a version that was uploaded, deployed and named `champion`."""
        curve = {"steps": [1, 2], "values": [0.5, 0.2]}
        experiment = {"name": "digits", "parameters": {"lr": 0.1}, "curves": {"loss": curve}}
        if own_api.post("/v1/experiments", json=experiment).status_code == 201:
            dataset = (
                b'{"dataset": {"name": "mnist", "sha256": "abc"}, "seed": 3, "parameters": {"epochs": 4}}'
            )
            mar = make_mar(tmp_path, training__json=dataset)
            own_api.post("/v1/experiments/digits/versions", content=mar).raise_for_status()
            own_api.post("/v1/deployments", json={"experiment": "digits"}).raise_for_status()
            own_api.put(CHAMPION, json={"deployment": "digits", "reason": "the only one"}).raise_for_status()
        serving.models["digits"] = answers("5")
        asked = own_api.post(
            "/v1/predictions", files={"image": ("a.png", make_image())}, data={"aliases": "champion"}
        )
        assert asked.status_code == 200, asked.text
        return dict(asked.json()["results"][0])

    def test_names_every_step(self, own_api: httpx.Client, answer: dict[str, Any]) -> None:
        found = own_api.get(f"/v1/predictions/{answer['prediction_id']}/lineage").json()
        assert (found["alias"]["name"], found["alias"]["event"]["kind"]) == ("champion", "create")
        assert found["alias"]["event"]["reason"] == "the only one"
        assert (found["deployment"]["name"], found["deployment"]["change"]) == ("digits", "create")
        version = found["version"]
        assert (version["experiment"], version["version"], version["uploaded_by"]) == (
            "digits",
            1,
            "anonymous",
        )
        assert (version["seed"], version["training_parameters"]) == (3, {"epochs": 4})
        assert version["data_set"] == {"name": "mnist", "sha256": "abc"}
        assert version["environment"]["sha256_at_upload"] == version["environment"]["sha256_now"]
        assert len(version["environment"]["sha256_now"]) == 64
        assert found["experiment"]["parameters"] == {"lr": 0.1}
        assert found["experiment"]["metrics"]["loss"]["best"] == 0.2
        assert found["gaps"] == []

    def test_of_a_deleted_version_says_what_was_recorded(
        self, own_api: httpx.Client, answer: dict[str, Any]
    ) -> None:
        own_api.delete(CHAMPION).raise_for_status()
        own_api.delete("/v1/deployments/digits").raise_for_status()
        own_api.delete("/v1/experiments/digits", params={"cascade": True}).raise_for_status()
        found = own_api.get(f"/v1/predictions/{answer['prediction_id']}/lineage").json()
        version = found["version"]
        assert (version["experiment"], version["version"], version["present"]) == ("digits", 1, False)
        assert len(version["mar_sha256"]) == 64
        assert found["experiment"] is None
        assert found["alias"]["event"]["mar_sha256"] == version["mar_sha256"]
        assert any("was deleted" in gap for gap in found["gaps"])

    def test_of_an_unknown_answer_is_a_404(self, api: httpx.Client) -> None:
        answer = api.get("/v1/predictions/00000000-0000-0000-0000-000000000000/lineage")
        assert (answer.status_code, answer.json()["error"]) == (404, "prediction_unknown")
