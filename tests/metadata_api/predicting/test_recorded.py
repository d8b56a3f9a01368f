"""Recorded predictions as they are looked for, and asked again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.metadata_api.making import make_deployment, make_image, make_version
from tests.metadata_api.servers import V2Server, answers, rejects

URL = "/v1/predictions"


@pytest.fixture
def calls(engine: Engine, api: httpx.Client, serving: V2Server) -> list[dict[str, Any]]:
    """Three calls to a and b: they agree on 5, they disagree on 5 and 3, and b fails."""
    for name in ("a", "b"):
        make_deployment(engine, name)
        serving.models[name] = answers("5")
    api.put("/v1/aliases/champion", json={"deployment": "a"}).raise_for_status()
    told = [ask(api, deployments=["a", "b"])]
    serving.models["b"] = answers("3")
    told.append(ask(api, aliases=["champion"], deployments=["b"]))
    serving.models["b"] = rejects(500, "broken")
    told.append(ask(api, deployments=["a", "b"]))
    return told


def ask(api: httpx.Client, shade: int = 0, **whom: list[str]) -> dict[str, Any]:
    """The answer to one call about an image."""
    answer = api.post(URL, files={"image": ("digit.png", make_image(shade))}, data=whom)
    return dict(answer.raise_for_status().json())


def found(api: httpx.Client, **query: Any) -> list[tuple[str, str | None]]:
    """Deployment and label of the predictions of a list, newest first; its total agrees."""
    page = api.get(URL, params=query).raise_for_status().json()
    assert page["total"] == len(page["items"])
    return [(item["deployment"], item["label"]) for item in page["items"]]


class TestFilters:
    """GET /v1/predictions."""

    def test_by_status_label_alias_and_experiment(
        self, api: httpx.Client, calls: list[dict[str, Any]]
    ) -> None:
        assert len(found(api)) == 6
        assert found(api, status="error") == [("b", None)]
        assert found(api, label="3") == [("b", "3")]
        assert found(api, alias="champion") == [("a", "5")]
        assert len(found(api, experiment="b")) == 3, "also one that no version answered"
        assert found(api, experiment="b", label="5") == [("b", "5")]

    def test_by_disagreement_within_a_call(self, api: httpx.Client, calls: list[dict[str, Any]]) -> None:
        assert sorted(found(api, disagree=True)) == [("a", "5"), ("b", "3")]
        assert len(found(api, disagree=False)) == 4
        [request] = {item["request_id"] for item in api.get(URL, params={"disagree": True}).json()["items"]}
        assert request == calls[1]["id"]

    def test_by_time(self, api: httpx.Client, calls: list[dict[str, Any]]) -> None:
        now = datetime.now(UTC)
        before, after = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()
        assert len(found(api, since=before, until=after)) == 6
        assert found(api, since=after) == found(api, until=before) == []

    @pytest.mark.parametrize(
        "query", [{"status": "odd"}, {"since": "2026-01-01T00:00:00"}, {"label": "\x00"}, {"cursor": "x"}]
    )
    def test_of_what_cannot_be_are_rejected(self, api: httpx.Client, query: dict[str, str]) -> None:
        assert api.get(URL, params=query).json()["error"] == "invalid_request"


class TestAgain:
    """POST /v1/predictions/ID/again."""

    def test_the_same_version_says_the_same(self, api: httpx.Client, calls: list[dict[str, Any]]) -> None:
        first = calls[0]["results"][0]
        told = api.post(f"{URL}/{first['prediction_id']}/again").raise_for_status().json()
        assert (told["same"], told["differences"]) == (True, [])
        assert told["before"]["prediction_id"] == first["prediction_id"]
        assert (told["after"]["deployment"], told["after"]["label"]) == ("a", "5")
        again = api.get(f"{URL}/{told['after']['prediction_id']}").json()
        assert again["input_sha256"] == told["before"]["input_sha256"]

    def test_what_differs_is_named(
        self, api: httpx.Client, calls: list[dict[str, Any]], serving: V2Server
    ) -> None:
        serving.models["a"] = answers("7")
        told = api.post(f"{URL}/{calls[0]['results'][0]['prediction_id']}/again").json()
        differences = {one["field"]: (one["before"], one["after"]) for one in told["differences"]}
        assert (told["same"], differences["label"]) == (False, ("5", "7"))
        assert differences.keys() == {"label", "probabilities.5", "probabilities.7"}

    def test_one_that_failed_may_answer_now(
        self, api: httpx.Client, calls: list[dict[str, Any]], serving: V2Server
    ) -> None:
        serving.models["b"] = answers("5")
        told = api.post(f"{URL}/{calls[2]['results'][1]['prediction_id']}/again").json()
        assert {"status", "label", "version", "error"} <= {one["field"] for one in told["differences"]}
        assert (told["after"]["status"], told["after"]["label"]) == ("ok", "5")

    def test_another_deployment_of_the_version_is_as_good(
        self, api: httpx.Client, calls: list[dict[str, Any]], engine: Engine, serving: V2Server
    ) -> None:
        make_version(engine, 2, experiment="a")
        api.delete("/v1/aliases/champion").raise_for_status()
        api.patch("/v1/deployments/a", json={"version": 2}).raise_for_status()
        api.post("/v1/deployments", json={"experiment": "a", "version": 1, "name": "z"}).raise_for_status()
        serving.models["z"] = answers("5")
        told = api.post(f"{URL}/{calls[0]['results'][0]['prediction_id']}/again").json()
        assert (told["after"]["deployment"], told["same"]) == ("z", True)

    def test_a_version_that_nobody_serves_is_a_409_that_says_what_to_do(
        self, api: httpx.Client, calls: list[dict[str, Any]]
    ) -> None:
        api.post("/v1/deployments/b/stop").raise_for_status()
        answer = api.post(f"{URL}/{calls[0]['results'][1]['prediction_id']}/again")
        assert (answer.status_code, answer.json()["error"]) == (409, "version_not_served")
        assert "version 1 of b. Deploy or start it first." in answer.json()["detail"]

    def test_of_nothing_is_a_404(self, api: httpx.Client) -> None:
        assert api.post(f"{URL}/{uuid4()}/again").json()["error"] == "prediction_unknown"


def test_no_filter_reads_the_whole_table(engine: Engine, api: httpx.Client) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("insert into inputs (sha256, kind, media_type, size) values ('t', 'text', 'text/plain', 1)")
        )
        connection.execute(text(FILL), {"count": 5000})
        connection.execute(text("analyze predictions"))
        for condition in ("status = 'error'", "disagrees", "alias = 'champion'", "label = '77'"):
            query = f"explain select * from predictions where {condition} order by id desc limit 20"
            plan = "\n".join(connection.scalars(text(query)))
            assert "Seq Scan" not in plan, plan


FILL = """
insert into predictions (uid, request_uid, input_sha256, deployment, alias, source, status, kind, label,
probabilities, latency_ms, lineage, disagrees, created_at)
select gen_random_uuid(), gen_random_uuid(), 't', 'd' || n % 50, case when n % 500 = 0 then 'champion' end, 'api',
case when n % 200 = 7 then 'error' else 'ok' end, 'probabilities', (n % 100)::text,
'[{"label": "5", "probability": 0.9}, {"label": "3", "probability": 0.1}]', n % 90,
jsonb_build_object('experiment', 'e' || n % 50, 'version', 1, 'desired_version', 1), n % 300 = 0,
now() - make_interval(secs => :count - n) from generate_series(1, :count) n
"""
