"""Every address with every role, and with every credential that proves nothing."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import Engine

from metadata_api import access_table
from metadata_api.app import ACCESS, create_app
from metadata_api.auth import access
from metadata_api.auth.access import Access, needs
from metadata_api.auth.layer import STRANGERS_A_MINUTE
from metadata_api.auth.tokens import digest
from metadata_api.recording_keys import key_of
from metadata_api.settings import Settings
from serving_runtime.contracts import Role
from tests.conftest import ROOT
from tests.metadata_api.auth.conftest import SERVING, client_of, expire, issue
from tests.metadata_api.servers import running
from tests.waiting import until

NAMES = {
    "{name}": "digits",
    "{number}": "1",
    "{uid}": "00000000-0000-0000-0000-000000000000",
    "{sha256}": "0" * 64,
    "{token_id}": "0" * 12,
    "{file}": "digits",
    "{deployment}": "digits",
    "{key}": "A" * 43,
}
# HEAD is FastAPI's, beside GET.
CLOSED = [one for one in ACCESS if one.role is not None]
OPEN = [one for one in ACCESS if one.role is None]


def address_of(one: Access) -> str:
    path = one.path
    for parameter, value in NAMES.items():
        path = path.replace(parameter, value)
    assert "{" not in path, "a new parameter needs a value here"
    return path


def named(one: Access) -> str:
    return f"{one.method} {one.path}"


@pytest.fixture
def clients(closed_address: str, tokens: dict[Role, str]) -> Iterator[dict[Role, httpx.Client]]:
    opened = {role: client_of(closed_address, token) for role, token in tokens.items()}
    yield opened
    for client in opened.values():
        client.close()


def test_every_address_takes_its_role_and_those_above_and_no_other(
    clients: dict[Role, httpx.Client],
) -> None:
    wrong = []
    for one in CLOSED:
        assert one.role
        # The answer to HEAD has no body to tell it by, and leads to the same function.
        method = "GET" if one.method == "HEAD" else one.method
        for role, client in clients.items():
            response = client.request(method, address_of(one))
            # Loading a model by v2 is 403 for everybody, in other words.
            rejected = response.status_code == 403 and response.json().get("code", "forbidden") == "forbidden"
            if response.status_code == 401 or rejected == role.includes(one.role):
                wrong.append(f"{named(one)} as {role}: {response.status_code} {response.text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_no_address_takes_a_credential_that_proves_nothing(
    closed_address: str, admin: httpx.Client, engine: Engine
) -> None:
    issued = issue(admin, "admin")
    expired, revoked = issue(admin, "admin"), issue(admin, "admin")
    expire(engine, expired)
    assert admin.delete(f"/v1/tokens/{revoked[4:16]}").status_code == 204
    headers: dict[str, Any] = {
        "none": [],
        "empty": [("Authorization", "")],
        "another scheme": [("Authorization", f"Basic {issued}")],
        "expired": [("Authorization", f"Bearer {expired}")],
        "revoked": [("Authorization", f"Bearer {revoked}")],
        "another secret": [("Authorization", f"Bearer {issued[:-2]}{'aa' if issued[-2:] != 'aa' else 'bb'}")],
        "an unknown id": [("Authorization", f"Bearer mrn_{'f' * 12}{issued[16:]}")],
        "cut": [("Authorization", f"Bearer {issued[:-1]}")],
        "twice": [("Authorization", f"Bearer {issued}")] * 2,
        "that for the servers of models": [("Authorization", f"Bearer {SERVING}")],
        "the key of a recording": [("Authorization", f"Bearer {key_of(SERVING, 'digits')}")],
        "its hash": [("Authorization", f"Bearer {digest(issued)}")],
        "a foreign one": [("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.")],
        "very long": [("Authorization", f"Bearer {'x' * 30_000}")],
        "not ASCII": [("Authorization", b"Bearer \xff\xfe")],
        "in the address": [],
    }
    wrong = []
    with httpx.Client(base_url=closed_address, timeout=30) as client:

        def is_told() -> bool:
            return client.get("/v1/me", headers=headers["expired"]).status_code == 401

        until(is_told, "an expired token is rejected", 5)
        for one in CLOSED:
            for what, given in headers.items():
                query = f"?token={issued}&access_token={issued}" if what == "in the address" else ""
                response = client.request(one.method, address_of(one) + query, headers=given)
                body = response.json() if one.method != "HEAD" else {}
                code = body.get("code") if one.path.startswith("/v2/") else body.get("error")
                if response.status_code not in (401, 400, 431) or (
                    response.status_code == 401
                    and (
                        response.headers["www-authenticate"] != 'Bearer realm="marina"'
                        or code not in ("unauthenticated", None)
                    )
                ):
                    wrong.append(f"{named(one)} with {what}: {response.status_code} {response.text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_open_addresses_answer_without_a_credential_and_with_a_wrong_one(nobody: httpx.Client) -> None:
    assert {named(one) for one in OPEN} == {
        "GET /livez",
        "GET /readyz",
        "GET /docs",
        "GET /redoc",
        "GET /openapi.json",
        "GET /v2/health/live",
        "GET /v2/health/ready",
        "GET /v2/models/{name}/ready",
        "POST /v1/recordings/{deployment}/{key}",
    }
    assert {named(one) for one in OPEN if one.by_key} == {"POST /v1/recordings/{deployment}/{key}"}
    for one in OPEN:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert nobody.request(one.method, address_of(one), headers=headers).status_code not in (401, 403)


def test_whatever_is_nowhere_or_new_is_closed(nobody: httpx.Client) -> None:
    for path in (
        "/v1/nothing",
        "/metrics",
        "/v2/nothing",
        "/v2/models/a/ready/x",
        "/",
    ):
        assert nobody.get(path).status_code == 401, path
    assert nobody.post("/livez").status_code == 401
    assert nobody.post("/v2/models/a/ready").status_code == 401
    assert nobody.get(f"/v1/recordings/a/{'A' * 43}").status_code == 401


def test_a_rejected_request_is_one_short_line_of_the_log_whatever_its_address(
    closed_settings: Settings, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with running(create_app(closed_settings)) as address, httpx.Client(base_url=address) as nobody:
        assert nobody.get(f"/v1/x%0AWARNING%20forged%E2%80%A8{'a' * 5000}").status_code == 401
    (line,) = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 300


def test_requests_without_a_credential_do_not_fill_the_log(
    closed_settings: Settings, tokens: dict[Role, str], caplog: pytest.LogCaptureFixture
) -> None:
    with running(create_app(closed_settings)) as address:
        with httpx.Client(base_url=address) as nobody:
            for _ in range(3 * STRANGERS_A_MINUTE):
                assert nobody.get("/v1/flood").status_code == 401
        with client_of(address, tokens[Role.VIEWER]) as client:
            assert client.get("/v1/tokens").status_code == 403
    lines = [record.getMessage() for record in caplog.records]
    # The clock may have come to its next minute.
    assert 0 < sum("flood" in line for line in lines) <= 2 * STRANGERS_A_MINUTE
    assert any("some viewer (viewer)" in line for line in lines), "whoever has a credential is always logged"


def test_every_route_of_the_application_is_declared(closed_app: FastAPI) -> None:
    declared = {one.path for one in ACCESS}
    served = set(closed_app.openapi()["paths"])
    assert len(served) > 20
    assert served - declared == set()


def test_the_documents_table_is_what_the_routes_declare() -> None:
    """`make access` writes it."""
    assert access_table.table() in (ROOT / "docs" / "security.md").read_text()


def test_an_application_with_an_undeclared_route_is_not_made() -> None:
    undeclared, twice = APIRouter(), APIRouter()
    undeclared.get("/a")(lambda: None)
    twice.get("/a", dependencies=[needs(Role.VIEWER), needs(Role.ADMIN)])(lambda: None)
    for router in (undeclared, twice):
        with pytest.raises(TypeError, match="exactly one"):
            access.declared([router])
