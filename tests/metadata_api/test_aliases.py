"""Aliases: names that are set, moved, rolled back and deleted, each time with an event that stays."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.deploying.base import Observed
from metadata_api.deploying.helm_release import HelmDeployment, HelmSpec
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_deployment, make_version

URL = "/v1/aliases"
CHAMPION = f"{URL}/champion"
DEPLOYMENTS = "/v1/deployments"


@pytest.fixture
def deployed(api: httpx.Client, engine: Engine) -> None:
    """Two deployments of version 1, of which one could have a second version, and a stopped one."""
    make_deployment(engine, "digits")
    make_version(engine, 2)
    make_deployment(engine, "letters")
    make_deployment(engine, "asleep", desired="stopped")


@pytest.fixture
def champion(api: httpx.Client, deployed: None) -> dict[str, Any]:
    """The alias `champion`, which points at version 1 of `digits`."""
    return dict(put(api, "digits").json())


def put(api: httpx.Client, deployment: str, name: str = "champion", **more: Any) -> httpx.Response:
    return api.put(f"{URL}/{name}", json={"deployment": deployment, **more}).raise_for_status()


def log(api: httpx.Client, name: str = "champion") -> list[tuple[str, str, int]]:
    """Kind and target of every event of a name, newest first."""
    events = api.get(f"{URL}/{name}/events").json()["items"]
    return [(event["kind"], event["deployment"], event["version"]) for event in events]


def stored(engine: Engine) -> tuple[int, int]:
    """How many aliases and events there are; what the reconciler writes of deployments does not count."""
    rows = row_counts(engine)
    return rows["aliases"], rows["alias_events"]


def failure(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json().keys() == {"error", "detail"}
    assert " " in answer.json()["detail"]
    return answer.status_code, answer.json()["error"]


class TestSet:
    """PUT /v1/aliases/{name}."""

    def test_a_new_one_points_at_the_version_that_the_deployment_serves(
        self, api: httpx.Client, deployed: None
    ) -> None:
        answer = api.put(CHAMPION, json={"deployment": "digits", "reason": "best loss"})
        assert answer.status_code == 201
        made = answer.json()
        assert (made["name"], made["deployment"], made["experiment"], made["version"]) == (
            "champion",
            "digits",
            "digits",
            1,
        )
        assert made["url"] == "/v2/models/champion"
        assert api.get(CHAMPION).json() == made
        [event] = api.get(f"{CHAMPION}/events").json()["items"]
        assert (event["kind"], event["actor"], event["reason"]) == ("create", "anonymous", "best loss")

    def test_again_moves_it(self, api: httpx.Client, champion: dict[str, Any]) -> None:
        answer = api.put(CHAMPION, json={"deployment": "letters", "version": 1})
        assert (answer.status_code, answer.json()["deployment"]) == (200, "letters")
        assert answer.json()["created_at"] == champion["created_at"]
        assert answer.json()["updated_at"] > champion["updated_at"]
        assert log(api) == [("move", "letters", 1), ("create", "digits", 1)]

    def test_to_where_it_points_already_changes_nothing(
        self, api: httpx.Client, champion: dict[str, Any]
    ) -> None:
        assert put(api, "digits", version=1).json() == champion
        assert log(api) == [("create", "digits", 1)]

    def test_moves_at_once_are_all_kept_in_order(self, api: httpx.Client, champion: dict[str, Any]) -> None:
        with ThreadPoolExecutor(8) as pool:
            moves = list(pool.map(lambda target: put(api, target), ["letters", "digits"] * 6))
        assert {answer.status_code for answer in moves} == {200}
        kept = log(api)
        assert kept[0][1] == api.get(CHAMPION).json()["deployment"]
        assert all(later[1] != earlier[1] for later, earlier in zip(kept, kept[1:], strict=False))

    def test_two_different_moves_at_once_are_two_events(
        self, api: httpx.Client, champion: dict[str, Any], engine: Engine
    ) -> None:
        make_deployment(engine, "other")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda target: put(api, target), ["letters", "other"]))
        last, first, created = log(api)
        assert {last[:2], first[:2]} == {("move", "letters"), ("move", "other")}
        assert (last[1], created[0]) == (api.get(CHAMPION).json()["deployment"], "create")

    def test_of_several_that_make_it_at_once_one_creates_and_the_others_move(
        self, api: httpx.Client, deployed: None
    ) -> None:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda target: put(api, target), ["letters", "digits"]))
        assert sorted(answer.status_code for answer in answers) == [200, 201]
        assert [kind for kind, _, _ in log(api)] == ["move", "create"]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"deployment": "unknown"}, 404, "deployment_unknown"),
            ({"deployment": "digits", "version": 9}, 404, "version_unknown"),
            ({"deployment": "digits", "version": 2}, 409, "version_not_served"),
            ({"deployment": "asleep"}, 409, "deployment_stopped"),
            ({}, 422, "invalid_request"),
            ({"deployment": "../etc"}, 422, "invalid_request"),
            ({"deployment": "digits", "version": 0}, 422, "invalid_request"),
            ({"deployment": "digits", "version": 2**31}, 422, "invalid_request"),
            ({"deployment": "digits", "reason": "a\x00b"}, 422, "invalid_request"),
            ({"deployment": "digits", "reason": "half a pair \ud800"}, 422, "invalid_request"),
            ({"deployment": "digits", "reason": "x" * 10_001}, 422, "invalid_request"),
            ({"deployment": "digits", "actor": "ada"}, 422, "invalid_request"),
            ({"deployment": "digits", "color": "red"}, 422, "invalid_request"),
        ],
    )
    def test_to_what_cannot_answer_is_refused_and_leaves_nothing(
        self,
        api: httpx.Client,
        champion: dict[str, Any],
        engine: Engine,
        body: dict[str, Any],
        status: int,
        code: str,
    ) -> None:
        before = stored(engine)
        headers = {"content-type": "application/json"}
        for path in (f"{URL}/new", CHAMPION):
            assert failure(api.put(path, content=json.dumps(body), headers=headers)) == (status, code)
        assert stored(engine) == before
        assert api.get(CHAMPION).json()["deployment"] == "digits"

    @pytest.mark.parametrize("name", ["Champion", "-a", "a" * 41, "a.b"])
    def test_a_name_that_no_deployment_could_have_is_refused(
        self, api: httpx.Client, deployed: None, name: str
    ) -> None:
        assert failure(api.put(f"{URL}/{name}", json={"deployment": "digits"})) == (422, "invalid_request")


class TestNames:
    """A deployment and an alias answer under the same addresses, and therefore never share a name."""

    def test_an_alias_cannot_take_a_deployments(self, api: httpx.Client, deployed: None) -> None:
        answer = api.put(f"{URL}/letters", json={"deployment": "digits"})
        assert failure(answer) == (409, "deployment_exists")
        assert "Choose another name" in answer.json()["detail"]

    def test_nor_that_of_one_in_helms_values_alone(
        self, api: httpx.Client, app: FastAPI, deployed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = HelmDeployment(HelmSpec("digits", 1, "native", 1, ""), Observed("ready", 1, 1, None))
        monkeypatch.setattr(app.state.components.helm, "deployments", {"champion": one})
        assert failure(api.put(CHAMPION, json={"deployment": "digits"})) == (409, "deployment_exists")

    def test_a_deployment_cannot_take_an_aliases(self, api: httpx.Client, champion: dict[str, Any]) -> None:
        answer = api.post(DEPLOYMENTS, json={"experiment": "digits", "name": "champion"})
        assert failure(answer) == (409, "alias_exists")
        assert "delete the alias" in answer.json()["detail"]
        assert failure(api.get(f"{DEPLOYMENTS}/champion")) == (404, "deployment_unknown")

    def test_of_both_at_once_one_gets_it(self, api: httpx.Client, deployed: None) -> None:
        def ask(number: int) -> list[int]:
            name = f"name-{number}"
            with ThreadPoolExecutor(2) as pair:
                alias = pair.submit(api.put, f"{URL}/{name}", json={"deployment": "digits"})
                wish = {"experiment": "letters", "name": name}
                deployment = pair.submit(api.post, DEPLOYMENTS, json=wish)
                return sorted([alias.result().status_code, deployment.result().status_code])

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, range(12))) == [[201, 409]] * 12

    def test_one_that_helm_takes_nevertheless_is_said_to_be_the_deployments(
        self, api: httpx.Client, champion: dict[str, Any], engine: Engine
    ) -> None:
        make_deployment(engine, "champion")
        shown = api.get(CHAMPION).json()
        assert shown["live"] is False
        assert "A deployment is called champion too" in shown["reason"]
        assert failure(api.put(CHAMPION, json={"deployment": "letters"})) == (409, "deployment_exists")


class TestRollBack:
    """POST /v1/aliases/{name}/rollback."""

    def test_points_where_the_last_move_came_from_and_back_again(
        self, api: httpx.Client, champion: dict[str, Any]
    ) -> None:
        put(api, "letters")
        back = api.post(f"{CHAMPION}/rollback", json={"reason": "too many errors"})
        assert (back.status_code, back.json()["deployment"]) == (200, "digits")
        assert api.get(f"{CHAMPION}/events").json()["items"][0]["reason"] == "too many errors"
        assert api.post(f"{CHAMPION}/rollback").json()["deployment"] == "letters"
        assert log(api) == [
            ("rollback", "letters", 1),
            ("rollback", "digits", 1),
            ("move", "letters", 1),
            ("create", "digits", 1),
        ]

    def test_of_one_that_was_never_moved_is_a_409(self, api: httpx.Client, champion: dict[str, Any]) -> None:
        assert failure(api.post(f"{CHAMPION}/rollback")) == (409, "no_previous_target")

    def test_does_not_reach_behind_a_deletion(self, api: httpx.Client, champion: dict[str, Any]) -> None:
        put(api, "letters")
        api.delete(CHAMPION)
        put(api, "letters")
        assert failure(api.post(f"{CHAMPION}/rollback")) == (409, "no_previous_target")


class TestDelete:
    """DELETE, of an alias and of what it points at."""

    def test_forgets_the_alias_and_keeps_its_events(
        self, api: httpx.Client, champion: dict[str, Any]
    ) -> None:
        answer = api.delete(CHAMPION, params={"reason": "season is over"})
        assert (answer.status_code, answer.content) == (204, b"")
        assert failure(api.get(CHAMPION)) == (404, "alias_unknown")
        assert log(api) == [("delete", "digits", 1), ("create", "digits", 1)]
        newest = api.get(f"{CHAMPION}/events").json()["items"][0]
        assert (newest["actor"], newest["reason"]) == ("anonymous", "season is over")

    def test_a_deployment_that_it_points_at_is_refused_by_its_name(
        self, api: httpx.Client, champion: dict[str, Any]
    ) -> None:
        answer = api.delete(f"{DEPLOYMENTS}/digits")
        assert failure(answer) == (409, "alias_points_here")
        assert "champion" in answer.json()["detail"]
        put(api, "letters")
        assert api.delete(f"{DEPLOYMENTS}/digits").status_code == 204

    @pytest.mark.parametrize(
        ("method", "path"), [("get", ""), ("delete", ""), ("get", "/events"), ("post", "/rollback")]
    )
    def test_there_is_none_of_this_name(self, api: httpx.Client, method: str, path: str) -> None:
        assert failure(api.request(method, f"{URL}/unknown{path}")) == (404, "alias_unknown")


class TestLists:
    """Page by page."""

    def test_aliases_by_name(self, api: httpx.Client, deployed: None) -> None:
        for name in ("b", "c", "a"):
            put(api, "digits", name)
        first = api.get(URL, params={"limit": 2}).json()
        assert ([item["name"] for item in first["items"]], first["total"]) == (["a", "b"], 3)
        second = api.get(URL, params={"limit": 2, "cursor": first["next"]}).json()
        assert ([item["name"] for item in second["items"]], second["next"]) == (["c"], None)

    def test_events_newest_first(self, api: httpx.Client, champion: dict[str, Any]) -> None:
        for target in ("letters", "digits"):
            put(api, target)
        put(api, "letters", "other")
        first = api.get(f"{CHAMPION}/events", params={"limit": 2}).json()
        assert ([item["deployment"] for item in first["items"]], first["total"]) == (["digits", "letters"], 3)
        second = api.get(f"{CHAMPION}/events", params={"limit": 2, "cursor": first["next"]}).json()
        assert ([item["kind"] for item in second["items"]], second["next"]) == (["create"], None)

    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("", {"limit": 0}),
            ("", {"cursor": "A"}),
            ("/a/events", {"limit": 201}),
            ("/a/events", {"cursor": 0}),
        ],
    )
    def test_a_page_that_is_none_is_a_422(self, api: httpx.Client, path: str, query: dict[str, Any]) -> None:
        assert failure(api.get(f"{URL}{path}", params=query)) == (422, "invalid_request")


def test_every_route_says_which_errors_it_gives(app: FastAPI) -> None:
    routes = {path: found for path, found in app.openapi()["paths"].items() if path.startswith(URL)}
    errors = {
        (method, path.removeprefix(URL)): {int(code) for code in route["responses"]} - {200, 201, 202, 204}
        for path, found in routes.items()
        for method, route in found.items()
    }
    assert errors == {
        ("get", ""): {401, 403, 422, 503},
        ("get", "/{name}"): {401, 403, 404, 422, 503},
        ("put", "/{name}"): {401, 403, 404, 409, 422, 503},
        ("get", "/{name}/policy"): {401, 403, 404, 422, 503},
        ("put", "/{name}/policy"): {401, 403, 404, 422, 503},
        ("delete", "/{name}/policy"): {401, 403, 404, 422, 503},
        ("get", "/{name}/evidence"): {401, 403, 404, 422, 503},
        ("post", "/{name}/promote"): {400, 401, 403, 404, 409, 422, 503},
        ("delete", "/{name}"): {401, 403, 404, 422, 503},
        ("get", "/{name}/events"): {401, 403, 404, 422, 503},
        ("post", "/{name}/rollback"): {401, 403, 404, 409, 422, 503},
    }
