"""The UI before the real API: who its login lets in, and how soon a revoked token is out."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import Engine

from model_ui import uploads
from model_ui.api_errors import ApiRejected, ApiUnauthenticated
from model_ui.api_types import AuditPage, ExperimentPage
from model_ui.metadata_client import MetadataClient
from model_ui.settings import Settings
from serving_runtime.contracts import Role
from tests.asgi import Server
from tests.metadata_api.auth.conftest import client_of, expire, issue
from tests.metadata_api.making import make_deployment
from tests.ui.apps import create_app
from tests.waiting import until


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for uploads; Gradio's variable is put back afterwards."""
    monkeypatch.setenv(uploads.GRADIO_FOLDER, str(tmp_path / "uploads"))
    return tmp_path / "uploads"


@pytest.fixture
def ui(closed_address: str, admin: httpx.Client, folder: Path) -> Iterator[httpx.Client]:
    """A browser without a cookie before the UI of an API with authentication."""
    settings = Settings(api_url=closed_address, upload_dir=folder)
    with Server(create_app(settings)) as server, httpx.Client(base_url=server.url, timeout=30) as browser:
        yield browser


def test_a_link_lets_in_whom_the_api_knows(ui: httpx.Client, tokens: dict[Role, str]) -> None:
    assert ui.get("/").status_code == 401
    answer = ui.get("/", params={"token": tokens[Role.VIEWER]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert ui.get("/config").status_code == 200
    ui.cookies.clear()
    assert ui.get("/config").status_code == 401


def test_a_revoked_token_is_out_within_five_seconds(ui: httpx.Client, admin: httpx.Client) -> None:
    token = issue(admin, "annotator")
    assert ui.post("/login", data={"token": token}).status_code == 303
    assert ui.get("/config").status_code == 200
    assert admin.delete(f"/v1/tokens/{token[4:16]}").status_code == 204
    until(lambda: ui.get("/config").status_code == 401, "the page is closed", 6)


def test_an_expired_token_and_a_changed_one_are_wrong(
    ui: httpx.Client, closed_address: str, admin: httpx.Client, engine: Engine
) -> None:
    token = issue(admin)
    changed = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert ui.get("/", params={"token": changed}).status_code == 401
    expire(engine, token)
    until(lambda: is_out(closed_address, token), "the API knows that the token has expired")
    assert ui.get("/", params={"token": token}).status_code == 401


def test_the_client_acts_as_its_visitor_and_as_nobody_else(
    closed_address: str, tokens: dict[Role, str]
) -> None:
    async def scenario() -> None:
        async with MetadataClient(closed_address) as client:
            assert (await client.as_visitor(tokens[Role.DEPLOYER]).me()).role == "deployer"
            viewer = client.as_visitor(tokens[Role.VIEWER])
            assert (await viewer.call(ExperimentPage, "GET", "/v1/experiments")).items == ()
            with pytest.raises(ApiRejected, match="needs the role deployer"):
                await viewer.request("POST", "/v1/deployments/a/stop")
            for unknown in (client, client.as_visitor(None), client.as_visitor("x")):
                with pytest.raises(ApiUnauthenticated):
                    await unknown.call(ExperimentPage, "GET", "/v1/experiments")

    anyio.run(scenario)


async def audit(client: MetadataClient, **query: str) -> AuditPage:
    return await client.call(AuditPage, "GET", "/v1/audit", params=query)


def test_an_admin_issues_and_revokes_tokens_and_reads_so_in_the_audit_log(
    closed_address: str, admin: httpx.Client, tokens: dict[Role, str]
) -> None:
    async def scenario() -> None:
        async with MetadataClient(closed_address) as nobody:
            client = nobody.as_visitor(admin.headers["authorization"].removeprefix("Bearer "))
            made = await client.issue_token("job", "fetcher", deployments=["a"], expires_in_days=None)
            assert (await nobody.as_visitor(tokens[Role.VIEWER]).me()).role == "viewer"
            await client.revoke_token(made.id)
            listed = {token.id: token for token in await client.tokens()}
            assert listed[made.id].revoked_at is not None
            who = (await client.me()).subject
            newest = await audit(client, subject=who, limit="2")
            assert [entry.route.partition(" ")[0] for entry in newest.items] == ["DELETE", "POST"]
            assert newest.items[0].changes[0].after["revoked_at"] is not None
            older = await audit(client, subject=who, limit="2", cursor=newest.next or "")
            assert older.items[0].id < newest.items[1].id
            assert (await audit(client, subject="nobody")).items == ()
            with pytest.raises(ApiRejected, match="needs the role admin"):
                await audit(nobody.as_visitor(tokens[Role.PUBLISHER]))

    anyio.run(scenario)


def test_an_api_without_authentication_wants_no_login(address: str, folder: Path) -> None:
    settings = Settings(api_url=address, upload_dir=folder)
    with Server(create_app(settings)) as server:
        assert httpx.get(f"{server.url}/config", timeout=30).status_code == 200
        wrong = {"authorization": f"Bearer mrn_{'0' * 12}_{'a' * 43}"}
        assert httpx.get(f"{server.url}/config", headers=wrong, timeout=30).status_code == 200


def is_out(address: str, token: str) -> bool:
    with client_of(address, token) as client:
        return client.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    ("role", "policy", "replay"),
    [(Role.VIEWER, False, False), (Role.DEPLOYER, False, True), (Role.PUBLISHER, True, True)],
)
def test_forms_of_policies_and_replays_are_for_whom_the_api_lets(
    ui: httpx.Client,
    admin: httpx.Client,
    tokens: dict[Role, str],
    engine: Engine,
    role: Role,
    policy: bool,
    replay: bool,
) -> None:
    for name in ("a", "b"):
        make_deployment(engine, name)
    admin.put("/v1/aliases/champion", json={"deployment": "a"}).raise_for_status()
    ui.get("/", params={"token": tokens[role]})
    alias = ui.get("/alias", params={"name": "champion"}).text
    assert "at least 30 that both answered" in alias
    assert ("Save the policy" in alias) is policy
    assert ("Start the replay" in ui.get("/replays").text) is replay
    headers = {"origin": str(ui.base_url).rstrip("/"), "accept": "text/html"}
    form = {"do": "default", "name": "champion"}
    said = ui.post("/alias", params={"name": "champion"}, data=form, headers=headers, follow_redirects=True)
    assert ("The default policy holds for champion again." in said.text) is policy
