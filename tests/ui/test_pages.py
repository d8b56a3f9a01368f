"""The pages in a real browser before a fake API: every tab but Try, and what happens when something is away."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
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
from tests.ui.conftest import Site, refreshes
from tests.ui.fake_api import HOSTILE, LONG, FakeApi
from tests.waiting import until

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


class TestNames:
    def test_text_of_the_api_runs_nothing(self, site: Site, page: Page) -> None:
        visits.open_tab(page, "Try")
        visits.draw(page)
        page.locator(".m-vote").wait_for()
        visits.open_tab(page, "Deployments")
        expect(page.locator(".m-service").first).to_be_visible()
        assert page.title() == "Try · Marina"
        assert page.locator("img[src=x]").count() == 0


class TestDeployments:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_state_and_reason_are_shown(
        self, site: Site, open_page: OpenPage, screenshot: Screenshot, width: int
    ) -> None:
        page = open_page(width)
        visits.enter(page, site.url)
        visits.open_tab(page, "Deployments")
        expect(service(page, "cnn-baseline")).to_contain_text("ready")
        expect(service(page, "mlp-small")).to_contain_text("the worker died while loading")
        expect(service(page, LONG)).to_be_visible()
        visits.fits(page)
        screenshot(page, "deployments")

    def test_the_log_of_a_failed_deployment_is_a_press_away_and_stays_fresh(
        self, site: Site, page: Page
    ) -> None:
        visits.open_tab(page, "Deployments")
        failed = service(page, "mlp-small")
        expect(failed.locator("pre")).not_to_be_visible()
        failed.get_by_text("Log", exact=True).click()
        expect(failed.locator("pre")).to_contain_text(f"v2 KeyError: {HOSTILE}")
        expect(failed.locator("pre img")).to_have_count(0)
        site.api.logs["mlp-small"].append("v2 another line")
        expect(failed.locator("pre")).to_contain_text("v2 another line")
        failed.get_by_text("Log", exact=True).click()
        expect(failed.locator("pre")).not_to_be_visible()
        refreshed = refreshes(site)
        until(lambda: refreshes(site) > refreshed + 1, "the page is refreshed")
        expect(failed.locator("pre")).not_to_be_visible()
        expect(service(page, "cnn-fast").locator("details")).to_have_count(0)

    def test_the_log_of_a_removed_deployment_is_not_asked_for_any_more(self, site: Site, page: Page) -> None:
        visits.open_tab(page, "Deployments")
        failed = service(page, "mlp-small")
        failed.get_by_text("Log", exact=True).click()
        expect(failed.locator("pre")).to_be_visible()
        site.api.deployments.pop("mlp-small")
        expect(failed).to_have_count(0)
        asked = site.api.calls.count("GET /v1/deployments/mlp-small/logs")
        before = refreshes(site)
        until(lambda: refreshes(site) >= before + 2, "the page is refreshed")
        assert site.api.calls.count("GET /v1/deployments/mlp-small/logs") == asked

    def test_stop_start_roll_back_and_change(self, site: Site, page: Page) -> None:
        visits.open_tab(page, "Deployments")
        fast = service(page, "cnn-fast")
        fast.get_by_role("button", name="Roll back to v2").click()
        expect(fast).to_contain_text("Roll back to v3")
        fast.get_by_role("combobox").select_option("v1")
        fast.get_by_role("button", name="Change").click()
        expect(fast).to_contain_text("Roll back to v2")
        fast.get_by_role("button", name="Stop").click()
        fast.get_by_role("button", name="Stop cnn-fast").click()
        fast.get_by_role("button", name="Start").click()
        expect(fast.get_by_role("button", name="Stop")).to_be_visible()
        assert site.api.deployments["cnn-fast"]["version"] == 1

    def test_what_ends_a_service_names_the_consequence_and_can_be_undone(
        self, site: Site, page: Page
    ) -> None:
        visits.open_tab(page, "Deployments")
        last = service(page, "mlp-poor")
        last.get_by_role("button", name="Stop").click()
        expect(last).to_contain_text("Nobody gets an answer of mlp-poor any more until it is started again.")
        # A question stays open when the cards change elsewhere.
        site.api.deployments["cnn-baseline"] |= {"ready": False}
        expect(page.locator(".m-count")).to_contain_text("4 of 6")
        last.get_by_role("button", name="Keep it").click()
        assert site.api.deployments["mlp-poor"]["desired"] == "running"
        last.get_by_role("button", name="Stop").click()
        last.get_by_role("button", name="Stop mlp-poor").click()
        expect(page.locator("#deployed")).to_be_in_viewport()
        expect(page.locator("#deployed")).to_contain_text("mlp-poor stops.")
        last.get_by_role("button", name="Remove").click()
        last.get_by_role("button", name="Remove mlp-poor").click()
        expect(last).to_have_count(0)
        page.get_by_role("button", name="Undo").click()
        expect(last).to_contain_text("stopped")
        expect(page.locator("#deployed")).to_contain_text("Undone: mlp-poor is stopped again.")
        last.get_by_role("button", name="Start").click()
        expect(page.locator("#deployed")).to_contain_text("mlp-poor starts.")

    def test_a_chosen_version_stays_when_another_deployment_changes(self, site: Site, page: Page) -> None:
        visits.open_tab(page, "Deployments")
        fast = service(page, "cnn-fast")
        fast.get_by_role("combobox").select_option("v1")
        for ready in (False, True, False):
            site.api.deployments["cnn-momentum"] |= {"ready": ready}
            expect(page.locator(".m-count")).to_contain_text(f"{5 if ready else 4} of")
        expect(fast.get_by_role("combobox")).to_have_value("1")
        fast.get_by_role("button", name="Change").click()
        expect(page.locator("#deployed")).to_contain_text("cnn-fast changes to version 1.")

    def test_a_second_deployment_of_a_name_is_refused_in_the_words_of_the_api(
        self, site: Site, page: Page
    ) -> None:
        visits.open_tab(page, "Deployments")
        choose(page, "Experiment", "cnn-fast")
        expect(page.get_by_label("Version", exact=True)).to_have_value("v3")
        page.get_by_role("button", name="Deploy", exact=True).click()
        expect(page.get_by_text("cnn-fast is deployed already")).to_be_visible()
        page.get_by_label("Name", exact=True).fill("cnn-second")
        page.get_by_role("button", name="Deploy", exact=True).click()
        expect(service(page, "cnn-second")).to_contain_text("starting")


class TestImport:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_bad_rows_are_named_with_line_and_reason(
        self, site: Site, open_page: OpenPage, screenshot: Screenshot, bad_csv: Path, width: int
    ) -> None:
        page = open_page(width)
        visits.enter(page, site.url)
        visits.see_two_bad_rows(visits.import_csv(page, bad_csv))
        visits.fits(page)
        screenshot(page, "import")
        page.goto(f"{site.url}experiments")
        expect(page.locator("tbody")).to_contain_text("Old One")

    def test_a_check_imports_nothing(self, site: Site, open_page: OpenPage, bad_csv: Path) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        report = visits.import_csv(page, bad_csv, "Check only")
        expect(report).to_contain_text("would be imported")
        assert "Old One" not in site.api.experiments

    def test_a_file_that_is_refused_as_a_whole(self, site: Site, open_page: OpenPage, tmp_path: Path) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        empty = tmp_path / "empty.csv"
        empty.write_text("Experiment Name\n")
        visits.open_tab(page, "Import")
        with page.expect_file_chooser() as chooser:
            page.locator("#csv").click()
        chooser.value.set_files(empty)
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_text("The file holds no rows.")).to_be_visible()


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
    return page.locator(f'.m-service[data-name="{name}"]')


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


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
