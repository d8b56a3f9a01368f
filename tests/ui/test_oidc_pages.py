"""Logins at a real OpenID provider in a real browser."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from playwright.sync_api import Browser, BrowserContext, Page, expect

from model_ui.settings import Settings
from tests.asgi import Server
from tests.oidc_provider import running_provider
from tests.ports import free_port
from tests.ui import visits
from tests.ui.apps import create_app
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import me, token

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Place:
    """A UI whose visitors may log in at a provider, and the API that takes the provider's id tokens."""

    url: str
    api: FakeApi
    issuer: str


class TakesIdTokens(FakeApi):
    """A fake API that verifies id tokens as the real one does: signature, issuer, audience, expiry; role by a claim."""

    issuer = ""
    # So many seconds ahead of the provider is its clock.
    ahead = 0

    def _caller(self, request: Any) -> dict[str, Any] | None:
        presented = request.headers.get("authorization", "").removeprefix("Bearer ")
        if presented.startswith("mrn_") or not presented:
            return super()._caller(request)
        keys = KeySet.import_key_set(httpx.get(f"{self.issuer}/jwks").json())
        try:
            claims = jwt.decode(presented, keys, algorithms=["RS256"]).claims
            jwt.JWTClaimsRegistry(
                now=int(time.time()) + self.ahead,
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": "marina"},
                exp={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError):
            return None
        return me(claims.get("role", "viewer"), subject=claims["sub"], kind="oidc")


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A provider with two users whose role is a claim; its tokens last an hour."""
    users = ({"sub": "ada", "role": "deployer"}, {"sub": "bob", "role": "viewer"})
    with running_provider(tmp_path_factory.mktemp("provider") / "log", *users) as address:
        yield address


@pytest.fixture(scope="module")
def running(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    fake, port = TakesIdTokens(), free_port()
    fake.issuer = issuer
    secret = tmp_path_factory.mktemp("client") / "secret"
    secret.write_text("any")
    url = f"http://127.0.0.1:{port}"
    with Server(fake.app) as api:
        settings = Settings(
            api_url=api.url, port=port, refresh_seconds=0.5, public_url=url, oidc_issuer=issuer,
            oidc_client_id="marina", oidc_client_secret_file=secret,
        )  # fmt: skip
        with Server(create_app(settings), port):
            yield Place(f"{url}/", fake, issuer)


@pytest.fixture
def place(running: Place) -> Place:
    running.api.reset()
    running.api.tokens = {token("admin"): me("admin")}
    return running


@pytest.fixture
def tabs(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one person; the provider's style sheet of another machine is not fetched."""
    context = browser.new_context(viewport={"width": 1280, "height": 844})
    context.set_default_timeout(20_000)
    context.route(lambda url: "127.0.0.1" not in url and "localhost" not in url, lambda route: route.abort())
    yield context
    context.close()


def log_in(page: Page, url: str, user: str) -> None:
    """From the login page to the provider, and back."""
    page.goto(url)
    page.get_by_role("link", name="Log in with your account").click()
    page.get_by_role("button", name=user, exact=True).click()


class TestARealProvider:
    def test_an_account_opens_the_page_with_the_role_of_its_claim(
        self, place: Place, tabs: BrowserContext, screenshot: Callable[[Page, str], None]
    ) -> None:
        page = tabs.new_page()
        page.goto(f"{place.url}?a=1")
        expect(page.get_by_label("Token")).to_be_visible()
        screenshot(page, "login")
        log_in(page, f"{place.url}?a=1", "ada")
        page.locator("#asking canvas").wait_for()
        assert page.url == f"{place.url}?a=1"
        expect(page.locator(".s-who")).to_contain_text("ada")
        expect(page.locator(".s-who .m-chip")).to_have_text("deployer")
        visits.draw(page)
        visits.see_answers(page, set(place.api.deployments))
        (cookie,) = tabs.cookies(place.url)
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        presented = {one for call, one in place.api.presented if call != "GET /v1/me"}
        assert presented == {f"Bearer {cookie['value']}"}

    def test_another_account_has_another_role_and_a_logout(self, place: Place, tabs: BrowserContext) -> None:
        page = tabs.new_page()
        log_in(page, place.url, "bob")
        page.get_by_text("Asking models needs the role annotator; you have viewer.").wait_for()
        visits.log_out(page)
        expect(page.get_by_role("link", name="Log in with your account")).to_be_visible()
        assert tabs.cookies(place.url) == []

    def test_a_replayed_answer_of_the_provider_lets_nobody_in(
        self, place: Place, tabs: BrowserContext, browser: Browser
    ) -> None:
        page = tabs.new_page()
        with page.expect_request("**/login/callback?*") as callback:
            log_in(page, place.url, "ada")
        page.locator("#asking canvas").wait_for()
        tabs.clear_cookies()
        other = browser.new_context()
        for again in (page, other.new_page()):
            again.goto(callback.value.url)
            expect(again.get_by_role("alert")).to_contain_text("begun in another browser")
        assert tabs.cookies(place.url) == other.cookies(place.url) == []
        other.close()

    def test_who_denies_the_provider_is_not_logged_in(self, place: Place, tabs: BrowserContext) -> None:
        page = tabs.new_page()
        page.goto(place.url)
        page.get_by_role("link", name="Log in with your account").click()
        page.get_by_role("button", name="Deny").click()
        expect(page.get_by_role("alert")).to_contain_text("The provider did not log you in.")
        assert tabs.cookies(place.url) == []

    def test_a_token_that_the_api_does_not_take_lets_nobody_in(
        self, place: Place, tabs: BrowserContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(place.api, "issuer", "http://localhost:1")
        monkeypatch.setattr(TakesIdTokens, "_caller", FakeApi._caller)
        page = tabs.new_page()
        log_in(page, place.url, "ada")
        expect(page.get_by_role("alert")).to_contain_text("This credential is unknown")
        assert tabs.cookies(place.url) == []

    def test_an_expired_token_leads_to_the_login(
        self, place: Place, tabs: BrowserContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = tabs.new_page()
        log_in(page, place.url, "ada")
        page.locator("#asking canvas").wait_for()
        monkeypatch.setattr(place.api, "ahead", 3700)
        page.locator(".m-offline").get_by_role("link", name="Log in again").click()
        expect(page.get_by_role("alert")).to_contain_text("expired or was revoked")
        monkeypatch.undo()
        page.get_by_role("link", name="Log in with your account").click()
        page.get_by_role("button", name="ada", exact=True).click()
        page.locator("#asking canvas").wait_for()

    def test_a_token_of_the_api_still_works(self, place: Place, tabs: BrowserContext) -> None:
        page = tabs.new_page()
        page.goto(place.url)
        page.get_by_label("Token").fill(token("admin"))
        page.get_by_role("button", name="Log in").click()
        page.locator(".s-who").wait_for()
        expect(page.locator(".s-who .m-chip")).to_have_text("admin")
