"""API tokens: issued once, limited, expiring, revoked; and what reaches the servers of models."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from metadata_api.auth.callers import Callers
from metadata_api.auth.layer import RECHECK_SECONDS
from metadata_api.auth.principal import Principal
from metadata_api.errors import Unavailable
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests.metadata_api.auth.conftest import ADMIN, SERVING, client_of, issue
from tests.metadata_api.making import make_deployment
from tests.metadata_api.servers import running
from tests.waiting import until

JSON = {"Content-Type": "application/json"}


def test_a_token_is_shown_once_and_kept_as_a_hash(admin: httpx.Client, engine: Engine) -> None:
    token = issue(admin, "deployer")
    listed = admin.get("/v1/tokens")
    assert token[17:] not in listed.text
    assert [(one["role"], one["created_by"]) for one in listed.json()["items"]] == [("deployer", "admin")]
    with engine.connect() as connection:
        stored = str(connection.execute(text("select * from api_tokens")).all())
    assert token[17:] not in stored


def test_a_caller_is_told_who_the_api_takes_them_for(closed_address: str, admin: httpx.Client) -> None:
    with client_of(closed_address, issue(admin, "deployer", deployments=["b", "a"])) as client:
        caller = client.get("/v1/me").json()
    assert caller["expires_at"] is not None
    assert (caller["subject"], caller["role"], caller["kind"]) == ("some deployer", "deployer", "token")
    assert caller["deployments"] == ["a", "b"]
    assert caller["verified_by"]
    assert admin.get("/v1/me").json() == {
        "subject": "admin", "role": "admin", "kind": "token", "expires_at": None, "deployments": None,
        "verified_by": caller["verified_by"],
    }  # fmt: skip


def test_what_callers_are_verified_by_is_another_digest_once_a_token_is_revoked(
    closed_address: str, closed_settings: Settings, admin: httpx.Client
) -> None:
    tokens = issue(admin), issue(admin, "deployer", deployments=["a", "b"])

    def digest(token: str, address: str = closed_address) -> str:
        with client_of(address, token) as client:
            return str(client.get("/v1/me").json().get("verified_by"))

    before = digest(tokens[0])
    assert digest(tokens[0]) == digest(tokens[1]) == before
    with running(create_app(closed_settings)) as other:
        until(lambda: digest(tokens[0], other) == before, "another replica gives the same digest", 5)
    assert admin.delete(f"/v1/tokens/{tokens[1][4:16]}").status_code == 204
    after = digest(tokens[0])
    assert after not in (before, "None")
    # Also a token that comes and goes leaves no digest behind that is true of it.
    third = issue(admin)
    assert len({before, after, digest(third)}) == 3
    assert admin.delete(f"/v1/tokens/{third[4:16]}").status_code == 204
    assert digest(tokens[0]) == after


def test_a_revoked_token_is_gone_at_once_here_and_within_five_seconds_at_another_replica(
    closed_address: str, closed_settings: Settings, admin: httpx.Client
) -> None:
    token = issue(admin)
    with running(create_app(closed_settings)) as other, client_of(other, token) as there:
        until(lambda: there.get("/v1/me").status_code == 200, "the other replica knows the token", 5)
        with client_of(closed_address, token) as here:
            assert here.get("/v1/me").status_code == 200
            assert admin.delete(f"/v1/tokens/{token[4:16]}").status_code == 204
            begin = time.monotonic()
            assert here.get("/v1/me").status_code == 401
        until(lambda: there.get("/v1/me").status_code == 401, "the other replica rejects it", 5)
        assert time.monotonic() - begin < 5
    assert admin.delete(f"/v1/tokens/{token[4:16]}").status_code == 204
    assert admin.delete("/v1/tokens/ffffffffffff").status_code == 404


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/v1/experiments", b'{"name": "new"}'),
        ("/v1/experiments/digits/versions", b"an archive"),
        ("/v1/imports", b"Experiment Name,Learning Rate,Momentum,Loss\n"),
        ("/v2/models/digits/infer", b"{}"),
    ],
)
def test_a_token_that_is_revoked_while_its_body_arrives_does_nothing(
    closed_address: str, admin: httpx.Client, engine: Engine, address: str, body: bytes
) -> None:
    make_deployment(engine, "digits")
    until(lambda: admin.get("/v2/models/digits").status_code != 404, "v2 knows the deployment", 5)
    token = issue(admin, "publisher")

    def slowly() -> Iterator[bytes]:
        yield body[:1]
        time.sleep(RECHECK_SECONDS + 0.2)
        assert admin.delete(f"/v1/tokens/{token[4:16]}").status_code == 204
        yield body[1:]

    with client_of(closed_address, token) as client:
        response = client.post(address, content=slowly(), headers=JSON)
    assert response.status_code == 401, response.text
    assert admin.get("/v1/experiments/new").status_code == 404


def test_a_body_that_took_long_counts_when_the_credential_cannot_be_checked_again(
    closed_settings: Settings, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issue(admin, "publisher")
    app = create_app(closed_settings)

    async def away(_: Callers, headers: object) -> Principal:
        raise Unavailable("unavailable", "Nobody answers.")

    def slowly() -> Iterator[bytes]:
        yield b"{"
        time.sleep(RECHECK_SECONDS)
        monkeypatch.setattr(Callers, "of", away)
        time.sleep(0.2)
        yield b'"name": "new"}'

    with running(app) as address, client_of(address, token) as client:
        until(lambda: client.get("/v1/me").status_code == 200, "the token is known", 5)
        assert client.post("/v1/experiments", content=slowly(), headers=JSON).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "role": "viewer"},
        {"name": "a", "role": "root"},
        {"name": "a", "role": "viewer", "deployments": []},
        {"name": "a", "role": "viewer", "deployments": ["../a"]},
        {"name": "a", "role": "viewer", "expires_in_days": 0},
        {"name": "a", "role": "viewer", "more": 1},
    ],
    ids=[
        "no name",
        "another role",
        "no deployment",
        "no name of a deployment",
        "no time",
        "an unknown field",
    ],
)
def test_a_wrong_request_for_a_token_issues_none(admin: httpx.Client, body: dict[str, object]) -> None:
    assert admin.post("/v1/tokens", json=body).status_code == 422
    assert admin.get("/v1/tokens").json()["items"] == []


def test_a_token_that_is_limited_to_deployments_changes_no_other(
    closed_address: str, admin: httpx.Client, engine: Engine
) -> None:
    make_deployment(engine, "mine")
    make_deployment(engine, "other")
    with client_of(closed_address, issue(admin, "publisher", deployments=["mine"])) as client:
        assert client.post("/v1/deployments/mine/stop").status_code == 200
        assert client.get("/v1/deployments").status_code == 200
        rejected = [
            client.post("/v1/deployments/other/stop"),
            client.post("/v1/deployments", json={"name": "new", "experiment": "mine"}),
            client.put("/v1/aliases/a", json={"deployment": "mine"}),
            client.post("/v1/experiments", json={"name": "new"}),
            client.post("/v1/predictions", data={"deployments": "other", "input_sha256": "0" * 64}),
            client.post("/v2/models/other/infer", json={}),
        ]
        assert [one.status_code for one in rejected] == [403] * len(rejected)
        assert client.post("/v2/models/mine/infer", json={}).status_code == 409  # stopped above


def test_a_token_that_is_limited_reaches_no_deployment_that_an_alias_moves_to_while_the_body_arrives(
    closed_address: str, admin: httpx.Client, engine: Engine
) -> None:
    make_deployment(engine, "mine")
    make_deployment(engine, "other")
    admin.put("/v1/aliases/champion", json={"deployment": "mine"}).raise_for_status()

    def body() -> Iterator[bytes]:
        yield b"{"
        time.sleep(0.3)
        admin.put("/v1/aliases/champion", json={"deployment": "other"}).raise_for_status()
        time.sleep(0.3)
        yield b"}"

    with client_of(closed_address, issue(admin, "annotator", deployments=["mine"])) as client:
        response = client.post("/v2/models/champion/infer", content=body())
    assert (response.status_code, response.json()["code"]) == (403, "forbidden"), response.text


def test_the_servers_of_models_get_hashes_within_a_second_and_no_token(
    closed_settings: Settings, admin: httpx.Client
) -> None:
    path = closed_settings.auth.serving_tokens_file
    assert path
    token = issue(admin, "annotator", deployments=["a"])

    def models() -> list[object]:
        return [one["models"] for one in _listed(path)]

    until(lambda: sorted(map(str, models())) == ["None", "None", "['a']"], "the file has the new token", 5)
    content = path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert all(secret[17:] not in content for secret in (token, ADMIN, SERVING))
    admin.delete(f"/v1/tokens/{token[4:16]}")
    until(lambda: len(models()) == 2, "the file is without the revoked token", 5)


def test_a_file_without_a_token_is_a_clear_error(closed_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("admin")
    with pytest.raises(ValueError, match="holds no API token"):
        create_app(closed_settings.model_copy(update={"auth": Auth(admin_token_file=tmp_path / "token")}))


def _listed(path: Path) -> list[dict[str, object]]:
    return list(json.loads(path.read_text())["tokens"]) if path.exists() else []
