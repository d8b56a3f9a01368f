"""A running UI before an API that wants a token, and the steps of its visitors; for the tests of logins and roles."""

from collections.abc import Iterator
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from model_ui.settings import Settings
from tests.asgi import Server
from tests.ports import free_port
from tests.ui.apps import create_app
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import token

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
    """A UI of its own, which is stopped at the end."""
    port = free_port()
    with Server(fake.app) as api:
        settings = Settings(api_url=api.url, port=port, refresh_seconds=0.5)
        with Server(create_app(settings), port):
            yield Closed(f"http://127.0.0.1:{port}/", fake)


def see_login(page: Page) -> None:
    """The page is the login, without anything of Gradio."""
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert page.locator(".gradio-container, gradio-app").count() == 0


def log_in(page: Page, closed: Closed, role: str, address: str) -> None:
    """Open a page by a link with a token."""
    page.goto(f"{closed.url}{address}?token={token(role)}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
