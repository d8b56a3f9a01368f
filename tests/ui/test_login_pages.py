"""Visitors with and without a token in a real browser, before a fake API that wants one."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from model_ui.settings import Settings
from tests.asgi import Server
from tests.ports import free_port
from tests.ui import visits
from tests.ui.apps import create_app
from tests.ui.fake_answers import HOSTILE
from tests.ui.fake_api import FakeApi
from tests.ui.fake_audit import entry
from tests.ui.fake_callers import me, token

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]
ROLES = ("viewer", "annotator", "deployer", "publisher", "admin")
# A check every 5 s, and the page's own look.
REVOKED_MS = 15_000


@dataclass(frozen=True)
class Closed:
    """A running UI before an API that wants a token: one of each role is there."""

    url: str
    api: FakeApi

    def link(self, role: str) -> str:
        return f"{self.url}?token={token(role)}"


def serve(fake: FakeApi) -> Iterator[Closed]:
    port = free_port()
    with Server(fake.app) as api:
        settings = Settings(api_url=api.url, port=port, refresh_seconds=0.5)
        with Server(create_app(settings), port):
            yield Closed(f"http://127.0.0.1:{port}/", fake)


@pytest.fixture(scope="module")
def running() -> Iterator[Closed]:
    yield from serve(FakeApi())


@pytest.fixture
def closed(running: Closed) -> Iterator[Closed]:
    running.api.reset()
    running.api.tokens = {token(role): me(role) for role in ROLES}
    yield running
    assert running.api.wrong == []


@pytest.fixture
def tabs(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one person, in which several tabs can be opened."""
    context = browser.new_context(viewport={"width": 1280, "height": 844})
    # Without a cache: each of its pages loads and compiles Gradio anew.
    context.set_default_timeout(40_000)
    yield context
    context.close()


def see_login(page: Page) -> None:
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert page.locator(".gradio-container, gradio-app").count() == 0


def log_in(page: Page, closed: Closed, role: str, address: str) -> None:
    """Open a page by a link with a token."""
    page.goto(f"{closed.url}{address}?token={token(role)}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def see_deployments_without_buttons(page: Page, closed: Closed) -> None:
    expect(page.locator("tbody tr")).to_have_count(len(closed.api.deployments))
    expect(page.locator("tbody input[name=pick]")).to_have_count(0)
    expect(page.get_by_text("Deploy…")).to_have_count(0)


class TestALinkWithAToken:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_it_opens_pages_that_work_and_leaves_no_token_in_the_address(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot, width: int
    ) -> None:
        page = open_page(width)
        visits.enter(page, closed.link("deployer"))
        assert page.url == closed.url
        expect(page.locator(".s-who")).to_contain_text("a deployer")
        expect(page.locator(".s-who .m-chip")).to_have_text("deployer")
        visits.draw(page)
        said = visits.see_answers(page, set(closed.api.deployments))
        assert said["cnn-baseline"] == "5"
        visits.see_curves(page, 6)
        visits.open_page(page, "deployment?name=cnn-fast")
        page.get_by_text("Stop…").click()
        page.get_by_role("button", name="Stop cnn-fast").click()
        expect(page.get_by_text("cnn-fast stops.")).to_be_visible()
        visits.fits(page)
        screenshot(page, "header")
        assert "mrn_" not in page.content()

    def test_scripts_cannot_read_the_cookie(self, closed: Closed, open_page: OpenPage) -> None:
        page = open_page(1280)
        log_in(page, closed, "deployer", "deployments")
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        assert cookie["name"] == f"marina_{closed.url.rstrip('/').rpartition(':')[2]}"
        assert page.evaluate("document.cookie") == ""

    def test_everything_that_the_api_is_asked_is_asked_in_the_name_of_the_visitor(
        self, closed: Closed, open_page: OpenPage, bad_csv: Path
    ) -> None:
        page = open_page(1280)
        visits.enter(page, closed.link("publisher"))
        credential = f"Bearer {token('publisher')}"
        at_once = {call for call, presented in closed.api.presented if presented == credential}
        # What a page of the test before had under way is over by now.
        closed.api.presented.clear()
        visits.draw(page)
        visits.see_answers(page, set(closed.api.deployments))
        visits.see_curves(page, 6)
        visits.see_two_bad_rows(visits.import_csv(page, bad_csv))
        asked = at_once | {call for call, _ in closed.api.presented}
        assert asked >= {"GET /v1/experiments", "GET /v1/curves", "POST /v1/predictions", "POST /v1/imports"}
        assert {presented for call, presented in closed.api.presented if call != "GET /v1/me"} == {credential}

    def test_a_wrong_one_leads_to_a_login_that_says_where_the_token_is(
        self, closed: Closed, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        page.goto(f"{closed.url}?token={token('admin', 5)}")
        see_login(page)
        expect(page.get_by_role("alert")).to_contain_text("This token is not accepted")
        expect(page.get_by_text(".marina/run/token")).to_be_visible()


class TestTheLogin:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_a_wrong_token_is_answered_in_words_and_the_right_one_opens_the_page(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot, width: int
    ) -> None:
        page = open_page(width)
        page.goto(closed.url)
        see_login(page)
        expect(page.get_by_label("Token")).to_be_focused()
        visits.fits(page)
        screenshot(page, "login")
        page.keyboard.type(token("admin", 7))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This token is not accepted")
        screenshot(page, "wrong")
        page.get_by_label("Token").fill(token("annotator"))
        page.get_by_role("button", name="Log in").click()
        page.locator("#asking canvas").wait_for()
        assert page.url == closed.url

    def test_it_works_without_scripts(self, closed: Closed, browser: Browser) -> None:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(closed.url)
        page.get_by_label("Token").fill(token("viewer"))
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_label("Token")).to_have_count(0)
        assert [cookie["value"] for cookie in context.cookies()] == [token("viewer")]
        context.close()

    def test_a_second_browser_sees_only_the_login(
        self, closed: Closed, open_page: OpenPage, tabs: BrowserContext
    ) -> None:
        first, second = open_page(1280), tabs.new_page()
        visits.enter(first, closed.link("deployer"))
        second.goto(closed.url)
        see_login(second)
        assert second.evaluate("fetch('config').then(answer => answer.status)") == 401

    def test_after_the_logout_there_is_only_the_login_also_in_other_tabs(
        self, closed: Closed, tabs: BrowserContext
    ) -> None:
        page, other = tabs.new_page(), tabs.new_page()
        visits.enter(page, closed.link("deployer"))
        visits.enter(other, closed.url)
        with page.expect_request("**/logout") as logout:
            visits.log_out(page)
        see_login(page)
        # Over plain HTTP, where Sec-Fetch-Site is missing, this is what tells our page from one of another site.
        assert logout.value.all_headers()["origin"] == closed.url.rstrip("/")
        assert tabs.cookies() == []
        expect(other.get_by_role("link", name="Log in again").first).to_be_visible(timeout=REVOKED_MS)
        page.go_back()
        see_login(page)

    def test_two_installations_on_one_machine_do_not_share_it(
        self, closed: Closed, open_page: OpenPage
    ) -> None:
        fake = FakeApi()
        fake.tokens = {token("deployer", 2): me("deployer", subject="another")}
        page = open_page(1280)
        # Made before a page of the first is open: Gradio makes its layout in what all threads share.
        for second in serve(fake):
            visits.enter(page, closed.link("deployer"))
            visits.enter(page, f"{second.url}?token={token('deployer', 2)}")
            expect(page.locator(".s-who")).to_contain_text("another")
            visits.log_out(page)
            see_login(page)
            visits.enter(page, closed.url)
            expect(page.locator(".s-who")).to_contain_text("a deployer")

    def test_a_link_of_another_site_leads_a_visitor_on(self, closed: Closed, tabs: BrowserContext) -> None:
        visits.enter(tabs.new_page(), closed.link("deployer"))
        other = tabs.new_page()
        other.route(
            "**/elsewhere",
            lambda route: route.fulfill(content_type="text/html", body=f'<a href="{closed.url}">there</a>'),
        )
        other.goto("http://localhost:1/elsewhere")
        other.get_by_text("there").click()
        other.get_by_text("Go on to the page").click()
        other.locator("#asking canvas").wait_for()

    def test_a_link_with_a_token_of_another_site_asks_before_it_logs_somebody_in(
        self, closed: Closed, tabs: BrowserContext
    ) -> None:
        page = tabs.new_page()
        link = f'<a href="{closed.link("deployer")}">there</a>'
        page.route("**/elsewhere", lambda route: route.fulfill(content_type="text/html", body=link))
        page.goto("http://localhost:1/elsewhere")
        page.get_by_text("there").click()
        expect(page.get_by_text("a deployer")).to_be_visible()
        assert tabs.cookies() == []
        page.get_by_role("button", name="Log in").click()
        page.locator("#asking canvas").wait_for()
        assert page.url == closed.url


class TestRoles:
    def test_a_viewer_sees_everything_and_no_button_that_changes_anything(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        page = open_page(1280)
        page.goto(closed.link("viewer"))
        page.get_by_text("Asking models needs the role annotator; you have viewer.").wait_for()
        expect(page.locator("#asking")).to_be_hidden()
        screenshot(page, "viewer")
        visits.see_curves(page, 6)
        visits.open_page(page, "deployments")
        see_deployments_without_buttons(page, closed)
        expect(page.get_by_text("Changing deployments needs the role deployer")).to_be_visible()
        screenshot(page, "viewer-deployments")
        visits.open_page(page, "deployment?name=cnn-fast")
        expect(page.get_by_text("Changing deployments needs the role deployer")).to_be_visible()
        expect(page.locator(".s-main form[method=post]")).to_have_count(0)
        visits.open_page(page, "models")
        expect(page.get_by_text("Uploading needs the role publisher; you have viewer.")).to_be_visible()
        expect(page.locator("[data-upload]")).to_have_count(0)
        visits.open_page(page, "imports")
        expect(page.get_by_text("Importing needs the role publisher")).to_be_visible()
        expect(page.get_by_role("button", name="Import", exact=True)).to_have_count(0)
        assert {call.partition(" ")[0] for call in closed.api.calls} == {"GET"}

    def test_an_annotator_asks_and_changes_nothing(self, closed: Closed, open_page: OpenPage) -> None:
        page = open_page(1280)
        visits.enter(page, closed.link("annotator"))
        visits.draw(page)
        visits.see_answers(page, set(closed.api.deployments))
        visits.open_page(page, "deployments")
        see_deployments_without_buttons(page, closed)

    def test_a_token_of_some_deployments_asks_and_changes_only_these(
        self, closed: Closed, open_page: OpenPage
    ) -> None:
        assert closed.api.tokens is not None
        closed.api.tokens[token("deployer", 3)] = me("deployer", deployments=["cnn-fast"])
        page = open_page(1280)
        page.goto(f"{closed.url}?token={token('deployer', 3)}")
        expect(page.locator("#chosen").get_by_role("checkbox")).to_have_count(1)
        visits.draw(page)
        visits.see_answers(page, {"cnn-fast"})
        assert closed.api.predictions.asked == [["cnn-fast"]]
        visits.open_page(page, "deployments")
        expect(page.locator("tbody tr")).to_have_count(len(closed.api.deployments))
        boxes = page.locator("tbody input[name=pick]").all()
        assert [box.get_attribute("value") for box in boxes] == ["cnn-fast"]
        visits.open_page(page, "deployment?name=cnn-baseline")
        expect(page.get_by_text("you have deployer, for other deployments.")).to_be_visible()

    def test_what_the_api_forbids_is_said_in_its_words(self, closed: Closed, open_page: OpenPage) -> None:
        assert closed.api.tokens is not None
        page = open_page(1280)
        visits.enter(page, closed.link("deployer"))
        visits.open_page(page, "deployment?name=cnn-fast")
        page.get_by_text("Stop…").click()
        closed.api.forbidden.add("POST /v1/deployments/cnn-fast/stop")
        page.get_by_role("button", name="Stop cnn-fast").click()
        expect(page.locator("#status")).to_contain_text("needs the role")
        closed.api.tokens[token("deployer")] = me("viewer")
        expect(page.get_by_text("Stop…")).to_have_count(0, timeout=2 * REVOKED_MS)

    def test_try_follows_the_role(self, closed: Closed, open_page: OpenPage) -> None:
        assert closed.api.tokens is not None
        page = open_page(1280)
        visits.enter(page, closed.link("deployer"))
        closed.api.tokens[token("deployer")] = me("viewer")
        expect(page.locator(".s-who .m-chip")).to_have_text("viewer", timeout=REVOKED_MS)
        expect(page.locator("#asking")).to_be_hidden(timeout=REVOKED_MS)


class TestWhatOnlyAdminsSee:
    def test_an_admin_reads_the_log_page_by_page_and_of_one_caller(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        closed.api.audit.entries.append(
            entry(61, subject=HOSTILE, path=HOSTILE, changes=[{"table": HOSTILE, "key": HOSTILE}])
        )
        page = open_page(1280)
        log_in(page, closed, "admin", "activity")
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(50)
        expect(rows.first).to_contain_text(HOSTILE)
        expect(rows.nth(1)).to_contain_text("deployments cnn-fast: version 60 → 61, previous_version – → 60")
        expect(rows.nth(1)).to_contain_text(f"{60:032x}"[:8])
        screenshot(page, "activity")
        visits.fits(page)
        page.get_by_role("link", name="Next").click()
        expect(rows).to_have_count(11)
        page.get_by_label("Caller").fill("a deployer")
        page.keyboard.press("Enter")
        expect(rows).to_have_count(30)
        assert page.title() == "Activity · Marina"

    def test_an_admin_revokes_a_token_and_issues_one_that_is_shown_once(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        page = open_page(1280)
        log_in(page, closed, "admin", "settings")
        row = page.locator("tbody tr", has_text="program 1")
        row.get_by_text("Revoke", exact=True).click()
        assert closed.api.audit.revoked() == []
        row.get_by_role("button", name="Revoke for good").click()
        expect(row).to_contain_text("revoked")
        assert closed.api.audit.revoked() == ["program 1"]
        expect(row.get_by_role("button", name="Revoke for good")).to_have_count(0)
        page.get_by_label("Token name").fill(" ")
        page.get_by_role("button", name="Issue").click()
        expect(page.locator("#status")).to_contain_text("at least 1 character")
        page.get_by_label("Token name").fill("nightly job")
        page.get_by_label("Deployments", exact=True).fill("cnn-fast, mlp-poor")
        page.get_by_role("button", name="Issue").click()
        shown = page.locator(".m-once code").first
        made = f"mrn_{2:012x}_{'s' * 43}"
        expect(shown).to_have_text(made)
        link = page.locator(".m-once code").nth(1).inner_text()
        assert link == f"{visits.root(page)}?token={made}"
        expect(page.locator("tbody tr", has_text="nightly job")).to_contain_text("cnn-fast, mlp-poor")
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.get_by_role("button", name=re.compile("Copied|Marked"))).to_be_visible()
        screenshot(page, "tokens")
        visits.open_page(page, "settings")
        expect(page.locator("tbody tr", has_text="nightly job")).to_be_visible()
        expect(shown).to_have_count(0)
        page.go_back()
        expect(shown).to_have_count(0)

    def test_nobody_else_sees_it(self, closed: Closed, open_page: OpenPage) -> None:
        page = open_page(1280)
        log_in(page, closed, "publisher", "settings")
        expect(page.get_by_text("API tokens")).to_have_count(0)
        visits.open_page(page, "activity")
        expect(page.get_by_text("It needs the role admin; you have publisher.")).to_be_visible()
        assert not {"GET /v1/audit", "GET /v1/tokens"} & set(closed.api.calls)

    def test_it_goes_away_with_the_role(self, closed: Closed, open_page: OpenPage) -> None:
        assert closed.api.tokens is not None
        page = open_page(390)
        log_in(page, closed, "admin", "activity")
        expect(page.locator("tbody tr")).to_have_count(50)
        visits.fits(page)
        closed.api.tokens[token("admin")] = me("viewer")
        expect(page.locator("tbody tr")).to_have_count(0, timeout=2 * REVOKED_MS)
        expect(page.get_by_text("It needs the role admin; you have viewer.")).to_be_visible()


class TestARevokedToken:
    def test_an_open_page_says_so_and_leads_to_the_login(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        assert closed.api.tokens is not None
        page = open_page(1280)
        visits.enter(page, closed.link("deployer"))
        # The UI asked about the token a moment ago and lets the event through; the API rejects it.
        closed.api.unauthenticated.add("POST /v1/predictions")
        visits.draw(page)
        expect(page.locator("#answers").get_by_role("link", name="Log in again")).to_be_visible()
        del closed.api.tokens[token("deployer")]
        bar = page.locator(".m-offline")
        expect(bar).to_contain_text("You are no longer logged in.", timeout=REVOKED_MS)
        # Each event of the page is rejected now; that is said once.
        page.wait_for_timeout(1500)
        expect(page.locator(".toast-wrap:visible")).to_have_count(0)
        screenshot(page, "revoked")
        bar.get_by_role("link", name="Log in again").click()
        see_login(page)
        expect(page.get_by_role("alert")).to_contain_text("expired or was revoked")


class TestAnApiThatIsAway:
    def test_the_first_page_waits_for_it(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        closed.api.away = True
        page = open_page(1280)
        closed.api.tokens = {token("deployer", 8): me("deployer")}
        page.goto(f"{closed.url}?token={token('deployer', 8)}")
        expect(page.get_by_role("alert")).to_contain_text("The API does not answer")
        screenshot(page, "away")
        closed.api.away = False
        page.locator("#asking canvas").wait_for()
        assert page.url == closed.url

    def test_who_is_logged_in_stays_so(self, closed: Closed, open_page: OpenPage) -> None:
        page = open_page(1280)
        visits.enter(page, closed.link("deployer"))
        closed.api.away = True
        expect(page.locator("#alarm")).to_contain_text("The API is away.")
        page.wait_for_timeout(6000)
        page.reload()
        expect(page.locator("#alarm")).to_contain_text("The API is away.")
        expect(page.locator(".s-who")).to_contain_text("a deployer")
        closed.api.away = False
        expect(page.locator("#alarm .m-banner")).to_have_count(0)
