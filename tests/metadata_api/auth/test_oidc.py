"""Tokens of an OIDC provider: whom they are taken for, and every wrong one that is rejected."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from metadata_api.app import create_app
from metadata_api.auth.issuer_keys import IssuerKeys
from metadata_api.auth.oidc import Oidc
from metadata_api.auth.principal import Principal
from metadata_api.errors import Forbidden, Unauthenticated
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from serving_runtime.contracts import Role
from tests.metadata_api.auth.conftest import client_of
from tests.metadata_api.auth.identity_provider import AUDIENCE, IdentityProvider, Key, by_hand
from tests.metadata_api.servers import running

KEY, EC_KEY, FOREIGN = Key("k1"), Key("k2", "ES256"), Key("k1")
ROLES = {"ml-admins": Role.ADMIN, "ml-team": Role.DEPLOYER, "everybody": Role.VIEWER}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider(KEY, EC_KEY) as provider:
        yield provider


def auth(provider: IdentityProvider, **more: Any) -> Auth:
    given = {"oidc_issuer": provider.issuer, "oidc_audience": (AUDIENCE,), "oidc_roles": ROLES, **more}
    return Auth(**{"mode": "off", **given})


def caller(provider: IdentityProvider, token: str, **more: Any) -> Principal | None:
    settings = auth(provider, **more)
    return asyncio.run(Oidc(settings, IssuerKeys(provider.issuer)).principal(token))


def subject(provider: IdentityProvider, subject_claim: str = "", **claims: Any) -> str:
    found = caller(provider, provider.token(**claims), oidc_subject_claim=subject_claim)
    assert found
    return found.subject


def role(provider: IdentityProvider, settings: dict[str, Any], **claims: Any) -> Role:
    found = caller(provider, provider.token(**claims), **settings)
    assert found
    return found.role


@pytest.mark.parametrize("key", [KEY, EC_KEY], ids=["RS256", "ES256"])
def test_a_good_token_says_who_and_what_and_until_when(provider: IdentityProvider, key: Key) -> None:
    end = int(time.time()) + 300
    assert caller(provider, provider.token(key=key, exp=end)) == Principal(
        "oidc:ann@example.com", Role.DEPLOYER, "oidc", expires_at=datetime.fromtimestamp(end, UTC)
    )


def test_access_tokens_one_of_many_audiences_and_clocks_that_differ_are_taken(
    provider: IdentityProvider,
) -> None:
    now = time.time()
    for token in (
        provider.token(header={"typ": "at+jwt"}),
        provider.token(header={"typ": "application/AT+JWT"}),
        provider.token(aud=["another", AUDIENCE]),
        provider.token(exp=now - 40),
        provider.token(nbf=now + 40, iat=now + 40),
        provider.token(iat=None),
    ):
        assert caller(provider, token)
    endless = caller(provider, provider.token(exp=10**30))
    assert endless
    assert endless.expires_at == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


Make = Callable[[IdentityProvider], str]
WRONG: dict[str, tuple[Make, str]] = {
    "another audience": (lambda p: p.token(aud="another"), "another audience"),
    "no audience": (lambda p: p.token(aud=None), "aud"),
    "an audience of the wrong kind": (lambda p: p.token(aud={"a": AUDIENCE}), "audience"),
    "expired": (lambda p: p.token(exp=time.time() - 90), "expired"),
    "no end": (lambda p: p.token(exp=None), "exp"),
    "an end that is no number": (lambda p: p.token(exp="soon"), "[eE]xp"),
    "not valid yet": (lambda p: p.token(nbf=time.time() + 90), "nbf"),
    "issued in the future": (lambda p: p.token(iat=time.time() + 90), "iat"),
    "no subject": (lambda p: p.token(sub=None), "sub"),
    "a subject that is no text": (lambda p: p.token(sub=["a"]), "[sS]ub"),
    "the signature of another's key with the same id": (lambda p: p.token(key=FOREIGN), "[sS]ignature"),
    "another's claims under its signature": (lambda p: spliced(p), "[sS]ignature"),
    "no signature": (lambda p: p.token().rpartition(".")[0] + ".", "[sS]ignature"),
    "algorithm none": (lambda p: by_hand({"alg": "none", "kid": "k1"}, p.claims(), None), "RS256 and ES256"),
    "algorithm nOnE": (lambda p: by_hand({"alg": "nOnE", "kid": "k1"}, p.claims(), None), "RS256 and ES256"),
    "no algorithm": (lambda p: by_hand({"kid": "k1"}, p.claims(), None), "RS256 and ES256"),
    "HS256 with the public key as the secret": (
        lambda p: by_hand({"alg": "HS256", "kid": "k1"}, p.claims(), KEY.pem()),
        "RS256 and ES256",
    ),
    "HS256 with the public key as it is published": (
        lambda p: by_hand({"alg": "HS256", "kid": "k1"}, p.claims(), json.dumps(KEY.public()).encode()),
        "RS256 and ES256",
    ),
    "RS256 that is HMAC": (
        lambda p: by_hand({"alg": "RS256", "kid": "k1"}, p.claims(), KEY.pem()),
        "[sS]ignature",
    ),
    "the algorithm of another type of key": (
        lambda p: by_hand({"alg": "ES256", "kid": "k1"}, p.claims(), KEY.pem()),
        "no key 'k1' for ES256",
    ),
    "an unknown key": (lambda p: p.token(header={"kid": "k9"}), "no key 'k9'"),
    "a key that is no text": (
        lambda p: by_hand({"alg": "RS256", "kid": ["k1"]}, p.claims(), None),
        "kid",
    ),
    "a logout token": (lambda p: p.token(header={"typ": "logout+jwt"}), "typ"),
    "a type that is no text": (
        lambda p: by_hand({"alg": "RS256", "kid": "k1", "typ": 1}, p.claims(), None),
        "typ",
    ),
    "a header that must be understood": (
        lambda p: p.token(header={"crit": ["https://example.com/x"], "https://example.com/x": 1}),
        "crit",
    ),
}


def spliced(provider: IdentityProvider) -> str:
    mine, other = provider.token().split("."), provider.token(groups=["ml-admins"]).split(".")
    return f"{mine[0]}.{other[1]}.{mine[2]}"


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_token_is_rejected_with_the_reason(provider: IdentityProvider, what: str) -> None:
    make, reason = WRONG[what]
    with pytest.raises(Unauthenticated, match=reason):
        caller(provider, make(provider))


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p.token(iss="https://login.example.com"),
        lambda p: p.token(iss=p.issuer + "/"),
        lambda p: p.token(iss=[p.issuer]),
        lambda p: p.token(iss=None),
        lambda p: p.token(more="x" * 16 * 1024),
        lambda p: p.token() + ".x",
        lambda p: p.token().replace(".", "!"),
        lambda p: by_hand(b"[" * 8000, p.claims(), None),
        lambda p: by_hand(b'{"alg": "RS256", "kid": "k1", "x": ' + b"[" * 8000, p.claims(), None),
        lambda _: by_hand({"alg": "RS256", "kid": "k1"}, b"[]", None),
        lambda _: by_hand({"alg": "RS256", "kid": "k1"}, b"\xff\xfe", None),
        lambda _: "a.b.c",
        lambda _: "",
    ],
    ids=[
        "another issuer", "almost ours", "a list", "no issuer", "huge", "four parts", "other characters",
        "a deep header", "a deep value", "claims that are a list", "no text", "no JSON", "empty",
    ],
)  # fmt: skip
def test_what_is_no_token_of_this_issuer_is_left_to_others_and_asks_nobody(
    provider: IdentityProvider, make: Make
) -> None:
    calls = len(provider.calls)
    assert caller(provider, make(provider)) is None
    assert len(provider.calls) == calls


def test_a_flood_of_forged_tokens_asks_the_provider_once(provider: IdentityProvider) -> None:
    verifier = Oidc(auth(provider), IssuerKeys(provider.issuer))
    wrongly_signed = provider.token(key=FOREIGN)

    async def flood() -> list[object]:
        tokens = [provider.token(key=FOREIGN, header={"kid": f"unknown-{number}"}) for number in range(50)]
        await verifier.principal(provider.token())
        tried = (verifier.principal(token) for token in (*tokens, *tokens, *[wrongly_signed] * 200))
        return list(await asyncio.gather(*tried, return_exceptions=True))

    provider.calls.clear()
    assert {type(one) for one in asyncio.run(flood())} == {Unauthenticated}
    assert len(provider.calls) == 2, "its discovery document and its keys"


@pytest.mark.parametrize("header", ["jku", "x5u", "jwk"])
def test_no_token_brings_its_own_key(provider: IdentityProvider, header: str) -> None:
    with IdentityProvider(FOREIGN) as elsewhere:
        value = FOREIGN.public() if header == "jwk" else f"{elsewhere.issuer}/keys"
        for kid in ("k1", "k9"):
            with pytest.raises(Unauthenticated):
                caller(provider, provider.token(key=FOREIGN, header={header: value, "kid": kid}))
        assert caller(provider, provider.token(header={header: value})), "it is ignored, not forbidden"
        assert elsewhere.calls == []


class TestSubject:
    def test_is_the_verified_address_or_else_the_number_at_the_provider(
        self, provider: IdentityProvider
    ) -> None:
        assert subject(provider) == "oidc:ann@example.com"
        for claims in (
            {"email": None},
            {"email_verified": False},
            {"email_verified": None},
            {"email_verified": "true"},
            {"email": ""},
            {"email": ["ann@example.com"]},
            {"email": "ann@example.com\u202e"},
            {"email": "a" * 201},
        ):
            assert subject(provider, **claims) == "oidc:sub:u-1", claims

    def test_is_never_that_of_another_caller(self, provider: IdentityProvider) -> None:
        names = [
            subject(provider),
            subject(provider, email="admin"),
            subject(provider, email="sub:admin"),
            subject(provider, email=None, sub="admin"),
            subject(provider, email=None, sub="ann@example.com"),
            subject(provider, "preferred_username", preferred_username="admin"),
            subject(provider, "preferred_username", preferred_username="ann@example.com"),
            subject(provider, "preferred_username", preferred_username="system:serviceaccount:a:b"),
        ]
        assert len(set(names)) == len(names)
        assert all(name.startswith("oidc:") for name in names)

    def test_is_the_claim_that_was_chosen_and_no_other(self, provider: IdentityProvider) -> None:
        assert subject(provider, "name", name="Ann") == "oidc:name:Ann"
        assert subject(provider, "email") == "oidc:ann@example.com"
        for claim, claims in (("name", {}), ("name", {"name": "a\nb"}), ("email", {"email_verified": False})):
            with pytest.raises(Unauthenticated, match=claim):
                subject(provider, claim, **claims)
        with pytest.raises(Unauthenticated, match="sub"):
            subject(provider, email=None, sub="a\nb")

    def test_is_no_name_that_an_api_token_can_have(self, admin: httpx.Client) -> None:
        for name in ("oidc:ann@example.com", "system:serviceaccount:a:b"):
            assert admin.post("/v1/tokens", json={"name": name, "role": "viewer"}).status_code == 422


class TestRole:
    def test_is_the_highest_that_the_claim_gives(self, provider: IdentityProvider) -> None:
        for groups, expected in (
            (["everybody", "ml-admins", "ml-team"], Role.ADMIN),
            (["unknown", "everybody", 1, None, ["ml-admins"]], Role.VIEWER),
            ("ml-team", Role.DEPLOYER),
        ):
            assert role(provider, {}, groups=groups) is expected

    def test_is_looked_for_by_a_path_or_by_a_name_with_dots(self, provider: IdentityProvider) -> None:
        path = {"oidc_role_claim": "realm_access.roles"}
        assert role(provider, path, realm_access={"roles": ["ml-admins"]}) is Role.ADMIN
        named = {"oidc_role_claim": "https://example.com/roles"}
        assert role(provider, named, **{"https://example.com/roles": ["ml-admins"]}) is Role.ADMIN

    def test_may_have_a_default(self, provider: IdentityProvider) -> None:
        for groups in (None, [], ["unknown"]):
            assert role(provider, {"oidc_default_role": "viewer"}, groups=groups) is Role.VIEWER
        assert role(provider, {"oidc_default_role": "viewer"}) is Role.DEPLOYER

    @pytest.mark.parametrize("groups", [None, [], {}, "", 1, ["unknown"], ["ML-ADMINS"], [["ml-admins"]]])
    def test_without_one_there_is_no_access(self, provider: IdentityProvider, groups: object) -> None:
        with pytest.raises(Forbidden, match="claim groups has no value"):
            role(provider, {}, groups=groups)
        with pytest.raises(Forbidden, match=r"claim groups\.a has no value"):
            role(provider, {"oidc_role_claim": "groups.a"}, groups=groups)


@pytest.fixture(scope="module")
def address(provider: IdentityProvider, closed_settings: Settings) -> Iterator[str]:
    with running(create_app(with_provider(closed_settings, provider))) as address:
        yield address


def with_provider(settings: Settings, provider: IdentityProvider) -> Settings:
    more = auth(provider).model_dump(include={"oidc_issuer", "oidc_audience", "oidc_roles"})
    return settings.model_copy(update={"auth": settings.auth.model_copy(update=more)})


class TestApplication:
    """The whole API with a provider."""

    def test_takes_its_tokens_beside_its_own_and_writes_down_who_it_was(
        self, address: str, provider: IdentityProvider, admin: httpx.Client
    ) -> None:
        with client_of(address, provider.token()) as client:
            me = client.get("/v1/me").json()
            assert (me["subject"], me["role"], me["kind"]) == ("oidc:ann@example.com", "deployer", "oidc")
            assert me["expires_at"]
            assert me["verified_by"]
            refused = client.post("/v1/experiments", json={"name": "new"})
            assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
            assert client.get("/v2/models/nothing").status_code == 404
        with client_of(address, provider.token(groups=["ml-admins"], email="eve@example.com")) as client:
            assert client.get("/v1/me").json()["verified_by"] == me["verified_by"]
            assert client.post("/v1/experiments", json={"name": "new"}).status_code == 201
        entry = admin.get("/v1/audit").json()["items"][0]
        assert (entry["subject"], entry["kind"], entry["token_id"]) == ("oidc:eve@example.com", "oidc", None)

    def test_rejects_what_proves_nothing_and_says_what_it_takes(
        self, address: str, provider: IdentityProvider, admin: httpx.Client
    ) -> None:
        for what, (make, _) in WRONG.items():
            with client_of(address, make(provider)) as client:
                response = client.get("/v1/me")
            assert (response.status_code, response.json()["error"]) == (401, "unauthenticated"), what
            assert response.headers["www-authenticate"].startswith("Bearer")
        for foreign in (provider.token(iss="https://login.example.com"), provider.token(more="x" * 12000)):
            with client_of(address, foreign) as client:
                assert client.get("/v1/me").status_code == 401
        with client_of(address, provider.token(iss="https://login.example.com")) as client:
            assert f"id tokens of {provider.issuer}" in client.get("/v1/me").json()["detail"]
        with client_of(address, provider.token(groups=None)) as client:
            response = client.get("/v1/me")
            assert response.status_code == 403
            assert "claim groups" in response.json()["detail"]
            assert "retry-after" not in response.headers

    def test_says_503_as_long_as_the_provider_is_not_there(self, closed_settings: Settings) -> None:
        with IdentityProvider(KEY) as gone:
            token = gone.token()
        with (
            running(create_app(with_provider(closed_settings, gone))) as address,
            client_of(address, token) as client,
        ):
            response = client.get("/v1/me")
        assert (response.status_code, response.json()["error"]) == (503, "unavailable")
        assert response.headers["retry-after"] == "1"


class TestSettings:
    ISSUER = "https://login.example.com/realms/a"

    def test_come_from_the_environment(
        self, closed_settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = {
            "MODE": "off",
            "OIDC_ISSUER": self.ISSUER,
            "OIDC_AUDIENCE": "marina, marina-ui",
            "OIDC_ROLES": "ml-admins=admin, ml-team=deployer,a=b=viewer",
            "OIDC_DEFAULT_ROLE": "",
            "OIDC_CA_FILE": "",
        }
        for name, value in given.items():
            monkeypatch.setenv(f"METADATA_API_AUTH_{name}", value)
        fields = closed_settings.model_dump(include={"database_url", "store_dir", "serving_models_file"})
        found = Settings(**fields).auth
        assert found.oidc_audience == ("marina", "marina-ui")
        assert found.oidc_roles == {"ml-admins": "admin", "ml-team": "deployer", "a=b": "viewer"}
        assert (found.oidc_default_role, found.oidc_ca_file) == (None, None)
        assert (found.oidc_role_claim, found.oidc_subject_claim) == ("groups", "")
        monkeypatch.setenv("METADATA_API_AUTH_OIDC_ROLES", '{"CN=ml,OU=groups": "admin"}')
        assert Settings(**fields).auth.oidc_roles == {"CN=ml,OU=groups": Role.ADMIN}

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"oidc_issuer": "http://login.example.com"}, "https"),
            ({"oidc_issuer": "http://127.0.0.1.example.com"}, "https"),
            ({"oidc_issuer": "ftp://login.example.com"}, "https"),
            ({"oidc_issuer": "login.example.com"}, "https"),
            ({"oidc_issuer": "https://a@login.example.com"}, "https"),
            ({"oidc_issuer": "https://login.example.com?a=b"}, "https"),
            ({"oidc_issuer": "https://login.example.com:port"}, "https"),
            ({"oidc_audience": ""}, "OIDC_AUDIENCE"),
            ({"oidc_roles": {}}, "OIDC_ROLES"),
            ({"oidc_roles": "ml-team"}, "NAME=ROLE"),
            ({"oidc_roles": "=admin"}, "NAME=ROLE"),
            ({"oidc_roles": "ml-team=root"}, "root"),
            ({"oidc_default_role": "root"}, "root"),
            ({"oidc_ca_file": "/nowhere/ca.crt"}, "nowhere|path"),
            ({"service_accounts": "ml=admin"}, "pattern"),
            ({"service_accounts": "a/b/c=admin"}, "pattern"),
        ],
    )
    def test_that_make_no_sense_are_said_at_the_start(self, changed: dict[str, Any], reason: str) -> None:
        good = {
            "mode": "off", "oidc_issuer": self.ISSUER, "oidc_audience": "marina", "oidc_roles": "a=admin",
        }  # fmt: skip
        assert Auth(**good)
        with pytest.raises(ValidationError, match=reason):
            Auth(**{**good, **changed})

    def test_plain_http_is_for_loopback_or_where_it_was_allowed(self) -> None:
        good = {"mode": "off", "oidc_audience": "marina", "oidc_roles": "a=admin"}
        for issuer in ("http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost/realms/a"):
            assert Auth(oidc_issuer=issuer, **good)
        assert Auth(oidc_issuer="http://dex.auth.svc:5556/dex", oidc_allow_http=True, **good)
