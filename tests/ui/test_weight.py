"""What Try costs: requests and bytes of a first visit, of a page that nobody uses, and of one that nobody sees."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from model_ui.settings import Settings
from tests.asgi import Server
from tests.ui import visits
from tests.ui.apps import create_app
from tests.ui.conftest import Site
from tests.ui.fake_api import FakeApi
from tests.ui.test_workbench import sizes_of

pytestmark = pytest.mark.browser
MOST_REQUESTS, MOST_BYTES = 40, 300_000
MINUTE_MS = 60_000
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_the_first_visit_is_light_also_with_a_first_answer(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    page = context.new_page()
    sizes = sizes_of(page)
    asked = addresses_of(page)
    visits.enter(page, site.url)
    visits.draw(page)
    page.locator(".m-vote").wait_for()
    page.wait_for_timeout(500)
    assert len(asked) <= MOST_REQUESTS, asked
    assert sum(sizes) <= MOST_BYTES
    # Of Gradio's styles only the one that its document names comes by itself.
    assert len([address for address in asked if address.endswith(".css")]) <= 3
    context.close()


@pytest.fixture
def idle_site() -> Iterator[str]:
    """Address of a UI that asks as seldom as it does by default."""
    api = Server(FakeApi().app).start()
    ui = Server(create_app(Settings(api_url=api.url, public_api_url=api.url))).start()
    yield f"{ui.url}/"
    ui.stop()
    api.stop()


@pytest.mark.long
def test_an_idle_minute_costs_six_requests_and_a_hidden_one_none(browser: Browser, idle_site: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    sizes = sizes_of(page)
    asked = addresses_of(page)
    visits.enter(page, idle_site)
    page.wait_for_timeout(5000)
    asked.clear()
    sizes.clear()
    page.wait_for_timeout(MINUTE_MS)
    assert 1 <= len(asked) <= 6, asked
    assert sum(sizes) <= 5000
    page.evaluate(HIDE, True)
    page.wait_for_timeout(1000)
    asked.clear()
    page.wait_for_timeout(MINUTE_MS)
    assert asked == []
    with page.expect_request("**/pulse", timeout=5000):
        page.evaluate(HIDE, False)
    context.close()


def addresses_of(page: Page) -> list[str]:
    """Each request over the network."""
    asked: list[str] = []
    page.on("request", lambda request: None if request.url.startswith("data:") else asked.append(request.url))
    return asked
