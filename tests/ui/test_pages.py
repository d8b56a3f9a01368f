"""Deployments and imports in a real browser before a fake API, what is new in Try, and what happens in an outage."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from model_ui.settings import Settings
from tests.asgi import Server
from tests.ports import free_port
from tests.ui import visits
from tests.ui.apps import create_app
from tests.ui.conftest import Site
from tests.ui.fake_answers import HOSTILE
from tests.ui.fake_api import FakeApi
from tests.ui.fake_deployments import observed
from tests.ui.fake_experiments import LONG

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def slow_ui(running_site: Site) -> Iterator[str]:
    """A UI before the same API that asks as seldom as it does by default."""
    port = free_port()
    with Server(create_app(Settings(api_url=running_site.api_url, port=port)), port) as server:
        yield f"{server.url}/"


@pytest.fixture
def quiet(site: Site, slow_ui: str) -> Site:
    """The site behind that UI."""
    return replace(site, url=slow_ui)


class TestNames:
    def test_text_of_the_api_runs_nothing(self, site: Site, page: Page) -> None:
        visits.open_page(page, "")
        visits.draw(page)
        page.locator(".m-vote").wait_for()
        assert page.title() == "Try · Marina"
        assert page.locator("img[src=x]").count() == 0
        for address in ("deployments", "deployment?name=mlp-small"):
            visits.open_page(page, address)
            expect(page.get_by_text("the worker died while loading").first).to_be_visible()
            assert page.title().endswith(" · Marina")
            assert page.locator("img[src=x]").count() == 0
        visits.enter(page, site.url)


class TestDeployments:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_state_and_reason_are_shown(
        self, site: Site, open_page: OpenPage, screenshot: Screenshot, width: int
    ) -> None:
        page = open_page(width)
        page.goto(f"{site.url}deployments")
        expect(service(page, "cnn-baseline")).to_contain_text("ready")
        expect(service(page, "mlp-small")).to_contain_text("the worker died while loading")
        expect(service(page, LONG)).to_be_visible()
        visits.fits(page)
        screenshot(page, "deployments")

    def test_the_log_of_a_failed_one_is_on_its_page_and_of_another_a_press_away(
        self, site: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}deployment?name=mlp-small")
        log = page.get_by_role("region", name="Last lines of the log")
        expect(log).to_contain_text(f"v2 KeyError: {HOSTILE}")
        expect(log.locator("img")).to_have_count(0)
        page.goto(f"{site.url}deployment?name=cnn-fast")
        assert site.api.calls.count("GET /v1/deployments/cnn-fast/logs") == 0
        page.get_by_role("link", name="Show the last lines").click()
        expect(log).to_contain_text("There are no lines yet.")

    def test_a_removed_one_comes_back_by_undo(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}deployment?name=mlp-poor")
        page.get_by_text("Remove…").click()
        expect(page.get_by_text("mlp-poor is gone for everybody")).to_be_visible()
        page.get_by_role("button", name="Remove mlp-poor").click()
        expect(page.locator("#status")).to_contain_text("mlp-poor is removed.")
        expect(service(page, "mlp-poor")).to_have_count(0)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#status")).to_contain_text("Undone: mlp-poor is back.")
        expect(service(page, "mlp-poor")).to_be_visible()

    def test_a_second_deployment_of_a_name_is_refused_in_the_words_of_the_api(
        self, site: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}deployments")
        page.get_by_text("Deploy…").click()
        page.get_by_label("Experiment", exact=True).fill("cnn-fast")
        page.get_by_role("button", name="Deploy", exact=True).click()
        expect(page.locator("#status")).to_contain_text("cnn-fast is deployed already")
        page.get_by_text("Deploy…").click()
        page.get_by_label("Experiment", exact=True).fill("cnn-fast")
        page.get_by_label("Name, empty for the experiment’s").fill("cnn-second")
        page.get_by_role("button", name="Deploy", exact=True).click()
        expect(page.locator("#status")).to_contain_text("cnn-second starts with version 1.")

    def test_one_that_becomes_ready_is_soon_so_in_try(self, quiet: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        quiet.api.deployments["cnn-fast"] |= {"ready": False, "observed": observed("starting", None)}
        visits.enter(page, quiet.url)
        expect(page.locator("#chosen")).to_contain_text("cnn-fast · starting")
        quiet.api.deployments["cnn-fast"] |= {"ready": True, "observed": observed("ready", 3)}
        expect(page.locator("#chosen")).not_to_contain_text("starting", timeout=7000)

    def test_one_that_was_deployed_on_another_page_is_there_when_try_is_seen_again(
        self, quiet: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        visits.enter(page, quiet.url)
        # The first question of the page has been answered, and what it was told is too old to be told again.
        page.wait_for_timeout(3000)
        quiet.api.deployments["cnn-new"] = quiet.api.deployments["cnn-baseline"] | {"name": "cnn-new"}
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#chosen").get_by_role("checkbox", name="cnn-new")).to_be_visible(timeout=7000)


class TestImport:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_bad_rows_are_named_with_line_and_reason(
        self, site: Site, open_page: OpenPage, screenshot: Screenshot, bad_csv: Path, width: int
    ) -> None:
        page = open_page(width)
        page.goto(f"{site.url}imports")
        visits.see_two_bad_rows(visits.import_csv(page, bad_csv))
        visits.fits(page)
        screenshot(page, "import")
        page.goto(f"{site.url}experiments")
        expect(page.locator("tbody")).to_contain_text("Old One")

    def test_a_file_that_is_refused_as_a_whole(self, site: Site, open_page: OpenPage, tmp_path: Path) -> None:
        page = open_page(1280)
        empty = tmp_path / "empty.csv"
        empty.write_text("Experiment Name\n")
        page.goto(f"{site.url}imports")
        page.locator("input[type=file]").set_input_files(empty)
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.locator("#status")).to_contain_text("The file holds no rows.")


class TestAway:
    def test_an_api_that_is_away_is_named_and_its_return_noticed(
        self, site: Site, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        page = open_page(1280)
        site.api.away = True
        page.goto(site.url)
        expect(page.locator("#alarm")).to_contain_text("The API is away. The database does not answer.")
        screenshot(page, "away")
        site.api.away = False
        expect(page.locator("#alarm .m-banner")).to_have_count(0)
        visits.draw(page)
        visits.see_answers(page, set(site.api.deployments))
        visits.see_curves(page, 6)

    def test_a_question_while_the_api_is_away_is_answered_with_the_reason(
        self, site: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        site.api.away = True
        visits.draw(page)
        expect(page.locator("#answers .m-note.bad")).to_contain_text("The database does not answer.")

    def test_a_page_outlives_the_process_that_it_came_from(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        page.evaluate("window.old = true")
        site.restart_ui()
        visits.draw(page)
        visits.see_answers(page, set(site.api.deployments))
        assert page.evaluate("window.old"), "the page was loaded anew"

    def test_a_page_is_loaded_anew_after_an_update(
        self, site: Site, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        page.evaluate("window.old = true")
        monkeypatch.setattr("model_ui.app.build_id", lambda: "another build")
        site.restart_ui()
        page.wait_for_function("window.old === undefined")
        visits.enter(page, site.url)
        visits.draw(page)
        visits.see_answers(page, set(site.api.deployments))


class TestPrefix:
    @pytest.fixture(params=["strips the prefix", "keeps the prefix"])
    def prefixed(self, request: pytest.FixtureRequest) -> Iterator[tuple[str, FakeApi]]:
        """URL of a proxy that publishes the UI under /marina."""
        fake = FakeApi()
        api = Server(fake.app).start()
        port = free_port()
        hosts = (f"127.0.0.1:{port}",)
        settings = Settings(api_url=api.url, root_path="/marina", refresh_seconds=0.5, allowed_hosts=hosts)
        ui = Server(create_app(settings)).start()
        target = ui.url if request.param == "strips the prefix" else f"{ui.url}/marina"
        proxy = Server(reverse_proxy("/marina", target), port).start()
        yield f"{proxy.url}/marina/", fake
        for server in (proxy, ui, api):
            server.stop()

    def test_everything_works_under_a_path_prefix(
        self, prefixed: tuple[str, FakeApi], open_page: OpenPage, bad_csv: Path
    ) -> None:
        url, fake = prefixed
        page = open_page(1280)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        visits.enter(page, url)
        visits.draw(page)
        visits.see_answers(page, set(fake.deployments))
        visits.see_curves(page, 6)
        visits.see_two_bad_rows(visits.import_csv(page, bad_csv))
        assert fake.wrong == []
        assert [one for one in asked if one.startswith("http") and not one.startswith(url.rstrip("/"))] == []


def service(page: Page, name: str) -> Locator:
    return page.locator(f'tr[data-key="{name}"]')


def reverse_proxy(prefix: str, target: str) -> Starlette:
    """A proxy as small as can be; it streams, because Gradio answers with server-sent events."""
    client = httpx.AsyncClient(timeout=60, trust_env=False)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    async def forward(request: Request) -> Response:
        path = request.url.path.removeprefix(prefix) or "/"
        headers = [(key, value) for key, value in request.headers.raw if key not in (b"connection",)]
        question = client.build_request(
            request.method,
            f"{target}{path}?{request.url.query}",
            headers=headers,
            content=await request.body(),
        )
        answer = await client.send(question, stream=True)
        kept = {key: value for key, value in answer.headers.items() if key not in ("transfer-encoding",)}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept)

    route = Route("/{path:path}", forward, methods=["GET", "HEAD", "POST"])
    return Starlette(routes=[route], lifespan=lifespan)
