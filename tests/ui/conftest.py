"""A browser, the UI in front of a fake API, and a place for screenshots of what was seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Request

from model_ui.settings import Settings
from tests.asgi import Server
from tests.ports import free_port
from tests.ui import browsers, visits
from tests.ui.apps import create_app
from tests.ui.closed_site import ROLES, Closed, serve
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import me, token

HEIGHT = 844
ACTION_MS = 20_000
SCREENSHOTS = Path(__file__).parents[2] / ".artifacts" / "screenshots"
BAD_ROWS = (
    "Experiment Name,Learning Rate,Momentum,Loss,Optimizer\n"
    'Old One,0.1,0.9,"{""Step"": [0, 1, 2], ""Value"": [2.3, 0.9, 0.4]}",sgd\n'
    'Old Two,fast,0.9,"{""Step"": [0, 1], ""Value"": [2.3, 1.1]}",sgd\n'
    'Old Three,0.01,0.5,"{""Step"": [0, 1, 2], ""Value"": [2.2, 1.4, 0.9]}",adam\n'
    'Old Four,slow,0.5,"{""Step"": [0, 1], ""Value"": [2.3, 1.1]}",adam\n'
)


@dataclass(frozen=True)
class Site:
    """A running UI and the fake API behind it; `restart_ui` puts another UI process in the place of the first."""

    url: str
    api: FakeApi
    restart_ui: Callable[[], None]
    training: Path
    """The file in which the UI finds what is being trained."""
    api_url: str


def refreshes(site: Site) -> int:
    """How often the page has asked for the deployments."""
    return site.api.calls.count("GET /v1/deployments")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium; without one the tests fail, because then the pages were not seen.

    Of one module only: as long as Playwright lives, no other event loop can run in this thread.
    """
    with browsers.running() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What the pages of a module share: the cache, without which each would load and compile Gradio's scripts anew."""
    context = browser.new_context()
    yield context
    context.close()


class Pages:
    """Opens pages, which must ask no other machine and end without an error of their scripts; `wrong` says who did."""

    def __init__(self, context: BrowserContext) -> None:
        self.wrong: list[str] = []
        self.opened: list[Page] = []
        self._context = context

    def open(self, width: int) -> Page:
        """A blank page of a width."""
        page = self._context.new_page()
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.set_default_timeout(ACTION_MS)
        page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        page.on("dialog", self._dismiss)
        page.on("request", self._check)
        self.opened.append(page)
        return page

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()
        self._context.clear_cookies()

    def _dismiss(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _check(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.wrong.append(f"asked {request.url}")


@pytest.fixture
def open_page(context: BrowserContext) -> Iterator[Callable[[int], Page]]:
    """Open a blank page of a width, for one test."""
    pages = Pages(context)
    yield pages.open
    pages.close()
    assert pages.wrong == []


@pytest.fixture(scope="class")
def pages_of_class(context: BrowserContext) -> Iterator[Pages]:
    """Pages that tests of a class share."""
    pages = Pages(context)
    yield pages
    pages.close()


@pytest.fixture
def page(site: Site, pages_of_class: Pages) -> Iterator[Page]:
    """The wide page of the test's class, loaded once, because that takes longer than most of what is tested on it.

    A test takes it as others of its class left it, and leaves it so that others can go on.
    """
    if not pages_of_class.opened:
        visits.enter(pages_of_class.open(1280), site.url)
    yield pages_of_class.opened[0]
    assert pages_of_class.wrong == []


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keep a screenshot of the whole page as an artefact of the test run, which git does not see."""

    def keep(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS.parent / ".gitignore").write_text("*\n")
        module = request.module.__name__.rpartition(".")[2].removeprefix("test_")
        width = page.evaluate("window.innerWidth")
        page.screenshot(path=SCREENSHOTS / f"{module}-{name}-{width}.png", full_page=True)

    return keep


@pytest.fixture
def bad_csv(tmp_path: Path) -> Path:
    """A CSV of four rows; those on lines 3 and 5 have a learning rate that is no number."""
    path = tmp_path / "two-bad-rows.csv"
    path.write_text(BAD_ROWS)
    return path


@pytest.fixture(scope="session")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The UI in front of a fake API, refreshed often so that no test waits long; one for all tests."""
    fake = FakeApi()
    api = Server(fake.app).start()
    training = tmp_path_factory.mktemp("run") / "training"
    settings = Settings(api_url=api.url, public_api_url=api.url, refresh_seconds=0.5, training_file=training)
    port = free_port()
    running = [Server(create_app(settings), port).start()]

    def restart() -> None:
        running.pop().stop()
        running.append(Server(create_app(settings), port).start())

    yield Site(f"http://127.0.0.1:{port}/", fake, restart, training, api.url)
    running.pop().stop()
    api.stop()


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The UI in front of a fake API in its first state, which answers nothing that the real one would not."""
    running_site.api.reset()
    running_site.training.unlink(missing_ok=True)
    yield running_site
    assert running_site.api.wrong == []


@pytest.fixture(scope="session")
def running_closed() -> Iterator[Closed]:
    """The UI before an API that wants a token; one for all tests."""
    yield from serve(FakeApi())


@pytest.fixture
def closed(running_closed: Closed) -> Iterator[Closed]:
    """The same with a token of each role, and an API in its first state."""
    running_closed.api.reset()
    running_closed.api.tokens = {token(role): me(role) for role in ROLES}
    yield running_closed
    assert running_closed.api.wrong == []
