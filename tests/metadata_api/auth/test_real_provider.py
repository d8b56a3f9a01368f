"""The id token of a provider that is not ours: logged in at it as a browser does, and taken by the API."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.settings import Settings
from serving_runtime.contracts import Role
from tests.metadata_api.auth.conftest import client_of
from tests.metadata_api.servers import running
from tests.oidc_provider import running_provider

CALLBACK = "http://localhost/callback"


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[str]:
    with running_provider(tmp_path / "log") as address:
        yield address


def id_token(issuer: str, client_id: str) -> str:
    with httpx.Client(base_url=issuer) as http:
        asked = {
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid email",
        }
        logged_in = http.post("/oauth2/authorize", params=asked, data={"sub": "ada"})
        code = httpx.URL(logged_in.headers["location"]).params["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        answer = http.post("/oauth2/token", data={**form, "client_id": client_id, "client_secret": "any"})
        return str(answer.raise_for_status().json()["id_token"])


def test_a_login_at_a_real_provider_is_one_here(
    issuer: str, closed_settings: Settings, engine: Engine
) -> None:
    user = {"groups": ["ml-team"], "email": "ada@example.com", "email_verified": True}
    httpx.put(f"{issuer}/users/ada", json=user).raise_for_status()
    more = {"oidc_issuer": issuer, "oidc_audience": ("marina",), "oidc_roles": {"ml-team": Role.DEPLOYER}}
    settings = closed_settings.model_copy(update={"auth": closed_settings.auth.model_copy(update=more)})
    with running(create_app(settings)) as address:
        with client_of(address, id_token(issuer, "marina")) as client:
            me = client.get("/v1/me").json()
        with client_of(address, id_token(issuer, "another")) as client:
            assert client.get("/v1/me").status_code == 401
    assert (me["subject"], me["role"], me["kind"]) == ("oidc:ada@example.com", "deployer", "oidc")
