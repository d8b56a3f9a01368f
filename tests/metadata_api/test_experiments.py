"""Experiments over HTTP: created, listed in every order, searched; hostile input changes nothing."""

import base64
import hashlib
import itertools
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.listing.fields import Field
from metadata_api.schemas.experiments import Listing
from tests.metadata_api.conftest import as_json, row_counts
from tests.metadata_api.making import make_deployment, make_version


def create(api: httpx.Client, name: str, *values: float, **more: Any) -> httpx.Response:
    """Create an experiment with a loss curve of these values."""
    curves = {"loss": {"steps": list(range(len(values))), "values": list(values)}} if values else {}
    return api.post("/v1/experiments", json={"name": name, "curves": curves, **more})


def names(api: httpx.Client, **query: Any) -> list[str]:
    """All names of a list, page by page."""
    found: list[str] = []
    cursor = None
    for _ in range(50):
        page = api.get("/v1/experiments", params={**query, **({"cursor": cursor} if cursor else {})}).json()
        found += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found
    pytest.fail("the list does not end")


def test_what_is_created_is_shown(api: httpx.Client) -> None:
    answer = create(
        api,
        "net-1",
        2.0,
        0.5,
        0.75,
        parameters={"lr": 0.1, "deep": True},
        tags={"team": "a"},
        description="x",
    )
    assert answer.status_code == 201
    found = answer.json()
    assert found["parameters"] == {"lr": 0.1, "deep": True}
    assert (found["display_name"], found["description"], found["tags"]) == ("net-1", "x", {"team": "a"})
    assert found["metrics"]["loss"] == {
        "direction": "min",
        "final": 0.75,
        "final_step": 2,
        "best": 0.5,
        "best_step": 1,
        "points": 3,
    }
    assert (found["latest_version"], found["deployments"]) == (None, [])
    assert api.get("/v1/experiments/net-1").json() == found
    assert api.get("/v1/experiments").json() == {
        "items": [found],
        "total": 1,
        "total_is_exact": True,
        "next": None,
    }


def test_the_best_accuracy_is_the_greatest(api: httpx.Client) -> None:
    curves = {"test_accuracy": {"steps": [1, 2, 3], "values": [0.5, 0.9, 0.8]}}
    found = api.post("/v1/experiments", json={"name": "net", "curves": curves}).json()
    assert found["metrics"]["test_accuracy"]["best"] == 0.9


def test_versions_and_deployments_are_listed_with_their_experiment(api: httpx.Client, engine: Engine) -> None:
    make_deployment(engine, "net")
    make_version(engine, 2, experiment="net")
    found = api.get("/v1/experiments/net").json()
    assert (found["latest_version"], found["deployments"]) == (2, ["net"])


def test_a_name_that_is_taken_is_a_409_that_says_what_to_do(api: httpx.Client) -> None:
    create(api, "net", description="first")
    answer = create(api, "net", description="second")
    assert (answer.status_code, answer.json()["error"]) == (409, "experiment_exists")
    assert "another name" in answer.json()["detail"]
    assert api.get("/v1/experiments/net").json()["description"] == "first"


# The loss falls to 1 in a, to 1.5 in b, which ends with it, and rises at the end of a and c; d and e have none.
ORDERS = {
    "name": "abcde",
    "-name": "edcba",
    "created_at": "cadbe",
    "-created_at": "ebdac",
    "metrics.loss": "abcde",
    "-metrics.loss": "cbaed",
    "metrics.loss.final": "bacde",
    "-metrics.loss.final": "cabed",
}


def test_those_with_a_model_are_listed_alone(api: httpx.Client, engine: Engine) -> None:
    for name in ("old", "bare", "new"):
        create(api, name, 1.0)
    make_version(engine, 1, experiment="old")
    make_version(engine, 1, experiment="new")
    assert names(api, with_model=True, limit=1) == ["new", "old"]
    assert api.get("/v1/experiments?with_model=true").json()["total"] == 2
    assert names(api) == ["new", "bare", "old"]


def test_metrics_are_named_whichever_experiment_has_them(api: httpx.Client) -> None:
    assert api.get("/v1/metrics").json() == {"items": []}
    create(api, "net", 1.0)
    curve = {"steps": [1], "values": [0.5]}
    api.post("/v1/experiments", json={"name": "other", "curves": {"test_accuracy": curve, "loss": curve}})
    assert api.get("/v1/metrics").json() == {"items": ["loss", "test_accuracy"]}


@pytest.mark.parametrize(("sort", "expected"), ORDERS.items())
@pytest.mark.parametrize("limit", [1, 2, 200])
def test_every_order_holds_over_pages_and_puts_experiments_without_a_loss_last(
    api: httpx.Client, sort: str, expected: str, limit: int
) -> None:
    for name, values in {"c": (2, 3), "a": (1, 2), "d": (), "b": (4, 3, 1.5), "e": ()}.items():
        create(api, name, *values)
    assert "".join(names(api, sort=sort, limit=limit)) == expected


def test_equal_values_are_neither_lost_nor_doubled_between_pages(api: httpx.Client) -> None:
    for number in range(7):
        create(api, f"net-{number}", 1.0)
    for sort, limit in itertools.product(("metrics.loss", "-metrics.loss", "-created_at"), (1, 2, 3)):
        found = names(api, sort=sort, limit=limit)
        assert sorted(found) == [f"net-{number}" for number in range(7)]


def test_search_finds_parts_of_names_in_either_case_and_takes_wildcards_as_they_are(
    api: httpx.Client,
) -> None:
    create(api, "alpha-1", display_name="The First 100% net_a")
    create(api, "beta")
    assert names(api, search="LPHA") == ["alpha-1"]
    assert names(api, search="first 100%") == ["alpha-1"]
    assert names(api, search="t_a") == ["alpha-1"]
    assert names(api, search="%") == ["alpha-1"]
    assert names(api, search="_e") == []
    assert names(api, search="\\") == []


@pytest.mark.parametrize(
    "cursor", ["x", "AAAA", "W10=", "", "é", "WyJuYW1lIiwiYSIsMV0=", "WyItY3JlYXRlZF9hdCIsIjEiLDFd"]
)
def test_a_cursor_that_we_did_not_make_is_refused(api: httpx.Client, cursor: str) -> None:
    answer = api.get("/v1/experiments", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_cursor")


NAME = Field("", "name").digest.hex()


@pytest.mark.parametrize(
    ("identity", "keys"),
    [
        (1, []), (1, [None, None]), (1, ["00"]), (1, ["xyz"]), (1, [1]), (1, [{}]), (1, [True]), (1, ["\ud800"]),
        (1, [NAME + "03" + "00" * 2200]), (True, [NAME]), (2**63, [NAME]), (-1, [NAME]), (1.0, [NAME]), (None, [NAME]),
        ("1", [NAME]),
    ],
)  # fmt: skip
def test_a_cursor_made_by_hand_is_refused(api: httpx.Client, identity: object, keys: list[object]) -> None:
    listing = hashlib.sha256(Listing(sort="name").model_dump_json(exclude={"columns"}).encode()).hexdigest()[
        :16
    ]
    cursor = base64.urlsafe_b64encode(json.dumps([listing, identity, *keys]).encode()).decode()
    answer = api.get("/v1/experiments", params={"cursor": cursor, "sort": "name"})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_cursor")


def test_a_cursor_is_one_of_its_list_alone(api: httpx.Client) -> None:
    for number in range(3):
        create(api, f"net-{number}", float(number))
    cursor = api.get("/v1/experiments?sort=name&limit=1").json()["next"]
    assert api.get(
        "/v1/experiments", params={"sort": "name", "cursor": cursor, "columns": "params.x"}
    ).is_success
    for other in (
        {"sort": "-name"},
        {"sort": "name", "filter": "metrics.loss > 0"},
        {"sort": "name", "search": "n"},
    ):
        answer = api.get("/v1/experiments", params={**other, "cursor": cursor})
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_cursor")


BAD_CURVES = {
    "unequal": {"steps": [1, 2], "values": [1.0]},
    "falling": {"steps": [2, 1], "values": [1.0, 1.0]},
    "empty": {"steps": [], "values": []},
    "huge step": {"steps": [2**60], "values": [1.0]},
}


@pytest.mark.parametrize("curve", BAD_CURVES.values(), ids=BAD_CURVES)
def test_a_broken_curve_is_refused_with_the_whole_experiment(
    api: httpx.Client, engine: Engine, curve: object
) -> None:
    answer = api.post("/v1/experiments", json={"name": "net", "curves": {"loss": curve}})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_curve")
    assert sum(row_counts(engine).values()) == 0


DEEP = "[" * 100_000 + "]" * 100_000
HOSTILE_BODIES = {
    "no JSON": "{",
    "no object": "[1]",
    "null": "null",
    "not UTF-8": b'{"name": "\xff"}',
    "deep": DEEP,
    "deep in a field": f'{{"name": "net", "parameters": {{"a": {DEEP}}}}}',
    "NaN": '{"name": "net", "parameters": {"a": NaN}}',
    "a huge float": '{"name": "net", "parameters": {"a": 1e999}}',
    "a huge integer": f'{{"name": "net", "parameters": {{"a": {"9" * 400}}}}}',
    "an integer of 5,000 digits": f'{{"name": "net", "parameters": {{"a": {"9" * 5000}}}}}',
    "a value that is a list": '{"name": "net", "parameters": {"a": [1]}}',
    "NUL in a value": '{"name": "net", "description": "a\\u0000b"}',
    "NUL in a key": '{"name": "net", "parameters": {"a\\u0000": 1}}',
    "NUL in a parameter": '{"name": "net", "parameters": {"a": "\\u0000"}}',
    "a lone surrogate": '{"name": "net", "description": "\\ud800"}',
    "a lone surrogate as parameter": '{"name": "net", "parameters": {"a": "\\ud800"}}',
    "a lone surrogate as key": '{"name": "net", "parameters": {"\\ud800": 1}}',
    "an unknown key": '{"name": "net", "colour": "red"}',
    "a long text": f'{{"name": "net", "description": "{"x" * 10_001}"}}',
    "a long name": f'{{"name": "{"x" * 41}"}}',
    "a capital": '{"name": "Net"}',
    "a name that ends with a newline": '{"name": "net\\n"}',
    "a name that climbs": '{"name": "../net"}',
    "no name": "{}",
    "a strange source": '{"name": "net", "source": "mars"}',
    "a NaN in a curve": '{"name": "net", "curves": {"loss": {"steps": [1], "values": [NaN]}}}',
    "a step in words": '{"name": "net", "curves": {"loss": {"steps": ["x"], "values": [1]}}}',
    "a metric that climbs": '{"name": "net", "curves": {"../x": {"steps": [1], "values": [1]}}}',
    "two keys of one name": '{"name": "net", "name": "../x"}',
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_hostile_bodies_are_4xx_and_store_nothing(
    api: httpx.Client, engine: Engine, body: str | bytes
) -> None:
    answer = api.post("/v1/experiments", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert set(as_json(answer)) == {"error", "detail"}
    assert len(answer.content) < 8192
    assert sum(row_counts(engine).values()) == 0


HOSTILE_QUERIES = [
    "/v1/experiments?limit=-1", "/v1/experiments?limit=0", "/v1/experiments?limit=201", "/v1/experiments?limit=x",
    "/v1/experiments?limit=99999999999999999999", "/v1/experiments?sort=id", "/v1/experiments?sort=name;drop",
    f"/v1/experiments?search={'x' * 201}", "/v1/experiments/Net", "/v1/experiments/..%2f..", "/v1/experiments/%ff",
    "/v1/curves", "/v1/curves?experiment=Net", "/v1/curves?experiment=net&points=0",
    "/v1/curves?experiment=net&metric=%27",
    "/v1/curves?experiment=unknown", "/v1/experiments/unknown", "/v1/imports/0", "/v1/imports/99999999999999999999",
    "/v1/imports/7", "/v1/imports?cursor=0", "/v1/inputs/xyz", f"/v1/inputs/{'0' * 64}",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE_QUERIES)
def test_hostile_addresses_are_4xx_with_a_code(api: httpx.Client, url: str) -> None:
    answer = api.get(url)
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert set(as_json(answer)) == {"error", "detail"}


def test_the_edges_of_what_is_allowed_can_be_read_again(api: httpx.Client) -> None:
    edges = {"": "", "üñ\U0001f600": "\U0001f600" * 5000, "n": 2**63 - 1, "f": 5e-324, "k" * 200: False}
    assert create(api, "x" * 40, 1e308, -1e308, parameters=edges, description="\t\n").status_code == 201
    assert as_json(api.get("/v1/experiments"))["items"][0]["parameters"] == edges  # type: ignore[index]
