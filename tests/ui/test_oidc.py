"""Logins at an OpenID provider: what is sent to it, what it may answer, and a real one in a real browser."""

import base64
import gzip
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from playwright.sync_api import Browser, BrowserContext, Page, expect

from model_ui import oidc
from model_ui.oidc import Attempt, OidcError, OidcLogin, ProviderAway
from model_ui.settings import Settings
from tests.asgi import Server
from tests.oidc_provider import running_provider
from tests.ports import free_port
from tests.ui import visits
from tests.ui.apps import create_app
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import me, token

ISSUER = "https://login.example/realm"
PUBLIC = "https://marina.example/ui"


@dataclass
class Provider:
    """A provider in memory; `published` and `answer` may be changed, `asked` holds the requests for tokens."""

    published: dict[str, Any] = field(
        default_factory=lambda: {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
        }
    )
    answer: httpx.Response = field(default_factory=lambda: httpx.Response(200, json={"id_token": "a.b.c"}))
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) == f"{ISSUER}/.well-known/openid-configuration":
            return httpx.Response(200, json=self.published)
        assert str(request.url) == f"{ISSUER}/token"
        self.asked.append(request)
        return self.answer


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    return path


@pytest.fixture
def settings(secret_file: Path) -> Settings:
    return Settings(
        public_url=PUBLIC, oidc_issuer=ISSUER, oidc_client_id="marina", oidc_client_secret_file=secret_file
    )


@pytest.fixture
def login(settings: Settings, provider: Provider) -> OidcLogin:
    return OidcLogin(settings, transport=httpx.MockTransport(provider))


def begin(login: OidcLogin, address: str = "/?a=1") -> tuple[dict[str, str], str]:
    """The query of the provider's address, and the sealed attempt."""
    location, sealed = anyio.run(login.begin, address)
    assert location.startswith(f"{ISSUER}/authorize?")
    return {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}, sealed


def finish(login: OidcLogin, query: str, sealed: str) -> tuple[str, Attempt]:
    return anyio.run(login.finish, query, sealed)


def id_token(nonce: object) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"nonce": nonce}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


class TestTheFlow:
    def test_a_code_is_asked_for_and_redeemed_with_a_proof_and_a_nonce(
        self, login: OidcLogin, provider: Provider
    ) -> None:
        query, sealed = begin(login)
        assert query["response_type"] == "code"
        assert query["scope"] == "openid profile email"
        assert query["redirect_uri"] == f"{PUBLIC}/login/callback"
        assert query["code_challenge_method"] == "S256"
        provider.answer = httpx.Response(200, json={"id_token": id_token(query["nonce"])})
        got, attempt = finish(login, f"code=c0de&state={query['state']}", sealed)
        assert attempt.next_address == "/?a=1"
        assert login.belongs(got, attempt)
        assert not login.belongs(id_token("another"), attempt)
        (asked,) = provider.asked
        form = {key: values[0] for key, values in parse_qs(asked.content.decode()).items()}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == query["code_challenge"]
        assert (form["code"], form["grant_type"]) == ("c0de", "authorization_code")
        assert form["redirect_uri"] == query["redirect_uri"]
        basic = base64.b64encode(b"marina:s3cret").decode()
        assert asked.headers["authorization"] == f"Basic {basic}"

    def test_each_login_has_secrets_of_its_own_that_the_cookie_does_not_show(self, login: OidcLogin) -> None:
        first, sealed = begin(login)
        second, _ = begin(login)
        for name in ("state", "nonce", "code_challenge"):
            assert first[name] != second[name]
        content = base64.urlsafe_b64decode(sealed)
        assert first["state"].encode() not in content

    def test_another_replica_takes_the_browser_back(
        self, login: OidcLogin, settings: Settings, provider: Provider
    ) -> None:
        query, sealed = begin(login)
        other = OidcLogin(settings, transport=httpx.MockTransport(provider))
        assert finish(other, f"code=c&state={query['state']}", sealed)[0] == "a.b.c"

    def test_a_public_client_names_itself(self, settings: Settings, provider: Provider) -> None:
        public = settings.model_copy(update={"oidc_client_secret_file": None})
        login = OidcLogin(public, transport=httpx.MockTransport(provider))
        query, sealed = begin(login)
        finish(login, f"code=c&state={query['state']}", sealed)
        assert b"client_id=marina" in provider.asked[0].content
        assert "authorization" not in provider.asked[0].headers


class TestWhatIsRejected:
    @pytest.mark.parametrize(
        "query",
        [
            "code=c", "code=c&state=", "code=c&state=another", "state={state}", "error=access_denied&state={state}",
            "", "code=c&state={state}&iss=https://evil.example",
        ],
    )  # fmt: skip
    def test_an_answer_that_does_not_belong_to_the_login(
        self, login: OidcLogin, provider: Provider, query: str
    ) -> None:
        asked, sealed = begin(login)
        with pytest.raises(OidcError):
            finish(login, query.format(state=asked["state"]), sealed)
        assert provider.asked == []

    def test_a_browser_that_began_no_login(self, login: OidcLogin, provider: Provider) -> None:
        query, sealed = begin(login)
        for other in ("", "x", sealed[:-4] + "AAAA", sealed[::-1]):
            with pytest.raises(OidcError, match="another browser"):
                finish(login, f"code=c&state={query['state']}", other)
        assert provider.asked == []

    def test_a_login_of_long_ago(self, login: OidcLogin, monkeypatch: pytest.MonkeyPatch) -> None:
        query, sealed = begin(login)
        later = time.time() + oidc.LIFETIME_SECONDS + 1
        monkeypatch.setattr("time.time", lambda: later)
        with pytest.raises(OidcError, match="has ended"):
            finish(login, f"code=c&state={query['state']}", sealed)

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(400, json={"error": "invalid_grant"}),
            httpx.Response(200, json={"access_token": "a"}),
            httpx.Response(200, json={"id_token": 1}),
            httpx.Response(200, content=b"<html>"),
            httpx.Response(200, json=[]),
            httpx.Response(500, json={"id_token": "a.b.c"}),
            httpx.Response(302, headers={"location": "https://evil.example/"}, json={"id_token": "a.b.c"}),
            httpx.Response(200, content=b'{"id_token": "' + b"x" * 70_000 + b'"}'),
            httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(bytes(10**7))),
        ],
        ids=[
            "invalid grant",
            "no id token",
            "no text",
            "no JSON",
            "no object",
            "500",
            "redirect",
            "too long",
            "compressed",
        ],
    )
    def test_an_answer_without_an_id_token(
        self, login: OidcLogin, provider: Provider, answer: httpx.Response
    ) -> None:
        query, sealed = begin(login)
        provider.answer = answer
        with pytest.raises(OidcError):
            finish(login, f"code=c&state={query['state']}", sealed)

    @pytest.mark.parametrize(
        "changes",
        [
            {"issuer": "https://evil.example"},
            {"issuer": f"{ISSUER}/"},
            {"token_endpoint": "http://login.example/token"},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"token_endpoint": None},
        ],
        ids=str,
    )
    def test_a_provider_that_is_not_the_one_of_the_settings(
        self, login: OidcLogin, provider: Provider, changes: dict[str, Any]
    ) -> None:
        provider.published |= changes
        with pytest.raises(ProviderAway):
            begin(login)

    def test_an_id_token_without_a_nonce(self, login: OidcLogin) -> None:
        attempt = Attempt("s", "n", "v", "/")
        for one in ("", "a", "a.b.c", "a.!.c", id_token(None), id_token(1), id_token([])):
            assert not login.belongs(one, attempt)

    @pytest.mark.parametrize(
        "changes",
        [
            {"oidc_client_id": ""},
            {"public_url": ""},
            {"oidc_issuer": "http://login.example"},
            {"oidc_client_secret_file": Path("/nowhere")},
        ],
        ids=str,
    )
    def test_settings_that_cannot_work(self, settings: Settings, changes: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="UI_OIDC"):
            Settings(**{**settings.model_dump(), **changes})


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


@pytest.mark.browser
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
