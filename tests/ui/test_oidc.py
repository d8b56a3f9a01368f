"""Logins at an OpenID provider: what is sent to it, and what it may answer."""

import base64
import gzip
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest

from model_ui import oidc
from model_ui.oidc import Attempt, OidcError, OidcLogin, ProviderAway
from model_ui.settings import Settings

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
