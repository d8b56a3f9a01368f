"""The audit log: every change leaves who made it, in its own transaction; a rejected one leaves nothing."""

import csv
import io
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from metadata_api.__main__ import OPTIONS, believing
from metadata_api.app import create_app
from metadata_api.settings import Settings
from serving_runtime.contracts import Role
from tests.asgi import Server
from tests.metadata_api.auth.conftest import ADMIN, client_of
from tests.metadata_api.making import make_deployment, make_experiment, make_mar


def entries(admin: httpx.Client) -> list[dict[str, Any]]:
    return list(admin.get("/v1/audit").json()["items"])


def test_a_change_says_who_made_it_from_where_by_which_request_and_what(
    closed_address: str, admin: httpx.Client, tokens: dict[Role, str], engine: Engine
) -> None:
    make_deployment(engine, "digits")
    with client_of(closed_address, tokens[Role.DEPLOYER]) as client:
        stopped = client.post("/v1/deployments/digits/stop", headers={"X-Request-ID": "ticket-7"})
    assert stopped.headers["x-request-id"] == "ticket-7"
    found = entries(admin)[0]
    assert (found["subject"], found["role"], found["kind"]) == ("some deployer", "deployer", "token")
    assert found["token_id"] == tokens[Role.DEPLOYER][4:16]
    assert (found["route"], found["path"]) == (
        "POST /v1/deployments/{name}/stop",
        "/v1/deployments/digits/stop",
    )
    assert (found["address"], found["request_id"]) == ("127.0.0.1", "ticket-7")
    change = next(one for one in found["changes"] if one["table"] == "deployments")
    assert (change["key"], change["before"]["desired"], change["after"]["desired"]) == (
        "digits", "running", "stopped",
    )  # fmt: skip


def test_a_version_names_its_first_uploader_whoever_sends_the_same_bytes_again(
    closed_address: str, admin: httpx.Client, tokens: dict[Role, str], engine: Engine, tmp_path: Path
) -> None:
    make_experiment(engine)
    archive = make_mar(tmp_path)
    with client_of(closed_address, tokens[Role.PUBLISHER]) as client:
        claimed = {"X-Forwarded-User": "somebody", "X-Forwarded-For": "192.0.2.7"}
        first = client.post("/v1/experiments/digits/versions", content=archive, headers=claimed)
    assert first.status_code == 201
    assert first.json()["uploaded_by"] == entries(admin)[0]["subject"] == "some publisher"
    again = admin.post("/v1/experiments/digits/versions", content=archive)
    assert (again.status_code, again.json()) == (200, first.json())


def test_every_kind_of_change_is_there_and_reading_is_not(admin: httpx.Client, engine: Engine) -> None:
    make_deployment(engine, "digits")
    before = len(entries(admin))
    assert admin.post("/v1/experiments", json={"name": "new"}).status_code == 201
    content = b"Experiment Name,Learning Rate,Momentum,Loss\nrun,0.1,0.5,"
    content += b'"{""Step"": [0], ""Value"": [0.5]}"\n'
    imported = admin.post("/v1/imports?filename=a.csv", content=content, headers={"Content-Type": "text/csv"})
    assert imported.status_code == 201, imported.text
    assert admin.put("/v1/aliases/champion", json={"deployment": "digits"}).status_code == 201
    (created,) = admin.get("/v1/aliases/champion/events").json()["items"]
    assert created["actor"] == "admin"
    assert admin.delete("/v1/aliases/champion").status_code == 204
    issued = admin.post("/v1/tokens", json={"name": "a", "role": "viewer"}).json()
    assert admin.delete(f"/v1/tokens/{issued['id']}").status_code == 204
    for path in ("/v1/experiments", "/v1/deployments", "/v1/audit", "/v1/me"):
        assert admin.get(path).status_code == 200
    found = entries(admin)
    routes = [one["route"] for one in reversed(found[: len(found) - before])]
    assert routes == [
        "POST /v1/experiments",
        "POST /v1/imports",
        "PUT /v1/aliases/{name}",
        "DELETE /v1/aliases/{name}",
        "POST /v1/tokens",
        "DELETE /v1/tokens/{token_id}",
    ]
    assert issued["token"][17:] not in str(found)


def test_what_is_created_is_there_by_its_name_and_values(admin: httpx.Client, engine: Engine) -> None:
    make_deployment(engine, "digits")
    assert admin.post("/v1/experiments", json={"name": "new", "tags": {"a": "b"}}).status_code == 201
    made = admin.post("/v1/deployments", json={"name": "second", "experiment": "digits", "replicas": 2})
    assert made.status_code == 201, made.text
    assert admin.post("/v1/deployments", json={"name": "second", "experiment": "digits"}).status_code == 409
    deployment, experiment = entries(admin)
    (change,) = experiment["changes"]
    assert (change["table"], change["key"], change["before"]) == ("experiments", "new", {})
    assert change["after"]["tags"] == {"a": "b"}
    (change,) = deployment["changes"]
    assert (change["table"], change["key"]) == ("deployments", "second")
    assert (change["after"]["replicas"], change["after"]["desired"]) == (2, "running")


def test_changes_of_tokens_say_which_and_nothing_that_a_token_is_recognised_by(admin: httpx.Client) -> None:
    issued = admin.post("/v1/tokens", json={"name": "a", "role": "viewer"}).json()
    assert admin.delete(f"/v1/tokens/{issued['id']}").status_code == 204
    revoked, made = (entry["changes"][0] for entry in entries(admin))
    assert revoked["key"] == made["key"] == issued["id"]
    assert made["after"]["name"] == "a"
    assert sha256(issued["token"].encode()).hexdigest() not in str((revoked, made))


def test_what_was_rejected_changed_nothing_and_is_counted(
    closed_address: str, admin: httpx.Client, tokens: dict[Role, str]
) -> None:
    before = admin.get("/v1/audit").json()
    with client_of(closed_address, tokens[Role.VIEWER]) as client:
        assert client.post("/v1/experiments", json={"name": "new"}).status_code == 403
    assert httpx.post(f"{closed_address}/v1/experiments", json={"name": "new"}).status_code == 401
    assert admin.post("/v1/experiments", json={"name": "NOT A NAME"}).status_code == 422
    after = admin.get("/v1/audit").json()
    assert after["items"] == before["items"]
    counted = {
        status: after["rejected"][status] - before["rejected"].get(status, 0) for status in ("401", "403")
    }
    assert counted == {"401": 1, "403": 1}


def test_the_address_is_that_of_the_connection_whatever_a_caller_claims(admin: httpx.Client) -> None:
    claims = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    assert admin.post("/v1/experiments", json={"name": "new"}, headers=claims).status_code == 201
    assert entries(admin)[0]["address"] == "127.0.0.1"


def test_the_log_comes_as_csv_without_formulas(admin: httpx.Client) -> None:
    admin.post("/v1/tokens", json={"name": "=cmd()", "role": "admin"})
    with_formula = admin.post("/v1/tokens", json={"name": "=cmd()", "role": "admin"}).json()["token"]
    with client_of(str(admin.base_url), with_formula) as client:
        client.post("/v1/experiments", json={"name": "new"})
    rows = list(csv.DictReader(io.StringIO(admin.get("/v1/audit/export.csv").text)))
    assert rows[0]["subject"] == "'=cmd()"
    assert rows[0]["route"] == "POST /v1/experiments"


def test_a_forwarded_address_is_believed_from_a_trusted_proxy_only(
    admin: httpx.Client, closed_settings: Settings
) -> None:
    def address_after(client: httpx.Client, name: str) -> str:
        sent = {"name": name}
        assert client.post("/v1/experiments", json=sent, headers={"X-Forwarded-For": "6.6.6.6"}).is_success
        return str(entries(admin)[0]["address"])

    assert address_after(admin, "direct") == "127.0.0.1"
    with (
        Server(create_app(closed_settings), **{**OPTIONS, **believing("127.0.0.0/8")}) as behind,
        client_of(behind.url, ADMIN) as client,
    ):
        assert address_after(client, "behind-a-proxy") == "6.6.6.6"
