"""One image to many deployments: every model answers or is one typed row, in time, and all is recorded."""

import base64
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import Engine, text

from metadata_api.predicting import predictions
from metadata_api.settings import Database, Settings
from serving_runtime.protocol.tensors import unpack_elements
from tests.metadata_api.conftest import as_json, row_counts
from tests.metadata_api.making import (
    huge_png,
    make_deployment,
    make_image,
    make_version,
)
from tests.metadata_api.servers import V2Server, answers, closes, hangs, rejects, says

URL = "/v1/predictions"


@pytest.fixture(scope="module")
def own_settings(own_settings: Settings) -> Settings:
    """Less patient with the database."""
    return own_settings.model_copy(update={"database": Database(seconds=1.5)})


@pytest.fixture
def four(engine: Engine, api: httpx.Client, serving: V2Server) -> None:
    """Four deployments; three say 5, one says 3."""
    for name, label in {"a": "5", "b": "5", "c": "3", "d": "5"}.items():
        make_deployment(engine, name)
        serving.models[name] = answers(label)


def ask(api: httpx.Client, image: bytes | None = None, **fields: Any) -> httpx.Response:
    """Send an image, to all deployments unless `deployments` names some."""
    return api.post(URL, files={"image": ("digit.png", image or make_image())}, data=fields)


def rows(answer: httpx.Response) -> dict[str, str]:
    """Label or error of each deployment."""
    assert answer.status_code == 200, answer.text
    body: Any = as_json(answer)
    return {row["deployment"]: row["label"] or row["error"]["error"] for row in body["results"]}


def not_asked(answer: httpx.Response) -> dict[str, str]:
    """Why each deployment that was not asked was not."""
    return {item["deployment"]: item["reason"] for item in answer.json()["not_asked"]}


class TestAnswers:
    """What a call returns."""

    def test_come_from_every_running_deployment(self, api: httpx.Client, four: None) -> None:
        answer = ask(api)
        assert rows(answer) == {"a": "5", "b": "5", "c": "3", "d": "5"}
        [agreement] = answer.json()["agreements"]
        assert (agreement["kind"], agreement["label"], agreement["votes"], agreement["of"]) == (
            "classes",
            "5",
            3,
            4,
        )
        assert (agreement["unanimous"], agreement["margin"]) == (False, 0.5)
        assert agreement["disagree"] == [["a", "c"], ["b", "c"], ["c", "d"]]
        image = answer.json()["input"]
        assert (image["kind"], image["media_type"], image["summary"]) == (
            "image",
            "image/png",
            {"width": 40, "height": 30},
        )
        assert image["url"] == f"/v1/inputs/{image['sha256']}"

    def test_rank_the_labels_and_show_what_the_model_saw(self, api: httpx.Client, four: None) -> None:
        [row] = ask(api, deployments="a").json()["results"]
        assert (row["version"], row["status"], row["error"]) == (1, "ok", None)
        assert row["probabilities"][0] == {"label": "5", "probability": pytest.approx(0.91)}
        assert len(row["probabilities"]) == 10
        assert row["latency_ms"] > 0
        seen = Image.open(io.BytesIO(base64.b64decode(row["preprocessed"])))
        assert (seen.size, seen.mode, seen.getpixel((5, 0))) == ((28, 28), "L", 5)

    @pytest.mark.parametrize(
        ("output", "warning"),
        [(("BYTES", ["unlike"]), "unlike"), (("BYTES", [""]), None), (("FP32", [1.0]), None)],
    )
    def test_say_what_a_model_finds_unusual_about_the_image(
        self, api: httpx.Client, four: None, serving: V2Server, output: Any, warning: str | None
    ) -> None:
        serving.models["a"] = answers(warning=output)
        [row] = ask(api, deployments="a").json()["results"]
        assert (row["status"], row["warning"]) == ("ok", warning)

    def test_are_given_for_a_photograph_that_is_sent_smaller(
        self, api: httpx.Client, four: None, serving: V2Server
    ) -> None:
        file = io.BytesIO()
        Image.effect_noise((2000, 1900), 90).convert("RGB").save(file, "JPEG", quality=60)
        answer = ask(api, file.getvalue(), deployments="a", deadline_ms=10_000)
        assert rows(answer) == {"a": "5"}
        assert answer.json()["input"]["summary"] == {"width": 2000, "height": 1900}
        [sent] = unpack_elements(serving.binary[-1])
        assert Image.open(io.BytesIO(sent)).size == (1024, 973)
        assert len(sent) < 4_000_000

    def test_keep_the_order_that_was_asked_for_and_ask_none_twice(
        self, api: httpx.Client, four: None
    ) -> None:
        assert list(rows(ask(api, deployments=["d", "a", "d"]))) == ["d", "a"]

    def test_are_given_for_an_image_that_is_stored_already(self, api: httpx.Client, four: None) -> None:
        first = ask(api, deployments="a").json()
        again = api.post(URL, data={"input_sha256": first["input"]["sha256"], "deployments": "b"})
        assert rows(again) == {"b": "5"}
        assert again.json()["input"] == first["input"]

    def test_skip_what_is_stopped_unless_it_is_asked_for(
        self, api: httpx.Client, four: None, engine: Engine
    ) -> None:
        make_deployment(engine, "e", desired="stopped")
        assert "e" not in rows(ask(api))
        answer = ask(api, deployments=["a", "e"])
        assert (rows(answer), not_asked(answer)) == ({"a": "5"}, {"e": "stopped"})

    def test_carry_the_version_that_answered_not_the_one_that_is_wanted(
        self, api: httpx.Client, four: None, engine: Engine, serving: V2Server
    ) -> None:
        make_version(engine, 2, experiment="a", labels=["no", "yes"])
        serving.models["a"] = answers("yes", version="2", labels=["no", "yes"])
        [row] = ask(api, deployments="a").json()["results"]
        assert (row["version"], row["label"]) == (2, "yes")
        assert [one["label"] for one in row["probabilities"]] == ["yes", "no"]
        recorded = api.get(f"{URL}/{row['prediction_id']}").json()
        assert (recorded["lineage"]["version"], recorded["lineage"]["desired_version"]) == (2, 1)


class TestFailures:
    """A model that is dead, late or wrong is one row; the others answer."""

    @pytest.mark.clock
    def test_one_dead_and_one_late_of_four(self, api: httpx.Client, four: None, serving: V2Server) -> None:
        serving.models["b"] = closes()
        serving.models["c"] = answers("3", seconds=20)
        start = time.monotonic()
        answer = ask(api, deadline_ms=600)
        assert time.monotonic() - start < 0.6 + 0.2
        assert rows(answer) == {"a": "5", "b": "model_unreachable", "c": "deadline_exceeded", "d": "5"}
        [agreement] = answer.json()["agreements"]
        assert (agreement["label"], agreement["votes"], agreement["of"], agreement["unanimous"]) == (
            "5",
            2,
            2,
            True,
        )

    def test_every_way_to_fail_has_its_code(self, api: httpx.Client, four: None, serving: V2Server) -> None:
        serving.models["a"] = rejects(503, "the model is starting")
        serving.models["b"] = rejects(502, "the model raised")
        serving.models["c"] = says(b"<html>")
        serving.models["d"] = rejects(400, "not an image")
        codes = ["model_not_ready", "model_failed", "bad_answer", "input_rejected"]
        answer = ask(api)
        assert list(rows(answer).values()) == codes
        assert answer.json()["agreements"] == []

    def test_when_serving_is_away_every_row_says_so_and_later_they_answer_again(
        self, api: httpx.Client, four: None, serving: V2Server
    ) -> None:
        ask(api)
        serving.silence()
        assert set(rows(ask(api)).values()) == {"model_unreachable"}
        serving.listen()
        assert rows(ask(api)) == {"a": "5", "b": "5", "c": "3", "d": "5"}

    def test_a_model_that_takes_no_image_is_told_apart(
        self, api: httpx.Client, four: None, engine: Engine
    ) -> None:
        numbers = [{"name": "x", "datatype": "FP32", "shape": [-1, 4], "accepts": ["FP32"]}]
        make_deployment(engine, "e", inputs=numbers)
        answer = ask(api, deployments=["a", "e"])
        assert (rows(answer), not_asked(answer)) == ({"a": "5"}, {"e": "takes_other_kind"})

    def test_an_answer_of_a_version_that_is_not_registered_is_bad(
        self, api: httpx.Client, four: None, serving: V2Server
    ) -> None:
        serving.models["a"] = answers(version="77")
        serving.models["b"] = answers(version="x" * 5000)
        assert rows(ask(api, deployments=["a", "b"])) == {"a": "bad_answer", "b": "bad_answer"}

    def test_more_probabilities_than_labels_are_bad(
        self, api: httpx.Client, four: None, serving: V2Server
    ) -> None:
        serving.models["a"] = answers("1", labels=["0", "1", "2"])
        assert rows(ask(api, deployments="a")) == {"a": "bad_answer"}

    @pytest.mark.clock
    def test_all_that_hang_cost_one_deadline_not_four(
        self, api: httpx.Client, four: None, serving: V2Server
    ) -> None:
        for name in "abcd":
            serving.models[name] = hangs()
        start = time.monotonic()
        assert set(rows(ask(api, deadline_ms=300)).values()) == {"deadline_exceeded"}
        assert time.monotonic() - start < 0.3 + 0.2

    def test_each_deployment_has_what_its_server_has(
        self,
        app: FastAPI,
        api: httpx.Client,
        four: None,
        engine: Engine,
        serving: V2Server,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(predictions, "WAY_SECONDS", 0.1)
        components = app.state.components
        monkeypatch.setattr(components, "predicting", replace(components.predicting, response_seconds=0.3))
        with engine.begin() as connection:
            connection.execute(text("update deployments set response_seconds = 30 where name = 'b'"))
        for name in "ab":
            serving.models[name] = answers("5", seconds=1.2)
        answer = ask(api, deployments=["a", "b"])
        assert rows(answer) == {"a": "deadline_exceeded", "b": "5"}
        assert answer.json()["deadline_ms"] == 30_100


class TestRecord:
    """What is kept of a call."""

    def test_has_every_answer_and_failure_with_its_lineage(
        self, api: httpx.Client, four: None, serving: V2Server
    ) -> None:
        serving.models["b"] = rejects(502, "the model raised")
        call = ask(api, deployments=["a", "b"]).json()
        page = api.get(URL, params={"request_id": call["id"]}).json()
        assert page["total"] == 2
        kept = {item["deployment"]: item for item in page["items"]}
        for row in call["results"]:
            row.pop("preprocessed")
            row.pop("warning")
            row.pop("cold")
            row.pop("task")
            assert row.items() <= kept[row["deployment"]].items()
            assert kept[row["deployment"]]["input_sha256"] == call["input"]["sha256"]
        lineage = kept["a"]["lineage"]
        assert (lineage["version"], lineage["runtime"], lineage["model_version"]) == (1, "torchserve", "1")
        assert len(lineage["mar_sha256"]) == 64

    def test_is_listed_newest_first_by_deployment_and_image(self, api: httpx.Client, four: None) -> None:
        first, second = ask(api).json(), ask(api, make_image(9)).json()
        page = api.get(URL, params={"limit": 5}).json()
        rest = api.get(URL, params={"limit": 5, "cursor": page["next"]}).json()
        assert [item["request_id"] for item in page["items"] + rest["items"]] == [second["id"]] * 4 + [
            first["id"]
        ] * 4
        assert (page["total"], rest["next"]) == (8, None)
        found = api.get(URL, params={"deployment": "a", "input": second["input"]["sha256"]}).json()
        assert [item["request_id"] for item in found["items"]] == [second["id"]]

    @pytest.mark.clock  # each of the six waits for the others' transactions, within the database's deadline
    def test_of_the_same_image_shares_the_image(self, api: httpx.Client, four: None, engine: Engine) -> None:
        with ThreadPoolExecutor(6) as pool:
            calls = list(pool.map(lambda _: ask(api), range(6)))
        assert len({call.json()["input"]["sha256"] for call in calls}) == 1
        counts = row_counts(engine)
        assert (counts["inputs"], counts["predictions"]) == (1, 24)

    def test_is_whole_or_absent(self, api: httpx.Client, four: None, engine: Engine) -> None:
        reject = "alter table predictions add constraint ck_dead check (deployment <> 'c') not valid"
        with engine.begin() as connection:
            connection.execute(text(reject))
        try:
            assert ask(api).status_code >= 400
            assert row_counts(engine)["predictions"] == 0
        finally:
            with engine.begin() as connection:
                connection.execute(text("alter table predictions drop constraint ck_dead"))

    def test_is_503_when_the_database_cannot_write(
        self, api: httpx.Client, four: None, engine: Engine, serving: V2Server
    ) -> None:
        # A lock that is never released: the statement meets its deadline on this side.
        with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
            connection.execute(text("lock table predictions in access exclusive mode"))
            start = time.monotonic()
            answer = pool.submit(ask, api).result()
            assert time.monotonic() - start < 3
            connection.rollback()
        assert (answer.status_code, answer.json()["error"]) == (503, "database_unavailable")
        assert answer.headers["retry-after"]
        assert row_counts(engine)["predictions"] == 0

    def test_of_no_deployment_is_a_404(self, api: httpx.Client) -> None:
        answer = api.get(f"{URL}/{uuid4()}")
        assert (answer.status_code, answer.json()["error"]) == (404, "prediction_unknown")


class TestRefused:
    """Each with a clear 4xx, and nothing stored."""

    @pytest.fixture(autouse=True)
    def unchanged(self, engine: Engine, four: None, app: FastAPI) -> Iterator[None]:
        store = app.state.components.inputs.first.root

        def files() -> int:
            return sum(path.is_file() for path in store.rglob("*"))

        before = row_counts(engine), files()
        yield
        assert (row_counts(engine), files()) == before

    @pytest.mark.parametrize("image", [b"not an image", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"\0" * 99])
    def test_not_an_image(self, api: httpx.Client, image: bytes) -> None:
        answer = ask(api, image)
        assert answer.status_code in (400, 415)
        assert answer.json()["detail"]

    def test_a_hundred_megapixels(self, api: httpx.Client) -> None:
        image = huge_png(10_000, 10_000)
        start = time.monotonic()
        assert ask(api, image).status_code == 413
        assert time.monotonic() - start < 2

    def test_fifty_megabytes(self, api: httpx.Client) -> None:
        answer = ask(api, b"\x89PNG\r\n\x1a\n" + b"x" * 50_000_000)
        assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")

    def test_a_deployment_that_does_not_exist(self, api: httpx.Client) -> None:
        answer = ask(api, make_image(77), deployments=["a", "unknown"])
        assert (answer.status_code, answer.json()["error"]) == (404, "deployment_unknown")
        assert "unknown" in answer.json()["detail"]

    def test_an_image_that_was_never_sent(self, api: httpx.Client) -> None:
        answer = api.post(URL, data={"input_sha256": "0" * 64})
        assert (answer.status_code, answer.json()["error"]) == (404, "input_unknown")

    @pytest.mark.parametrize(
        "fields",
        [
            {"deadline_ms": 99},
            {"deadline_ms": 605_001},
            {"deadline_ms": "soon"},
            {"deployments": "../etc"},
            {"input_sha256": "../../etc"},
            {"input_sha256": "0" * 63},
        ],
    )
    def test_fields_of_the_wrong_kind(self, api: httpx.Client, fields: dict[str, Any]) -> None:
        assert ask(api, make_image(78), **fields).status_code == 422

    def test_no_image_at_all(self, api: httpx.Client) -> None:
        answer = api.post(URL, data={"deployments": "a"})
        assert (answer.status_code, answer.json()["error"]) == (400, "input_missing")

    def test_two_images(self, api: httpx.Client) -> None:
        assert ask(api, make_image(79), input_sha256="0" * 64).status_code == 400


def test_when_nothing_is_deployed_a_call_is_a_409_and_stores_nothing(
    api: httpx.Client, engine: Engine
) -> None:
    answer = ask(api)
    assert (answer.status_code, answer.json()["error"]) == (409, "nothing_deployed")
    assert row_counts(engine)["inputs"] == 0
