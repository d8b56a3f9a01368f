"""The pages Predictions, Models, Imports and Activity on the real API."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.metadata_api.making import make_deployment, make_image, make_mar
from tests.metadata_api.pages.forms import Send, said
from tests.metadata_api.predicting.test_kinds import NUMBERS, TEXT, WINE
from tests.metadata_api.servers import V2Server, answers


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
