"""The pages Deployments, Aliases and Predictions on the real API: what they show, and what their forms do to it."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from sqlalchemy import Engine

from model_ui.settings import Settings as UiSettings
from tests.asgi import Server
from tests.metadata_api.making import (
    make_deployment,
    make_image,
    make_mar,
    make_version,
    open_settings,
)
from tests.metadata_api.predicting.test_kinds import NUMBERS, TEXT, WINE
from tests.metadata_api.servers import V2Server, answers, rejects, standing_still
from tests.serving.archive.crafted import HANDLER, files, item, laid, manifest, rejected
from tests.serving.archive.test_mar_hostile import ARCHIVES, MANIFESTS, MODELS, RECORDS
from tests.ui import browsers
from tests.ui.apps import create_app

Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def address(engine: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("operators")
    settings = open_settings(engine, folder, serving.url)
    with standing_still(settings) as address:
        yield address


@pytest.fixture
def site(api: httpx.Client, engine: Engine, serving: V2Server) -> None:
    """Deployments a and b, of which b fails, and an alias."""
    for name in ("a", "b"):
        make_deployment(engine, name)
        make_version(engine, 2, experiment=name)
    serving.models |= {"a": answers("5"), "b": rejects(500, "<b>broken</b>")}
    api.put("/v1/aliases/champion", json={"deployment": "a", "reason": "the first"}).raise_for_status()


@pytest.fixture(scope="module")
def pages(address: str) -> Iterator[str]:
    """Where the UI answers, below /behind."""
    settings = UiSettings(api_url=address, root_path="/behind")
    with Server(create_app(settings)) as server:
        yield server.url


@pytest.fixture
def send(pages: str, site: None) -> Iterator[Send]:
    """One request of a browser to the UI; redirects are told, not followed."""
    headers = {"accept": "text/html", "origin": pages}
    with httpx.Client(base_url=f"{pages}/behind", headers=headers, timeout=30) as client:
        yield client.request


def said(answer: httpx.Response) -> str:
    """The message that the answer to a form leaves for the next page, and where that is."""
    assert answer.status_code == 303, answer.text
    return str(left(answer)["text"])


def left(answer: httpx.Response) -> Any:
    """All that it leaves: the message, and the form that takes it back."""
    cookie = next(one for one in answer.headers.get_list("set-cookie") if "marina_status" in one)
    value = cookie.partition("=")[2].partition(";")[0]
    return json.loads(base64.urlsafe_b64decode(unquote(value)))


def take_back(send: Send, answer: httpx.Response) -> str:
    """Press Undo on the page that an action led to; what that says."""
    undo = left(answer)["undo"]
    return said(send("POST", undo["address"], data=undo["fields"]))


class TestDeployments:
    def test_are_a_table_with_counts_by_state(self, send: Send) -> None:
        page = send("GET", "/deployments").text
        assert "<title>Deployments · Marina</title>" in page
        assert '<a href="/behind/deployment?name=a">a</a>' in page
        assert re.search(r"<b>2</b> changing", page)

    def test_several_are_asked_about_before_they_stop_and_stop_with_a_reason(
        self, send: Send, api: httpx.Client
    ) -> None:
        asked = send("POST", "/deployments", data={"do": "ask", "action": "stop", "pick": ["a", "b"]})
        assert asked.headers["location"] == "/behind/deployments?ask=stop&pick=a,b"
        page = send("GET", "/deployments?ask=stop&pick=a,b").text
        assert "Alias champion points at it and gets no answer either." in page
        form = {"do": "stop", "name": ["a", "b"], "reason": "costs"}
        assert said(send("POST", "/deployments", data=form)) == "a, b stop."
        for name in ("a", "b"):
            # That it has stopped may have been seen already.
            events = api.get(f"/v1/deployments/{name}/events").json()["items"]
            assert [one["reason"] for one in events if one["kind"] == "stop"] == ["costs"]

    def test_what_cannot_be_removed_stays_and_the_others_go(self, send: Send, api: httpx.Client) -> None:
        words = said(send("POST", "/deployments", data={"do": "remove", "name": ["a", "b"]}))
        assert words.startswith("b is removed. Deployment a is what aliases point at: champion.")
        assert [item["name"] for item in api.get("/v1/deployments").json()["items"]] == ["a"]

    def test_one_is_deployed_and_says_how_it_is_asked(self, send: Send, api: httpx.Client) -> None:
        form = {"do": "deploy", "experiment": "a", "version": "2", "name": "new", "runtime": "native"}
        answer = send("POST", "/deployments", data=form)
        assert said(answer) == "new starts with version 2."
        assert answer.headers["location"] == "/behind/deployment?name=new"
        assert api.get("/v1/deployments/new").json()["runtime"] == "native"

    def test_one_that_is_there_already_is_refused_in_the_words_of_the_api(self, send: Send) -> None:
        form = {"do": "deploy", "experiment": "a"}
        assert "There is a deployment a already." in said(send("POST", "/deployments", data=form))

    def test_its_page_records_a_share_of_the_traffic_and_takes_it_back(
        self, send: Send, api: httpx.Client
    ) -> None:
        assert "Nothing of its v2 traffic is recorded." in send("GET", "/deployment?name=a").text
        form = {
            "do": "record",
            "name": "a",
            "percent": "12,5",
            "days": "30",
            "answers": "1",
            "reason": "to label",
        }
        answer = send("POST", "/deployment?name=a", data=form)
        assert said(answer) == "a: 12.5 % of its requests are recorded."
        setting = {"rate": 0.125, "answers": True, "retention_days": 30}
        assert api.get("/v1/deployments/a").json()["recording"] == setting
        page = send("GET", "/deployment?name=a").text
        assert "source=v2" in page
        assert "kept 30 days" in page
        assert "to label" in page
        assert take_back(send, answer) == "a: nothing is recorded."
        for wrong in ({"percent": "101"}, {"percent": "half"}, {"days": "a week"}):
            assert send("POST", "/deployment?name=a", data=form | wrong).status_code in (200, 303, 422)
        assert api.get("/v1/deployments/a").json()["recording"]["rate"] == 0

    def test_one_that_was_removed_comes_back_as_it_was(self, send: Send, api: httpx.Client) -> None:
        api.post("/v1/deployments/b/stop").raise_for_status()
        removed = send("POST", "/deployments", data={"do": "remove", "name": "b"})
        assert api.get("/v1/deployments/b").status_code == 404
        assert take_back(send, removed) == "Undone: b is back."
        found = api.get("/v1/deployments/b").json()
        assert (found["desired"], found["version"]) == ("stopped", 1)

    @pytest.mark.parametrize("action", ["stop", "change", "rollback"])
    def test_undo_leaves_a_later_change_of_somebody_else(
        self, send: Send, api: httpx.Client, action: str
    ) -> None:
        api.patch("/v1/deployments/b", json={"version": 2}).raise_for_status()
        form = {"do": action, "name": "b", "version": "1"}
        take_back(send, send("POST", "/deployment?name=b", data=form))
        assert api.get("/v1/deployments/b").json()["version"] == 2
        done = send("POST", "/deployment?name=b", data=form)
        api.patch("/v1/deployments/b", json={"replicas": 5}).raise_for_status()
        assert "anonymous changed deployment b" in take_back(send, done)
        found = api.get("/v1/deployments/b").json()
        assert found["replicas"] == 5
        assert found["desired"] == ("stopped" if action == "stop" else "running")


class TestDeployment:
    def test_says_what_runs_and_what_happened(self, send: Send, api: httpx.Client) -> None:
        api.patch("/v1/deployments/a", json={"version": 2, "reason": "thin <strokes>"}).raise_for_status()
        page = send("GET", "/deployment?name=a").text
        assert "<title>a · Marina</title>" in page
        assert "thin &lt;strokes&gt;" in page
        assert "Roll back to v1" in page
        assert '<a href="/behind/alias?name=champion">champion</a>' in page

    def test_changes_its_version_and_back(self, send: Send, api: httpx.Client) -> None:
        change = {"do": "change", "name": "b", "version": "2", "reason": "better"}
        assert said(send("POST", "/deployment?name=b", data=change)) == "b changes to version 2."
        back = {"do": "rollback", "name": "b", "reason": "worse"}
        assert said(send("POST", "/deployment?name=b", data=back)) == "b goes back to version 1."
        assert api.get("/v1/deployments/b").json()["version"] == 1

    def test_that_is_not_there_is_told_in_the_frame(self, send: Send) -> None:
        answer = send("GET", "/deployment?name=never")
        assert (answer.status_code, "There is nothing of this name" in answer.text) == (404, True)

    def test_has_an_address_that_people_write(self, send: Send) -> None:
        assert send("GET", "/deployments/a").headers["location"] == "/behind/deployment?name=a"


class TestAliases:
    def test_are_listed_moved_and_rolled_back(self, send: Send, api: httpx.Client) -> None:
        assert '<a href="/behind/alias?name=champion">champion</a>' in send("GET", "/aliases").text
        move = {"do": "put", "name": "champion", "deployment": "b", "reason": "tried"}
        assert said(send("POST", "/alias?name=champion", data=move)) == "champion points at b, version 1."
        page = send("GET", "/alias?name=champion").text
        assert "Roll back to a v1" in page
        back = {"do": "rollback", "name": "champion"}
        send("POST", "/alias?name=champion", data=back)
        assert api.get("/v1/aliases/champion").json()["deployment"] == "a"

    def test_one_that_was_deleted_shows_its_history(self, send: Send, api: httpx.Client) -> None:
        words = said(send("POST", "/alias?name=champion", data={"do": "delete", "name": "champion"}))
        assert words == "champion is deleted."
        assert "There is no alias champion any more" in send("GET", "/alias?name=champion").text


class TestPredictions:
    @pytest.fixture
    def asked(self, api: httpx.Client, site: None) -> dict[str, Any]:
        """An image, asked of both."""
        told = api.post("/v1/predictions", files={"image": ("d.png", make_image())})
        return dict(told.raise_for_status().json())

    def test_are_listed_and_filtered(self, send: Send, asked: dict[str, Any]) -> None:
        page = send("GET", "/predictions").text
        assert f"/behind/input?sha256={asked['input']['sha256']}" in page
        assert "<b>5</b>" in page
        assert "&lt;b&gt;broken" in page
        assert "<b>5</b>" not in send("GET", "/predictions?status=error").text
        assert "Nothing found" in send("GET", "/predictions?since=2199-01-01").text

    def test_one_shows_its_input_and_every_answer(self, send: Send, asked: dict[str, Any]) -> None:
        page = send("GET", f"/prediction?id={asked['results'][0]['prediction_id']}").text
        assert "Every answer of this call" in page
        assert "image, 40 × 30" in page
        assert "by anonymous, through the API" in page
        assert "Nobody has said what is right." in page
        image = send("GET", f"/input?sha256={asked['input']['sha256']}")
        assert (image.headers["content-type"], image.content[:4]) == ("image/png", b"\x89PNG")

    def test_one_shows_its_label_and_whether_it_agrees(
        self, send: Send, api: httpx.Client, asked: dict[str, Any]
    ) -> None:
        task = asked["results"][0]["task"]
        for label, chip in (("5", "right"), ("7", "wrong")):
            said = {"task": task, "label": label, "note": "look <closely>"}
            api.post(f"/v1/inputs/{asked['input']['sha256']}/labels", json=said).raise_for_status()
            page = send("GET", f"/prediction?id={asked['results'][0]['prediction_id']}").text
            assert f"<b>{label}</b>, said by anonymous" in page
            assert "look &lt;closely&gt;" in page
            assert f">{chip}</span>" in page

    @pytest.mark.parametrize(
        ("inputs", "body", "shown"),
        [
            (TEXT, {"text": "so <b>it</b> is"}, "so &lt;b&gt;it&lt;/b&gt; is"),
            (WINE, {"row": {"alcohol": 13.25, "color": "red"}}, "13.25"),
            (
                NUMBERS,
                {"tensors": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.25, 2, 3]}]},
                "0.25",
            ),
        ],
        ids=["text", "row", "tensors"],
    )
    def test_one_about_no_image_shows_what_was_asked_about(
        self, send: Send, api: httpx.Client, engine: Engine, inputs: Any, body: dict[str, Any], shown: str
    ) -> None:
        make_deployment(engine, "c", inputs=inputs)
        told = api.post("/v1/predictions", json={**body, "deployments": ["c"]}).raise_for_status().json()
        page = send("GET", f"/prediction?id={told['results'][0]['prediction_id']}")
        assert page.status_code == 200
        assert shown in page.text
        assert f"{told['input']['kind']}, {told['input']['size']} bytes" in page.text

    def test_one_is_asked_again(self, send: Send, asked: dict[str, Any], serving: V2Server) -> None:
        path = f"/prediction?id={asked['results'][0]['prediction_id']}"
        assert said(send("POST", path, data={"do": "again"})) == "a answers the same again."
        serving.models["a"] = answers("7")
        assert "a answers otherwise: label 5 → 7" in said(send("POST", path, data={"do": "again"}))


class TestModels:
    @pytest.fixture
    def uploaded(self, api: httpx.Client, site: None, tmp_path: Path) -> None:
        """Version 3 of a, as somebody uploaded it."""
        answer = api.post("/v1/experiments/a/versions", content=make_mar(tmp_path))
        assert answer.raise_for_status().json()["version"] == 3

    def test_are_listed_and_found(self, send: Send, uploaded: None) -> None:
        page = send("GET", "/models").text
        assert '<a href="/behind/version?experiment=a&amp;number=3">a v3</a>' in page
        assert "data-upload" in page
        assert "a v3" not in send("GET", "/models?q=b").text

    def test_one_says_what_it_takes_and_that_it_is_to_be_deployed_first(
        self, send: Send, uploaded: None
    ) -> None:
        page = send("GET", "/version?experiment=a&number=3").text
        assert "<title>a v3 · Marina</title>" in page
        assert "image, 28 × 28, grey" in page
        assert "by anonymous from 127.0.0.1" in page
        assert "-F image=@digit.png" not in page
        assert "Deploy it first" in page
        assert "Reason, kept in the events of a" in page
        assert "Change a from v1 to v3" in page
        assert send("GET", "/version?experiment=a&number=9").status_code == 404

    def test_one_is_deployed_and_says_how_it_is_asked(
        self, send: Send, uploaded: None, api: httpx.Client
    ) -> None:
        form = {"do": "deploy", "experiment": "a", "version": "3", "name": "a-v3", "runtime": "native"}
        assert (
            said(send("POST", "/version?experiment=a&number=3", data=form)) == "a-v3 starts with version 3."
        )
        assert api.get("/v1/deployments/a-v3").json()["version"] == 3
        page = send("GET", "/version?experiment=a&number=3").text
        assert "Bearer $MARINA_TOKEN&#34; -F image=@digit.png -F deployments=a-v3" in page


class TestImports:
    ROWS = b"Experiment Name,Learning Rate,Momentum,Loss\nb,x,0.9,0.1\nc,y,0.9,0.1\n"

    def post(self, send: Send, **form: str) -> httpx.Response:
        files = {"file": ("runs.csv", self.ROWS, "text/csv")}
        return send("POST", "/imports", data={"do": "upload", **form}, files=files)

    def test_a_file_is_imported_and_its_report_stays(self, send: Send) -> None:
        answer = self.post(send)
        assert said(answer) == "runs.csv: 0 imported, 0 unchanged, 2 rejected."
        path = answer.headers["location"].removeprefix("/behind")
        assert "Why rows were rejected" in send("GET", path).text
        assert "runs.csv" in send("GET", "/imports").text
        rejected = send("GET", path.replace("/import?", "/import-csv?"))
        assert rejected.text.splitlines()[0] == "line,column,reason"

    def test_a_file_that_is_only_checked_stores_nothing(self, send: Send, api: httpx.Client) -> None:
        answer = self.post(send, check="1")
        assert "runs.csv was checked; nothing is stored" in answer.text
        assert api.get("/v1/imports").json()["total"] == 0


class TestActivity:
    def test_shows_who_changed_what_and_gives_it_as_csv(self, send: Send, api: httpx.Client) -> None:
        api.post("/v1/experiments", json={"name": "new"}).raise_for_status()
        page = send("GET", "/activity").text
        assert "POST /v1/experiments" in page
        assert "<b>experiments</b> new created" in page
        answer = send("GET", "/activity-csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "POST /v1/experiments" in answer.text
        assert "Nothing found" in send("GET", "/activity?subject=nobody").text


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all pages."""
    with sync_playwright() as playwright:
        browser = browsers.launch(playwright)
        yield browser
        browser.close()


@pytest.mark.browser
def test_an_archive_is_dropped_and_leads_to_its_version(
    chromium: Browser, pages: str, site: None, tmp_path: Path
) -> None:
    archive = tmp_path / "net.mar"
    archive.write_bytes(make_mar(tmp_path))
    page = chromium.new_page()
    page.goto(f"{pages}/behind/models")
    page.get_by_label("Archive", exact=True).set_input_files(archive)
    expect(page.get_by_text("net is made if it is new.")).to_be_visible()
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="net v1")).to_be_visible()
    page.close()


HOSTILE = {
    **{name: archive for name, (_, archive) in ARCHIVES.items()},
    **{name: laid([replace(manifest(), body=text), HANDLER]) for name, (_, text) in MANIFESTS.items()},
    **{
        name: laid(
            [manifest(**model), HANDLER, item("requirements.txt", b"x"), item("model-config.yaml", b"x")]
        )
        for name, (_, model) in MODELS.items()
    },
    **{name: files(item(file, text)) for name, (_, file, text) in RECORDS.items()},
}


@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long)])
def test_a_hostile_archive_shows_its_cause_and_leaves_nothing(
    chromium: Browser, pages: str, site: None, api: httpx.Client, tmp_path: Path, step: int
) -> None:
    page, alone = chromium.new_page(), tmp_path / "alone"
    alone.mkdir()
    page.goto(f"{pages}/behind/models")
    wrong = []
    for archive in list(HOSTILE.values())[::step]:
        cause = str(rejected(archive, alone)) if archive else "is empty"
        (tmp_path / "strange.mar").write_bytes(archive)
        page.get_by_label("Archive", exact=True).set_input_files([])
        page.get_by_label("Archive", exact=True).set_input_files(tmp_path / "strange.mar")
        with page.expect_response("**/archives/strange?new=1"):
            page.get_by_role("button", name="Upload", exact=True).click()
        told = page.get_by_role("alert").text_content(timeout=5000) or ""
        if cause not in told:
            wrong.append(f"{cause!r} is told as {told!r}")
    page.close()
    assert wrong == []
    assert api.get("/v1/experiments/strange").status_code == 404


@pytest.mark.browser
def test_a_deployment_is_stopped_with_a_question_and_started_again_by_undo(
    chromium: Browser, pages: str, site: None, api: httpx.Client
) -> None:
    page = chromium.new_page()
    page.goto(f"{pages}/behind/deployments")
    page.get_by_label("Choose b").check()
    page.get_by_role("button", name="Stop…").click()
    expect(page.get_by_text("answers nobody any more until it is started again.")).to_be_visible()
    page.get_by_role("button", name="Stop b").click()
    expect(page.get_by_text("b stops.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: b runs again.")).to_be_visible()
    assert api.get("/v1/deployments/b").json()["desired"] == "running"
    page.close()
