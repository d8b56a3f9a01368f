"""Edits of experiments over HTTP: names, notes, parameters, tags, directions and state, by one and by two at once."""

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.metadata_api.conftest import row_counts


@pytest.fixture
def net(api: httpx.Client) -> dict[str, Any]:
    """An experiment with a loss and a metric that no table knows."""
    curves = {name: {"steps": [1, 2, 3], "values": [2.0, 1.0, 3.0]} for name in ("loss", "shininess")}
    parameters = {"lr": 0.1, "deep": True}
    body = {"name": "net", "parameters": parameters, "tags": {"team": "a"}, "curves": curves}
    found: dict[str, Any] = api.post("/v1/experiments", json=body).json()
    return found


def change(api: httpx.Client, query: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return api.patch("/v1/experiments/net", params=query, json=body)


def test_what_is_left_out_stays_as_it_is(api: httpx.Client, net: dict[str, Any]) -> None:
    found = change(api, notes="Better with dropout.", display_name="The net").json()
    assert (found["notes"], found["display_name"]) == ("Better with dropout.", "The net")
    assert found["updated_at"] > net["updated_at"]
    changed = {"notes", "display_name", "updated_at"}
    assert {key: value for key, value in found.items() if key not in changed} == {
        key: value for key, value in net.items() if key not in changed
    }
    assert api.get("/v1/experiments/net").json() == found


def test_keys_are_merged_and_null_removes_one(api: httpx.Client, net: dict[str, Any]) -> None:
    found = change(
        api, parameters={"lr": 0.2, "deep": None, "width": 8}, tags={"team": None, "no": None}
    ).json()
    assert (found["parameters"], found["tags"]) == ({"lr": 0.2, "width": 8}, {})


def test_what_is_so_already_is_no_edit(api: httpx.Client, net: dict[str, Any], engine: Engine) -> None:
    before = row_counts(engine)
    assert change(api, parameters={"lr": 0.1}, state="finished", notes="").json() == net
    assert change(api).json() == net
    assert row_counts(engine) == before


def test_the_end_of_a_run_is_dated_and_it_may_run_again(api: httpx.Client, net: dict[str, Any]) -> None:
    assert (net["state"], net["ended_at"]) == ("finished", None)
    assert change(api, state="running").json()["ended_at"] is None
    failed = change(api, state="failed").json()
    assert failed["ended_at"] is not None
    assert change(api, notes="It burnt.").json()["ended_at"] == failed["ended_at"]
    assert change(api, state="running").json()["ended_at"] is None


def test_a_direction_that_is_said_gives_the_metric_its_best_value(
    api: httpx.Client, net: dict[str, Any]
) -> None:
    assert net["metrics"]["shininess"]["best"] == 1.0
    found = change(api, directions={"shininess": "max"}, key_metric="shininess").json()
    assert (found["directions"], found["key_metric"]) == ({"shininess": "max"}, "shininess")
    assert [found["metrics"]["shininess"][key] for key in ("direction", "best", "best_step")] == [
        "max",
        3.0,
        3,
    ]
    assert found["metrics"]["loss"] == net["metrics"]["loss"]
    back = change(api, directions={"shininess": None}, key_metric=None).json()
    assert (back["directions"], back["key_metric"]) == ({}, None)
    assert back["metrics"] == net["metrics"]


def test_of_two_who_edit_at_once_the_second_hears_of_the_first(
    api: httpx.Client, net: dict[str, Any]
) -> None:
    seen = {"unchanged_since": net["updated_at"]}
    assert change(api, seen, notes="mine").status_code == 200
    answer = change(api, seen, notes="no, mine")
    assert (answer.status_code, answer.json()["error"]) == (409, "experiment_changed")
    assert "decide anew" in answer.json()["detail"]
    now = api.get("/v1/experiments/net").json()
    assert now["notes"] == "mine"
    assert change(api, {"unchanged_since": now["updated_at"]}, notes="both").json()["notes"] == "both"


def test_points_that_come_meanwhile_are_no_edit(api: httpx.Client, net: dict[str, Any]) -> None:
    seen = {"unchanged_since": change(api, state="running").json()["updated_at"]}
    points = {"loss": {"steps": [4], "values": [0.5]}}
    api.post("/v1/experiments/net/points", json={"points": points}).raise_for_status()
    assert change(api, seen, notes="still mine").status_code == 200


def test_an_edit_is_in_the_audit_log(api: httpx.Client, net: dict[str, Any]) -> None:
    change(api, notes="why")
    entry = api.get("/v1/audit").json()["items"][0]
    assert entry["route"] == "PATCH /v1/experiments/{name}"
    assert entry["changes"][0]["after"] == {"notes": "why"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "asleep"}, 422),
        ({"display_name": ""}, 422),
        ({"notes": None}, 422),
        ({"name": "other"}, 422),
        ({"parameters": {"lr": [1]}}, 422),
        ({"directions": {"loss": "up"}}, 422),
        ({"key_metric": "a b"}, 422),
        ({"notes": "x" * 10_001}, 422),
        ({"tags": {f"key {number}": 1 for number in range(200)}}, 400),
    ],
)
def test_what_cannot_be_said_of_an_experiment_is_a_4xx_and_changes_nothing(
    api: httpx.Client, net: dict[str, Any], body: dict[str, Any], status: int
) -> None:
    assert change(api, **body).status_code == status
    assert api.get("/v1/experiments/net").json() == net


def test_a_name_that_nobody_has(api: httpx.Client) -> None:
    assert change(api, notes="x").json()["error"] == "experiment_unknown"
