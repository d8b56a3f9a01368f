"""Deployments as operators look for them: filtered, sorted, paged, with events, and a roll back before it is done."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.metadata_api.making import make_experiment, make_version, open_settings
from tests.metadata_api.servers import standing_still

URL = "/v1/deployments"
# Name -> experiment, desired state, observed state, observed version, minutes since then.
FLEET: dict[str, tuple[str, str, str, int | None, int]] = {
    "a-ready": ("digits", "running", "ready", 1, 50),
    "b-failed": ("wine", "running", "failed", None, 10),
    "c-stopped": ("wine", "stopped", "stopped", None, 90),
    "d-older": ("digits", "running", "ready", 2, 20),
    "e-starting": ("digits", "running", "starting", None, 1),
    "f-ready": ("wine", "running", "ready", 1, 70),
}
SORTS = {
    "name": "a-ready b-failed c-stopped d-older e-starting f-ready",
    "-name": "f-ready e-starting d-older c-stopped b-failed a-ready",
    "state": "b-failed d-older e-starting a-ready f-ready c-stopped",
    "-state": "c-stopped f-ready a-ready e-starting d-older b-failed",
    "since": "c-stopped f-ready a-ready d-older b-failed e-starting",
    "-since": "e-starting b-failed d-older a-ready f-ready c-stopped",
    "experiment": "a-ready d-older e-starting b-failed c-stopped f-ready",
    "-experiment": "f-ready c-stopped b-failed e-starting d-older a-ready",
}


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def address(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application without its loop, which would write down that nothing runs."""
    folder = tmp_path_factory.mktemp("lists")
    settings = open_settings(engine, folder, "http://127.0.0.1:9")
    with standing_still(settings) as address:
        yield address


@pytest.fixture
def fleet(engine: Engine, clean: None) -> None:
    """Six deployments of two experiments, in every state."""
    for experiment in ("digits", "wine"):
        make_experiment(engine, experiment)
        for number in (1, 2):
            make_version(engine, number, experiment=experiment, environment="vision" if number == 2 else None)
    put = text(
        "insert into deployments (name, experiment_id, version_id, runtime, replicas, desired, observed_state, "
        "observed_version, observed_at) select :name, e.id, v.id, 'native', 1, :desired, :state, :version, "
        "now() - make_interval(mins => :minutes) from experiments e join model_versions v on v.experiment_id = e.id "
        "where e.name = :experiment and v.number = 1"
    )
    with engine.begin() as connection:
        for name, (experiment, desired, state, version, minutes) in FLEET.items():
            values = {"name": name, "experiment": experiment, "desired": desired, "state": state}
            connection.execute(put, {**values, "version": version, "minutes": minutes})


def names(api: httpx.Client, **query: Any) -> list[str]:
    """Of the deployments of a list."""
    answer = api.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


class TestList:
    """GET /v1/deployments."""

    @pytest.mark.parametrize("sort", SORTS)
    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_pages_in_every_order_hold_each_once(
        self, api: httpx.Client, fleet: None, sort: str, limit: int
    ) -> None:
        found: list[str] = []
        query: dict[str, Any] = {"sort": sort, "limit": limit}
        while True:
            page = api.get(URL, params=query).json()
            found += [item["name"] for item in page["items"]]
            assert page["total"] == len(FLEET)
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert found == SORTS[sort].split()

    def test_counts_by_state_stay_while_one_state_is_looked_at(self, api: httpx.Client, fleet: None) -> None:
        counts = {"failed": 1, "unknown": 0, "changing": 2, "ready": 2, "stopped": 1}
        for state, count in counts.items():
            page = api.get(URL, params={"state": state}).json()
            assert (page["counts"], page["total"], len(page["items"])) == (counts, count, count)
            assert {item["state"] for item in page["items"]} <= {state}

    def test_a_version_that_is_not_the_desired_one_is_a_change_under_way(
        self, api: httpx.Client, fleet: None
    ) -> None:
        assert names(api, state="changing") == ["d-older", "e-starting"]

    def test_is_searched_by_name_and_experiment(self, api: httpx.Client, fleet: None) -> None:
        assert names(api, q="WINE") == ["b-failed", "c-stopped", "f-ready"]
        assert names(api, q="ready") == ["a-ready", "f-ready"]
        assert names(api, q="%") == []
        page = api.get(URL, params={"experiment": "wine", "q": "ready"}).json()
        assert ([item["name"] for item in page["items"]], page["counts"]["failed"]) == (["f-ready"], 0)

    @pytest.mark.parametrize("cursor", ["x", "WyJuYW1lIl0=", "WyJzdGF0ZSIsIjEiLCJhIl0=", "W251bGxd"])
    def test_a_cursor_of_another_list_is_rejected(self, api: httpx.Client, fleet: None, cursor: str) -> None:
        for sort in SORTS:
            answer = api.get(URL, params={"sort": sort, "cursor": cursor})
            assert (answer.status_code, answer.json()["error"]) == (400, "bad_cursor")

    def test_says_the_environment_and_the_state_of_each(self, api: httpx.Client, fleet: None) -> None:
        [failed] = api.get(URL, params={"state": "failed"}).json()["items"]
        assert (failed["environment"], failed["state"], failed["ready"]) == ("base", "failed", False)


class TestTraffic:
    """How much a deployment was asked lately."""

    @pytest.fixture
    def asked(self, engine: Engine, fleet: None) -> None:
        """20 answers of 1 to 20 ms and an error by one deployment, of these minutes; older ones before."""
        put = text(
            "insert into predictions (uid, request_uid, input_sha256, deployment, source, status, kind, latency_ms, "
            "created_at) select gen_random_uuid(), gen_random_uuid(), 'in', 'a-ready', 'api', :status, 'label', "
            "n, now() - make_interval(mins => :minutes) from generate_series(1, :count) n"
        )
        given = "insert into inputs (sha256, kind, media_type, size) values ('in', 'text', 'text/plain', 1)"
        with engine.begin() as connection:
            connection.execute(text(given))
            connection.execute(put, {"status": "ok", "minutes": 30, "count": 5})
            connection.execute(put, {"status": "ok", "minutes": 1, "count": 20})
            connection.execute(put, {"status": "error", "minutes": 1, "count": 1})

    def test_counts_requests_errors_and_latencies(self, api: httpx.Client, asked: None) -> None:
        found = api.get(f"{URL}/a-ready/traffic").json()
        assert found == {"minutes": 15, "requests": 21, "errors": 1, "p50_ms": 10.5, "p95_ms": 19.05}
        assert api.get(f"{URL}/a-ready/traffic", params={"minutes": 60}).json()["requests"] == 26

    def test_is_said_of_a_page_when_it_is_asked_for(self, api: httpx.Client, asked: None) -> None:
        items = api.get(URL, params={"traffic_minutes": 15, "limit": 2}).json()["items"]
        assert [item["traffic"]["requests"] for item in items] == [21, 0]
        assert items[1]["traffic"]["p95_ms"] is None
        assert api.get(URL).json()["items"][0]["traffic"] is None

    def test_of_nothing_is_a_404(self, api: httpx.Client, fleet: None) -> None:
        assert api.get(f"{URL}/unknown/traffic").status_code == 404


class TestEvents:
    """Who changed a deployment, and why."""

    def test_name_the_caller_and_the_reason_of_every_change(self, api: httpx.Client, fleet: None) -> None:
        api.post(URL, json={"experiment": "digits", "version": 1, "name": "new", "reason": "first"})
        api.patch(f"{URL}/new", json={"version": 2, "reason": "better"}).raise_for_status()
        api.post(f"{URL}/new/rollback", json={"reason": "worse"}).raise_for_status()
        api.post(f"{URL}/new/stop", json={"reason": "costs"}).raise_for_status()
        api.post(f"{URL}/new/start").raise_for_status()
        api.delete(f"{URL}/new", params={"reason": "gone"}).raise_for_status()
        events = api.get(f"{URL}/new/events").json()["items"]
        said = [(event["kind"], event["reason"]) for event in events if event["actor"] == "anonymous"]
        assert said == [
            ("delete", "gone"),
            ("start", ""),
            ("stop", "costs"),
            ("rollback", "worse"),
            ("change", "better"),
            ("create", "first"),
        ]
        assert all(event["actor"] == "" for event in events if event["kind"] in ("pending", "stopped"))

    def test_are_paged_newest_first(self, api: httpx.Client, fleet: None, engine: Engine) -> None:
        with engine.begin() as connection:
            put = "insert into deployment_events (deployment, kind, version) select 'x', 'change', n from "
            connection.execute(text(put + "generate_series(1, 5) n"))
        first = api.get(f"{URL}/x/events", params={"limit": 3}).json()
        rest = api.get(f"{URL}/x/events", params={"limit": 3, "cursor": first["next"]}).json()
        assert [item["version"] for item in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
        assert (first["total"], rest["next"]) == (5, None)

    def test_of_a_name_that_never_was_are_a_404(self, api: httpx.Client, fleet: None) -> None:
        assert api.get(f"{URL}/never/events").json()["error"] == "deployment_unknown"

    def test_a_reason_alone_changes_nothing(self, api: httpx.Client, fleet: None) -> None:
        assert api.patch(f"{URL}/a-ready", json={"reason": "why"}).status_code == 422


class TestRollbackPreview:
    """GET /v1/deployments/NAME/rollback."""

    def test_says_what_would_change_and_changes_nothing(self, api: httpx.Client, fleet: None) -> None:
        api.put("/v1/aliases/old", json={"deployment": "a-ready"}).raise_for_status()
        api.patch(f"{URL}/a-ready", json={"version": 2}).raise_for_status()
        api.put("/v1/aliases/new", json={"deployment": "a-ready"}).raise_for_status()
        before = api.get(f"{URL}/a-ready").json()
        found = api.get(f"{URL}/a-ready/rollback").json()
        assert (found["current"]["version"], found["previous"]["version"]) == (2, 1)
        assert (found["current"]["environment"], found["previous"]["environment"]) == ("vision", "base")
        assert (found["differs"], found["aliases_stale"]) == (["environment"], ["new"])
        assert found["aliases_live"] == ["old"]
        assert api.get(f"{URL}/a-ready").json()["updated_at"] == before["updated_at"]

    def test_without_a_version_before_is_a_409(self, api: httpx.Client, fleet: None) -> None:
        assert api.get(f"{URL}/a-ready/rollback").json()["error"] == "no_previous_version"
        assert api.get(f"{URL}/unknown/rollback").status_code == 404


def test_aliases_are_listed_by_deployment(api: httpx.Client, fleet: None) -> None:
    api.put("/v1/aliases/one", json={"deployment": "a-ready"}).raise_for_status()
    api.put("/v1/aliases/two", json={"deployment": "f-ready"}).raise_for_status()
    page = api.get("/v1/aliases", params={"deployment": "f-ready"}).json()
    assert ([item["name"] for item in page["items"]], page["total"]) == (["two"], 1)


def test_versions_of_all_experiments_are_listed_newest_first(api: httpx.Client, fleet: None) -> None:
    first = api.get("/v1/versions", params={"limit": 3}).json()
    rest = api.get("/v1/versions", params={"limit": 3, "cursor": first["next"]}).json()
    found = [(item["experiment"], item["version"]) for item in first["items"] + rest["items"]]
    assert (found, first["total"]) == ([("wine", 2), ("wine", 1), ("digits", 2), ("digits", 1)], 4)
    assert first["items"][1]["deployments"] == ["b-failed", "c-stopped", "f-ready"]
    assert api.get("/v1/versions", params={"q": "DIG"}).json()["total"] == 2


def test_rejected_rows_of_an_import_are_grouped_and_exported(api: httpx.Client, fleet: None) -> None:
    rows = ["Experiment Name,Learning Rate,Momentum,Loss", "=a,x,0.9,0.1", "b,y,0.9,0.1", "c,0.1,0.9,?"]
    report = api.post("/v1/imports", content="\n".join(rows).encode()).json()
    assert report["rejected"] == 3
    assert sum(one["count"] for one in report["reasons"]) == 3
    counts = [one["count"] for one in report["reasons"]]
    assert counts == sorted(counts, reverse=True)
    answer = api.get(f"/v1/imports/{report['id']}/rejected.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = answer.text.splitlines()
    assert (lines[0], len(lines)) == ("line,column,reason", 4)
    assert api.get("/v1/imports/999999/rejected.csv").status_code == 404
