"""The pages that decide by evidence, on the real API: an alias's policy, replays, and the lineage of an answer."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import sync_playwright
from sqlalchemy import Engine, text

from model_ui.settings import Settings as UiSettings
from tests.asgi import Server
from tests.metadata_api.making import make_deployment, make_image, open_settings
from tests.metadata_api.servers import V2Server, answers, standing_still
from tests.ui import browsers
from tests.ui.accessibility import see_no_barrier
from tests.ui.apps import create_app
from tests.waiting import until

POLICY = {
    "do": "policy",
    "name": "champion",
    "task": "",
    "min_labels": "12",
    "kind": "non_inferiority",
    "alpha": "1",
    "margin": "2.5",
    "no_class_worse_than": "7",
    "max_p95_ms": "80",
    "max_error_share": "",
    "replay": "yes",
}


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def address(engine: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("evidence")
    settings = open_settings(engine, folder, serving.url)
    with standing_still(settings) as address:
        yield address


@pytest.fixture(scope="module")
def pages(address: str) -> Iterator[str]:
    """Where the UI answers, below /behind."""
    with Server(create_app(UiSettings(api_url=address, root_path="/behind"))) as server:
        yield server.url


@pytest.fixture
def ui(api: httpx.Client, engine: Engine, serving: V2Server, pages: str) -> Iterator[httpx.Client]:
    """The UI, before `a`, which says 5 and the alias points at, and `b`, which says 3; redirects are followed."""
    for name, digit in (("a", "5"), ("b", "3")):
        make_deployment(engine, name)
        serving.models[name] = answers(digit)
    with engine.begin() as connection:
        connection.execute(text("update model_versions set task = 'digits'"))
    api.put("/v1/aliases/champion", json={"deployment": "a", "reason": "the first"}).raise_for_status()
    headers = {"accept": "text/html", "origin": pages}
    with httpx.Client(
        base_url=f"{pages}/behind", headers=headers, timeout=30, follow_redirects=True
    ) as client:
        yield client


def ask(api: httpx.Client, shade: int, **targets: str) -> dict[str, Any]:
    """What was answered about an image."""
    files = {"image": ("image.png", make_image(shade), "image/png")}
    return dict(api.post("/v1/predictions", files=files, data=targets).raise_for_status().json())


def undo(page: str) -> dict[str, str]:
    """The fields of the form that takes back what was just done."""
    form = page[page.index('<div id="status"') :]
    form = form[: form.index("Undo</button>")]
    pairs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in pairs}


class TestPolicy:
    def test_every_rule_is_shown_with_its_default(self, ui: httpx.Client) -> None:
        page = ui.get("/alias?name=champion").text
        for words in (
            "default",
            "at least 30",
            "with a chance of an error of 5 %",
            "at most 10 %",
            "at most 5 %",
        ):
            assert words in page
        assert page.count("<dd>no rule</dd>") == 2

    def test_is_set_changed_and_taken_back(self, ui: httpx.Client, api: httpx.Client) -> None:
        url = "/v1/aliases/champion/policy"
        page = ui.post("/alias?name=champion", data=POLICY).text
        assert "champion has a policy of its own." in page
        made = api.get(url).json()
        assert made["test"] == {"kind": "non_inferiority", "alpha": 0.01, "margin": 0.025}
        assert (made["min_labels"], made["no_class_worse_than"], made["max_p95_ms"]) == (12, 0.07, 80)
        assert (made["max_error_share"], made["replay"], made["is_default"]) == (None, True, False)
        page = ui.post("/alias?name=champion", data={**POLICY, "min_labels": "40"}).text
        ui.post("/alias?name=champion", data=undo(page))
        assert {**api.get(url).json(), "set_at": None} == {**made, "set_at": None}
        page = ui.post("/alias?name=champion", data={"do": "default", "name": "champion"}).text
        assert "The default policy holds for champion again." in page
        assert api.get(url).json()["is_default"]

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"min_labels": "many"}, "Type how many labels"),
            ({"alpha": ""}, "Type the chance of an error"),
            ({"alpha": "0"}, "greater than 0"),
            ({"margin": ""}, "Type a margin"),
            ({"max_p95_ms": "inf"}, "Type a number for the latency"),
            ({"no_class_worse_than": "120"}, "less than or equal to 1"),
        ],
    )
    def test_one_that_makes_no_sense_is_told_and_not_set(
        self, ui: httpx.Client, api: httpx.Client, wrong: dict[str, str], words: str
    ) -> None:
        assert words in ui.post("/alias?name=champion", data={**POLICY, **wrong}).text
        assert api.get("/v1/aliases/champion/policy").json()["is_default"]


class TestReplays:
    def test_one_is_started_watched_and_read(self, ui: httpx.Client, api: httpx.Client) -> None:
        shas = [ask(api, shade, deployments="a")["input"]["sha256"] for shade in (10, 20, 30)]
        for sha256, right in zip(shas, ("5", "3"), strict=False):
            api.post(
                f"/v1/inputs/{sha256}/labels", json={"task": "digits", "label": right}
            ).raise_for_status()
        assert 'value="b" checked' in ui.get("/replays?pick=a,b").text
        started = ui.post("/replays", data={"do": "start", "first": "a", "other": "b", "limit": "10"})
        assert "of 3 inputs is waiting." in started.text
        number = started.url.params["number"]

        def is_over() -> str | None:
            found = ui.get("/replay", params={"number": number}).text
            return found if "b against a" in found else None

        page = until(is_over, "the report")
        assert "<b>3</b> answers differ: 1 become wrong, 1 become right, 1 have no label" in page
        assert page.index("becomes wrong") < page.index("becomes right</span>")
        assert f"/behind/input?sha256={shas[0]}" in page
        assert "1 of 2" in page
        assert f'<a href="/behind/replay?number={number}">Replay {number}</a>' in ui.get("/replays").text
        evidence = ui.get("/evidence?alias=champion&challenger=b").text
        assert "has answers of both to 3 inputs: 3 differ, 1 become right and 1 wrong" in evidence

    def test_the_rule_of_a_policy_says_what_it_came_to(self, ui: httpx.Client, api: httpx.Client) -> None:
        ui.post("/alias?name=champion", data=POLICY)
        assert "No replay has answers of both." in ui.get("/evidence?alias=champion&challenger=b").text
        sha256 = ask(api, 10, deployments="a")["input"]["sha256"]
        api.post(f"/v1/inputs/{sha256}/labels", json={"task": "digits", "label": "3"}).raise_for_status()
        # Whichever of both is the first.
        number = api.post("/v1/replays", json={"deployments": ["b", "a"]}).json()["id"]
        until(lambda: api.get(f"/v1/replays/{number}").json()["state"] == "done", "it is done")
        page = ui.get("/evidence?alias=champion&challenger=b").text
        words = "answers of both to 1 inputs: 1 differ; by the labels 1 become right and 0 wrong."
        assert f"Replay {number} has {words}" in page

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"other": ""}, "Choose at least one deployment beside a."),
            ({"other": "a"}, "Choose at least one deployment beside a."),
            ({"limit": "1001"}, "at most 1,000"),
            ({}, "None of the deployments has answered an input yet."),
        ],
    )
    def test_what_cannot_be_replayed_is_told(
        self, ui: httpx.Client, api: httpx.Client, wrong: dict[str, str], words: str
    ) -> None:
        form = {"do": "start", "first": "a", "other": "b", "limit": "10"}
        given = {name: value for name, value in {**form, **wrong}.items() if value}
        assert words in ui.post("/replays", data=given).text
        assert api.get("/v1/replays").json()["items"] == []

    def test_one_that_is_not_there_is_told_in_the_frame(self, ui: httpx.Client) -> None:
        for number in ("999", "x", ""):
            assert ui.get("/replay", params={"number": number}).status_code == 404


class TestLineage:
    def test_of_an_answer_by_an_alias_says_who_decided_and_what_answered(
        self, ui: httpx.Client, api: httpx.Client
    ) -> None:
        forced = {"candidate": "b", "force": True, "reason": "an <incident>"}
        api.post("/v1/aliases/champion/promote", json=forced).raise_for_status()
        [said] = ask(api, 10, aliases="champion")["results"]
        # Whatever is moved since.
        api.post("/v1/aliases/champion/rollback").raise_for_status()
        prediction = ui.get("/prediction", params={"id": said["prediction_id"]}).text
        assert f'href="/behind/lineage?id={said["prediction_id"]}"' in prediction
        page = ui.get("/lineage", params={"id": said["prediction_id"]}).text
        found = api.get(f"/v1/predictions/{said['prediction_id']}/lineage").json()
        assert found["version"]["mar_sha256"] in page
        for words in (
            "an &lt;incident&gt;",
            "forced",
            "b against a on digits",
            "anonymous",
            "promote",
            "not met",
        ):
            assert words in page
        for gap in found["gaps"]:
            assert html.escape(gap, quote=False) in html.unescape(page) or gap in html.unescape(page)

    def test_of_an_answer_by_a_deployment_names_no_alias(self, ui: httpx.Client, api: httpx.Client) -> None:
        [said] = ask(api, 10, deployments="b")["results"]
        page = ui.get("/lineage", params={"id": said["prediction_id"]}).text
        assert "The deployment was asked by its own name." in page

    def test_of_none_is_told_in_the_frame(self, ui: httpx.Client) -> None:
        assert ui.get("/lineage", params={"id": str(UUID(int=0))}).status_code == 404


class TestRight:
    """What the script beside the answers of Try sends."""

    def send(self, ui: httpx.Client, sha256: str, **form: str) -> httpx.Response:
        return ui.post("/right", data={"sha256": sha256, "task": "digits", **form})

    def test_a_label_is_said_corrected_and_taken_back(self, ui: httpx.Client, api: httpx.Client) -> None:
        sha256 = ask(api, 10)["input"]["sha256"]
        first = self.send(ui, sha256, do="label", field="label", value="5").json()
        taken_back = {"do": "take_back", "said": first["undo"]["said"]}
        assert first == {"said": "5", "undo": taken_back}
        second = self.send(ui, sha256, do="label", field="label", value="3").json()
        undo = {"do": "label", "field": "label", "value": "5", "said": second["undo"]["said"]}
        assert second == {"said": "3", "undo": undo}
        assert self.send(ui, sha256, **second["undo"]).json()["said"] == "5"
        history = api.get(f"/v1/inputs/{sha256}/labels").json()["items"]
        assert [one["label"] for one in history] == ["5", "3", "5"]
        gone = self.send(ui, sha256, do="take_back", said=str(history[0]["id"])).json()
        assert gone == {"said": "", "undo": None}
        assert not any(one["current"] for one in api.get(f"/v1/inputs/{sha256}/labels").json()["items"])

    def test_what_somebody_else_said_meanwhile_is_not_taken_back(
        self, ui: httpx.Client, api: httpx.Client
    ) -> None:
        sha256 = ask(api, 10)["input"]["sha256"]
        first = self.send(ui, sha256, do="label", field="label", value="5").json()
        second = self.send(ui, sha256, do="label", field="label", value="3").json()
        theirs = {"task": "digits", "label": "8"}
        api.post(f"/v1/inputs/{sha256}/labels", json=theirs).raise_for_status()
        for late in (first["undo"], second["undo"]):
            told = self.send(ui, sha256, **late)
            assert (told.status_code, "said '8' about this input" in told.json()["detail"]) == (400, True)
        assert api.get(f"/v1/inputs/{sha256}/labels").json()["items"][0]["label"] == "8"

    def test_what_is_no_answer_is_told(self, ui: httpx.Client, api: httpx.Client) -> None:
        sha256 = ask(api, 10)["input"]["sha256"]
        wrong = self.send(ui, sha256, do="label", field="label", value="ten")
        assert (wrong.status_code, "takes a label" in wrong.json()["detail"]) == (400, True)
        assert self.send(ui, "0" * 64, do="label", field="label", value="5").status_code == 400
        assert self.send(ui, sha256, do="take_back").status_code == 400


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nobody_is_kept_out(ui: httpx.Client, api: httpx.Client, pages: str, width: int, scheme: Any) -> None:
    [said] = ask(api, 10, aliases="champion")["results"]
    number = api.post("/v1/replays", json={"deployments": ["a", "b"]}).json()["id"]
    until(lambda: api.get(f"/v1/replays/{number}").json()["state"] == "done", "it is done")
    addresses = (
        "alias?name=champion",
        "replays",
        f"replay?number={number}",
        f"lineage?id={said['prediction_id']}",
        "evidence?alias=champion&challenger=b",
    )
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = browsers.launch(playwright)
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        for address in addresses:
            page.goto(f"{pages}/behind/{address}")
            for summary in page.locator("#content details > summary:visible").all():
                summary.click()
            try:
                see_no_barrier(page)
            except AssertionError as barrier:
                wrong.append(f"{address}: {barrier}")
        browser.close()
    assert wrong == []
