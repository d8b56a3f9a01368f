"""Forms of the pages on the real API: whatever they carry, the answer is a reason; and what is undone is as it was."""

import base64
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from model_ui.settings import Settings as UiSettings
from tests.asgi import Server
from tests.metadata_api.making import make_deployment, make_experiment
from tests.ui.apps import create_app

DIGITS = "9" * 5000
SHA256 = "0" * 64
DEPLOYMENT, EXPERIMENT = "/deployment?name=a", "/experiment?name=run"


@pytest.fixture(scope="module")
def address_of_ui(address: str) -> Iterator[str]:
    with Server(create_app(UiSettings(api_url=address))) as server:
        yield server.url


@pytest.fixture
def ui(address_of_ui: str, api: httpx.Client) -> Iterator[httpx.Client]:
    """A browser; redirects are told, not followed."""
    headers = {"accept": "text/html", "origin": address_of_ui.rstrip("/")}
    with httpx.Client(base_url=address_of_ui, headers=headers, timeout=30) as client:
        yield client


def message(answer: httpx.Response) -> dict[str, Any]:
    """What the answer to a form leaves for the next page."""
    assert answer.status_code == 303, answer.text
    cookie = next(one for one in answer.headers.get_list("set-cookie") if "marina_status" in one)
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(cookie.partition(".")[2].partition(";")[0]))
    return found


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/label?task=digits", {"do": "label", "sha256": SHA256, "field": "number", "value": "nan"}),
        ("/label?task=digits", {"do": "label", "sha256": SHA256, "field": "number", "value": "-Infinity"}),
        ("/label?task=digits", {"do": "label", "sha256": SHA256, "field": "number", "value": "1e999"}),
        ("/deployments", {"do": "deploy", "experiment": "run", "version": DIGITS}),
        ("/deployments", {"do": "restore"}),
        ("/deployments", {"do": "restore", "kept": "x"}),
        ("/deployments", {"do": "restore", "kept": "[1]"}),
        ("/deployments", {"do": "restore", "kept": "{}"}),
        ("/deployments", {"do": "undo", "changed": "x"}),
        ("/deployments", {"do": "undo", "changed": "[[1, 2]]"}),
        ("/deployments", {"do": "undo", "changed": "5"}),
        (DEPLOYMENT, {"do": "change", "name": "a", "version": DIGITS}),
        (EXPERIMENT, {"do": "deploy", "version": DIGITS, "called": "b"}),
        (EXPERIMENT, {"do": "tag", "tag": "", "json": "NaN"}),
        (EXPERIMENT, {"do": "untag", "tag": "gone"}),
        ("/settings", {"do": "issue", "name": "x", "days": DIGITS}),
    ],
)
def test_a_form_that_makes_no_sense_comes_back_with_a_reason(
    ui: httpx.Client, engine: Engine, path: str, form: dict[str, str]
) -> None:
    make_deployment(engine, "a")
    make_experiment(engine, "run")
    said = message(ui.post(path, data=form))
    assert said["kind"] == "bad"
    assert "undo" not in said


@pytest.mark.parametrize(
    "path", ["/version?experiment=run&number=", "/import?number=", "/import-csv?number="]
)
def test_a_number_that_nobody_can_read_is_nothing_that_there_is(ui: httpx.Client, path: str) -> None:
    assert ui.get(path + DIGITS).status_code == 404


@pytest.mark.parametrize("value", [3, 0.5, True, "3", "true", ""])
@pytest.mark.parametrize("form", [{"do": "untag", "tag": "t"}, {"do": "tag", "tag": "t", "value": "other"}])
def test_undo_brings_a_tag_back_as_it_was(
    ui: httpx.Client, api: httpx.Client, value: object, form: dict[str, str]
) -> None:
    api.post("/v1/experiments", json={"name": "run", "tags": {"t": value}}).raise_for_status()
    undo = message(ui.post(EXPERIMENT, data=form))["undo"]
    assert api.get("/v1/experiments/run").json()["tags"] != {"t": value}
    ui.post(undo["address"], data=undo["fields"])
    found = api.get("/v1/experiments/run").json()["tags"]["t"]
    assert (found, type(found)) == (value, type(value))


def test_a_hundred_experiments_with_long_names_are_compared(ui: httpx.Client, api: httpx.Client) -> None:
    names = [f"an-experiment-with-quite-a-long-name-{number:03d}" for number in range(100)]
    for name in names:
        api.post("/v1/experiments", json={"name": name, "parameters": {"n": name}}).raise_for_status()
    page = ui.get("/compare", params={"experiments": ",".join([*names[:99], "gone"])}).text
    assert len(set(re.findall(r"/experiment\?name=([\w-]+)", page))) == 99
    assert "Not there any more: gone" in unescape(page)


def test_evidence_of_an_alias_that_is_gone_is_not_that_of_another(
    ui: httpx.Client, api: httpx.Client, engine: Engine
) -> None:
    make_deployment(engine, "a")
    api.put("/v1/aliases/champion", json={"deployment": "a"}).raise_for_status()
    assert ui.get("/evidence", params={"alias": "champion"}).status_code == 200
    assert ui.get("/evidence", params={"alias": "gone"}).status_code == 404
