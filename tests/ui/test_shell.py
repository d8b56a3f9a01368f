"""The frame of our own pages, without a browser: what is answered to whom, what is kept, and what an action says."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from model_ui.api_types import AuditEntry, Experiment
from model_ui.asgi import App
from model_ui.metadata_client import MetadataClient
from model_ui.pages.activity import request_words
from model_ui.pages.columns import Column, best, numeric
from model_ui.pages.prediction import minority
from model_ui.prediction_types import Recorded
from model_ui.settings import Settings
from model_ui.shell.addressing import address
from model_ui.shell.status import Status, StatusCookie, Undo
from tests.ui.apps import create_app
from tests.ui.fake_answers import HOSTILE
from tests.ui.fake_api import FakeApi
from tests.ui.fake_audit import entry
from tests.ui.fake_callers import me, token
from tests.ui.fake_experiments import experiment

HOST = "http://marina.example"
HTML = {"accept": "text/html"}
LIVE = {**HTML, "marina-live": "1"}
Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def fake() -> FakeApi:
    return FakeApi()


@pytest.fixture(scope="module")
def training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "training"


@pytest.fixture(scope="module")
def app(fake: FakeApi, training_file: Path) -> App:
    settings = Settings(allowed_hosts=("marina.example",), root_path="/behind", training_file=training_file)
    return create_app(settings, MetadataClient("http://api", transport=httpx.ASGITransport(fake.app)))


@pytest.fixture
def send(app: App, fake: FakeApi) -> Send:
    """One request to the UI, which a proxy publishes below /behind."""
    fake.reset()

    def request(method: str, path: str, **options: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
                return await client.request(method, f"/behind{path}", **options)

        return anyio.run(run)

    return request


class TestAddresses:
    def test_a_page_has_its_title_and_its_place_in_the_navigation(self, send: Send) -> None:
        answer = send("GET", "/experiments", headers=HTML)
        assert answer.status_code == 200
        assert "<title>Experiments · Marina</title>" in answer.text
        assert '<a href="/behind/experiments" aria-current="page">' in answer.text

    def test_every_page_says_what_is_being_trained(self, send: Send, training_file: Path) -> None:
        assert "training 3 of 15" not in send("GET", "/experiments", headers=LIVE).text
        training_file.write_text("training 3 of 15: cnn-wide\n")
        for headers in (HTML, LIVE):
            text = send("GET", "/experiments", headers=headers).text
            assert ">training 3 of 15</span>" in text
            assert "Now training 3 of 15: cnn-wide." in text
        training_file.unlink()

    def test_every_address_stays_behind_the_prefix(self, send: Send) -> None:
        text = send("GET", "/experiments?sort=name", headers=HTML).text
        found = re.findall(r'(?:href|src|action)="(/[^"]*)"', text)
        assert len(found) > 10
        assert [one for one in found if not one.startswith("/behind/")] == []

    def test_what_is_no_page_is_told_in_the_frame_to_a_browser_and_as_json_to_a_program(
        self, send: Send
    ) -> None:
        answer = send("GET", "/nowhere", headers=HTML)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "There is no such page" in answer.text
        assert 'aria-label="Pages"' in answer.text
        assert send("GET", "/nowhere").json() == {"detail": "There is nothing here."}

    def test_a_name_in_the_path_is_not_another_one_of_the_query(self, send: Send) -> None:
        answer = send("GET", "/experiments/cnn-fast?name=mlp-poor&metric=a%26b", headers=HTML)
        assert answer.headers["location"] == "/behind/experiment?name=cnn-fast&metric=a%26b"

    def test_text_of_the_api_is_no_markup(self, send: Send) -> None:
        text = send("GET", "/experiments?columns=metrics.loss", headers=HTML).text
        assert "&lt;img src=x" in text
        assert HOSTILE not in text

    def test_a_subject_is_no_markup_and_its_role_is_said(self, send: Send, fake: FakeApi) -> None:
        fake.tokens = {token("viewer"): me("viewer", subject=HOSTILE)}
        headers = {**HTML, "authorization": f"Bearer {token('viewer')}"}
        text = send("GET", "/settings", headers=headers).text
        assert "role <b>viewer</b>" in text
        assert "&lt;img src=x" in text
        assert HOSTILE not in text

    def test_empty_values_are_left_out_of_an_address(self) -> None:
        assert (
            address("/experiments", q="", sort="-name", pick=["a", "b"]) == "/experiments?sort=-name&pick=a,b"
        )


class TestCompare:
    def test_where_nothing_was_picked_are_the_newest_that_have_the_metric(
        self, send: Send, fake: FakeApi
    ) -> None:
        for item in list(fake.experiments.values())[:3]:
            item["metrics"] = {}
        answer = send("GET", "/compare?metric=loss", headers=HTML)
        names = "mlp-small,mlp-poor,mlp-with-a-rather-long-name-for-one-line,hostile"
        assert (answer.status_code, answer.headers["location"]) == (
            303, f"/behind/compare?experiments={names}&metric=loss",
        )  # fmt: skip

    def test_where_nothing_was_picked_the_filter_and_the_order_hold(self, send: Send) -> None:
        page = send("GET", "/experiments?q=mlp&sort=name", headers=HTML).text
        form = page.partition('<form id="picked"')[2].partition("</form>")[0]
        assert '<input type="hidden" name="q" value="mlp">' in form
        answer = send("GET", "/compare?q=mlp&sort=name", headers=HTML)
        assert answer.headers["location"] == (
            "/behind/compare?experiments=mlp-poor,mlp-small,mlp-with-a-rather-long-name-for-one-line"
        )


class TestExperiments:
    def test_a_metric_that_no_experiment_has_is_named(self, send: Send) -> None:
        page = send("GET", "/experiments?q=none&filter=metrics.testaccuracy+>+0.9", headers=HTML).text
        assert "No experiment has metrics.testaccuracy." in page

    def test_a_list_is_narrowed_to_a_task(self, send: Send, fake: FakeApi) -> None:
        fake.experiments["mlp-poor"]["task"] = "wine"
        page = send("GET", "/experiments?task=wine", headers=HTML).text
        assert re.findall(r'<tr data-key="([^"]+)"', page) == ["mlp-poor"]
        assert "<option selected>wine</option>" in page
        form = page.partition('<form id="picked"')[2].partition("</form>")[0]
        assert '<input type="hidden" name="task" value="wine">' in form

    def test_the_best_is_one_of_its_task(self) -> None:
        def having(name: str, task: str | None, best: float) -> Experiment:
            metrics = {"f1": {"final": best, "best": best, "points": 1, "direction": "max"}}
            return Experiment.model_validate(experiment(name, task=task, metrics=metrics))

        shown = [having("a", "wine", 0.7), having("b", "wine", 0.8), having("c", None, 0.9)]
        column = Column("metrics", "f1")
        assert best(column, shown) == {"wine": 0.8}
        assert best(column, [*shown, having("d", None, 0.5)]) == {"wine": 0.8, None: 0.9}

    def test_what_judges_an_experiment_is_what_its_task_is_judged_by(self, send: Send, fake: FakeApi) -> None:
        for name in ("cnn-fast", "cnn-momentum"):
            fake.experiments[name]["key_metric"] = "loss"
        fake.experiments["mlp-poor"] |= {"task": "wine", "key_metric": "accuracy"}
        page = send("GET", "/experiment?name=cnn-baseline", headers=HTML).text
        assert "Best <b>loss</b>" in page
        assert "of 5 for digits" in page
        fake.experiments["cnn-baseline"]["task"] = None
        page = send("GET", "/experiment?name=cnn-baseline", headers=HTML).text
        assert "Best <b>accuracy</b>" in page

    def test_a_column_of_texts_stands_left_and_one_of_numbers_right(self) -> None:
        shown = [
            Experiment.model_validate(experiment("a", parameters={"network": "cnn", "lr": 0.1, "on": True})),
            Experiment.model_validate(experiment("b", parameters={"network": 3, "lr": 1})),
        ]
        chosen = [Column("params", name) for name in ("network", "lr", "on")] + [Column("metrics", "loss")]
        assert numeric(chosen, shown) == {Column("params", "lr"), Column("metrics", "loss")}


class TestWordsOfRequests:
    @pytest.mark.parametrize(
        ("route", "path", "words"),
        [
            ("PATCH /v1/deployments/{name}", "/v1/deployments/fast", "change deployment fast"),
            ("POST /v1/deployments", "/v1/deployments", "create deployment"),
            ("POST /v1/aliases/{name}/rollback", "/v1/aliases/best/rollback", "roll back alias best"),
            ("DELETE /v1/inputs/{sha256}", f"/v1/inputs/{'a' * 64}", "delete input aaaaaaaaaaaa"),
            ("DELETE /v1/aliases/{a}/replays/{n}", "/v1/aliases/b/replays/3", "delete replay 3 of alias b"),
        ],
    )
    def test_say_what_was_done_to_what(self, route: str, path: str, words: str) -> None:
        assert request_words(AuditEntry.model_validate(entry(1, route=route, path=path))) == words


class TestSplitCalls:
    def test_only_the_answers_of_the_fewer_are_the_minority(self) -> None:
        def answer(name: str, label: str) -> Recorded:
            return Recorded.model_validate(
                {
                    "prediction_id": name, "deployment": name, "experiment": name, "task": "digits", "status": "ok",
                    "label": label, "request_id": "1", "input_sha256": "", "disagrees": True,
                }
            )  # fmt: skip

        assert minority([answer("a", "7"), answer("b", "7"), answer("c", "1")]) == {"c"}
        assert minority([answer("a", "7"), answer("c", "1")]) == set()


class TestCsv:
    def test_all_pages_are_in_it_and_no_text_is_a_formula(self, send: Send, fake: FakeApi) -> None:
        for number in range(250):
            fake.experiments[f"more-{number}"] = experiment(f"more-{number}", parameters={"x": "=1+1"})
        answer = send("GET", "/experiments.csv?columns=metrics.loss,params.x&sort=name", headers=HTML)
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert rows[0][-3:] == ["metrics.loss", "metrics.loss.final", "params.x"]
        assert len(rows) == 258
        assert rows[-1][0] == "more-99"
        assert rows[-1][-1] == "'=1+1"


class TestKeeping:
    def test_an_unchanged_page_is_not_sent_again(self, send: Send) -> None:
        first = send("GET", "/experiments", headers=HTML)
        assert first.headers["cache-control"] == "private, no-cache"
        again = send("GET", "/experiments", headers={**HTML, "if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    def test_an_open_page_asks_by_the_tag_that_came_with_it(self, send: Send, fake: FakeApi) -> None:
        tag = re.search(r'data-tag="([^"]*)"', send("GET", "/experiments", headers=HTML).text)
        assert tag is not None
        known = {**LIVE, "if-none-match": tag[1].replace("&#34;", '"')}
        assert send("GET", "/experiments", headers=known).status_code == 304
        fake.experiments["cnn-fast"]["latest_version"] = 9
        anyio.run(anyio.sleep, 1.6)
        changed = send("GET", "/experiments", headers=known)
        assert changed.status_code == 200
        assert "v9" in changed.text
        assert "<nav" not in changed.text.split("<main")[0]

    def test_assets_are_kept_for_ever_under_the_hash_of_their_content(self, send: Send) -> None:
        text = send("GET", "/experiments", headers=HTML).text
        found = re.findall(r'"/behind(/assets/marina/[^"]+)"', text)
        assert {path.rpartition(".")[2] for path in found} == {"css", "js"}
        for path in found:
            answer = send("GET", path)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"
        assert send("GET", "/assets/marina/shell.0000000000000000.js").status_code == 404


class TestPulse:
    def test_try_asks_seldom_and_soon_while_something_moves(self, send: Send, fake: FakeApi) -> None:
        idle = send("GET", "/pulse")
        assert idle.json()["seconds"] == 12
        again = send("GET", "/pulse", headers={"if-none-match": idle.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        fake.deployments["cnn-fast"] |= {"version": 2}
        anyio.run(anyio.sleep, 2.1)
        moving = send("GET", "/pulse").json()
        assert moving["seconds"] == 2
        assert moving["tag"] != idle.json()["tag"]

    def test_and_while_something_is_trained_or_the_api_is_away(
        self, send: Send, fake: FakeApi, training_file: Path
    ) -> None:
        training_file.write_text("training 3 of 15: cnn-wide\n")
        assert send("GET", "/pulse").json()["seconds"] == 2
        training_file.unlink()
        fake.away = True
        anyio.run(anyio.sleep, 2.1)
        assert send("GET", "/pulse").json()["seconds"] == 2


class TestOutage:
    def test_a_page_says_that_the_api_is_away_and_asks_again(self, send: Send, fake: FakeApi) -> None:
        fake.away = True
        answer = send("GET", "/experiments", headers=HTML)
        assert answer.status_code == 503
        assert "The API is away" in answer.text
        assert 'data-live="3.0"' in answer.text
        assert answer.headers["cache-control"] == "no-store"


class TestFaults:
    """A page of ours that breaks."""

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_says_so_in_the_frame_by_an_id_that_the_log_has(
        self, send: Send, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
    ) -> None:
        async def broken(*_: object) -> None:
            raise RuntimeError("of no visitor's concern")

        monkeypatch.setattr("model_ui.metadata_client.MetadataClient.tokens", broken)
        monkeypatch.setattr("model_ui.metadata_client.MetadataClient.revoke_token", broken)
        form = {"data": {"do": "revoke", "id": "0" * 12}} if method == "POST" else {}
        answer = send(method, "/settings", headers=HTML, **form)
        assert answer.status_code == 500
        assert "This page has a fault" in answer.text
        assert '<a href="/behind/experiments"' in answer.text
        [number] = re.findall(r"in the log under ([0-9a-f]{8})\.", answer.text)
        [record] = [one for one in caplog.records if number in one.getMessage()]
        assert record.exc_info is not None
        assert "no visitor" not in answer.text
        assert "Traceback" not in answer.text

    def test_says_so_also_when_the_frame_is_broken(
        self, send: Send, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("model_ui.shell.visit.navigation.entries", lambda _: 1 / 0)
        answer = send("GET", "/help", headers=HTML)
        assert (answer.status_code, "in the log under" in answer.text) == (500, True)


class TestForms:
    def test_the_theme_is_kept_in_the_browser(self, send: Send) -> None:
        form = {"do": "theme", "theme": "dark", "back": "/experiments?q=a"}
        answer = send("POST", "/settings", data=form, headers=HTML)
        assert (answer.status_code, answer.headers["location"]) == (303, "/behind/experiments?q=a")
        text = send("GET", "/settings", headers={**HTML, "cookie": "marina_theme=dark"}).text
        assert '<html lang="en" class="s-dark">' in text

    def test_an_unknown_button_says_so_on_the_page(self, send: Send) -> None:
        answer = send("POST", "/settings", data={"do": "explode"}, headers=HTML)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        text = send("GET", "/settings", headers={**HTML, "cookie": cookie}).text
        assert "This button is not known" in text

    def test_another_site_sends_no_form(self, send: Send) -> None:
        headers = {**HTML, "origin": "http://evil.example"}
        assert send("POST", "/settings", data={"do": "theme"}, headers=headers).status_code == 403

    def test_a_form_that_is_too_long_is_not_read(self, send: Send) -> None:
        answer = send("POST", "/settings", data={"do": "x" * 300_000}, headers=HTML)
        assert answer.status_code == 413


class TestStatus:
    COOKIE = StatusCookie(port=1, root_path="", secure=False)

    def test_a_message_with_its_undo_survives_a_redirect(self) -> None:
        undo = Undo(address="/experiment?name=a", fields={"do": "notes", "notes": "before"})
        status = Status(text="Saved.", link="a", href="/experiment?name=a", undo=undo)
        assert "HttpOnly" in self.COOKIE.keep(status, "token")
        assert self.COOKIE.read(self.value_of(status), "token") == status

    def test_one_that_somebody_else_made_is_no_message(self) -> None:
        undo = Undo(address="/settings", fields={"do": "issue", "name": "evil", "role": "admin"})
        value = self.value_of(Status(text="Your session has a problem.", undo=undo))
        changed = f"{value[:-1]}{'A' if value[-1] != 'A' else 'B'}"
        for cookie, key in ((value, "another"), (value, None), (changed, "token"), (value[64:], "token")):
            assert self.COOKIE.read(cookie, key) is None

    def value_of(self, status: Status) -> str:
        return self.COOKIE.keep(status, "token").partition("=")[2].partition(";")[0]

    @pytest.mark.parametrize("href", ["//evil.example", "http://evil.example", "javascript:alert(1)"])
    def test_it_leads_to_no_other_server(self, href: str) -> None:
        undo = Undo(address=href, fields={})
        found = self.COOKIE.read(self.value_of(Status(text="x", link="x", href=href, undo=undo)), "token")
        assert found is not None
        assert found.undo is not None
        assert (found.href, found.undo.address) == ("/", "/")

    @pytest.mark.parametrize("value", [None, "", "x", ".", "x.é", "é.x", "eyJhIjoxfQ==", "x" * 5000])
    def test_nonsense_is_no_message(self, value: str | None) -> None:
        assert self.COOKIE.read(value, "token") is None
