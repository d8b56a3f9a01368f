"""Visitors with and without a token in a real browser, before a fake API that wants one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.ui import visits
from tests.ui.closed_site import REVOKED_MS, Closed, log_in, see_login, serve
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import me, token

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


@pytest.fixture
def tabs(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one person, in which several tabs can be opened."""
    context = browser.new_context(viewport={"width": 1280, "height": 844})
    # Without a cache: each of its pages that Gradio serves loads and compiles it anew.
    context.set_default_timeout(40_000)
    yield context
    context.close()


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
    @pytest.mark.main_way
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
        log_in(first, closed, "deployer", "deployments")
        second.goto(closed.url)
        see_login(second)
        assert second.evaluate("fetch('config').then(answer => answer.status)") == 401

    def test_after_the_logout_there_is_only_the_login_also_in_other_tabs(
        self, closed: Closed, tabs: BrowserContext
    ) -> None:
        page, other = tabs.new_page(), tabs.new_page()
        visits.enter(page, closed.link("deployer"))
        other.goto(f"{closed.url}deployments")
        expect(other.locator(".s-who")).to_contain_text("a deployer")
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
            log_in(page, closed, "deployer", "deployments")
            page.goto(f"{second.url}deployments?token={token('deployer', 2)}")
            expect(page.locator(".s-who")).to_contain_text("another")
            visits.log_out(page)
            see_login(page)
            page.goto(f"{closed.url}deployments")
            expect(page.locator(".s-who")).to_contain_text("a deployer")

    def test_a_link_of_another_site_leads_a_visitor_on(self, closed: Closed, tabs: BrowserContext) -> None:
        log_in(tabs.new_page(), closed, "deployer", "deployments")
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
