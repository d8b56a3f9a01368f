"""The API answers to its own hosts and to its own pages only, over a real socket; and what every answer carries."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from serving_runtime.hosts import SECURITY_HEADERS
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.servers import running

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
CHANGES = ["POST", "PUT", "PATCH", "DELETE"]
# Of every kind: with and without a body, under /v2, not there at all, the documentation.
PATHS = [
    "/v1/experiments",
    "/v1/deployments/x/stop",
    "/v1/imports",
    "/livez",
    "/docs",
    "/nowhere",
    "/artifacts/a/1/a.mar",
]
V2 = "/v2/models/x/infer"


def assert_rejected(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.request
    assert_safe(answer)
    if answer.request.method == "HEAD":
        return
    if answer.request.url.path.startswith("/v2/"):
        assert answer.json().keys() == {"error", "code"}
        assert answer.json()["code"] == code
        assert "METADATA_API_ALLOWED_HOSTS" in answer.json()["error"]
    else:
        assert answer.json()["error"] == code
        assert "METADATA_API_ALLOWED_HOSTS" in answer.json()["detail"]


def assert_safe(answer: httpx.Response) -> None:
    expected = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
    assert {name: answer.headers.get(name) for name in expected} == expected, answer.request


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", [*PATHS, V2])
def test_a_rebound_name_gets_nothing(api: httpx.Client, engine: Engine, method: str, path: str) -> None:
    port = api.base_url.port
    for host in (f"rebind.evil.example:{port}", "127.0.0.1", "localhost:1", f"10.0.0.1:{port}"):
        headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert_rejected(api.request(method, path, headers=headers), 421, "host_not_allowed")


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("path", [*PATHS, V2])
def test_a_page_of_another_site_changes_nothing(
    api: httpx.Client, engine: Engine, method: str, path: str
) -> None:
    before = row_counts(engine)
    port = api.base_url.port or 0
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": f"http://127.0.0.1:{port}"},
        {"origin": "http://evil.example"},
        {"origin": f"http://127.0.0.1:{port + 1}"},
        {"origin": "null"},
    ):
        answer = api.request(method, path, headers=headers, json={"name": "from-elsewhere"})
        assert_rejected(answer, 403, "cross_site_request")
    assert row_counts(engine) == before


def test_forms_and_archives_of_another_site_store_nothing(api: httpx.Client, engine: Engine) -> None:
    api.post("/v1/experiments", json={"name": "mine"}).raise_for_status()
    before = row_counts(engine)
    foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    csv = {"file": ("runs.csv", b"Experiment Name,Loss\nOld,0.1\n", "text/csv")}
    plain = {**foreign, "content-type": "text/plain"}
    form = {**foreign, "content-type": "application/x-www-form-urlencoded"}
    for answer in (
        api.post("/v1/imports", files=csv, headers=foreign),
        api.post("/v1/predictions", files={"image": b"x"}, headers=foreign),
        api.post("/v1/experiments/mine/versions", content=b"PK", headers=plain),
        api.post("/v1/deployments/mine/stop", data={"a": "b"}, headers=form),
    ):
        assert_rejected(answer, 403, "cross_site_request")
    assert row_counts(engine) == before


@pytest.mark.parametrize(
    "headers", [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "own"}]
)
def test_programs_and_our_own_pages_are_answered(api: httpx.Client, headers: dict[str, str]) -> None:
    if "origin" in headers:
        headers = {"origin": str(api.base_url).rstrip("/")}
    assert api.post("/v1/experiments", json={"name": "mine"}, headers=headers).status_code == 201


def test_localhost_is_ours_as_well(api: httpx.Client) -> None:
    assert api.get("/livez", headers={"host": f"localhost:{api.base_url.port}"}).status_code == 200


def test_a_setting_adds_hosts(settings: Settings, engine: Engine) -> None:
    more = settings.model_copy(update={"allowed_hosts": ("marina.example", "10.0.0.0/8")})
    with running(create_app(more)) as address, httpx.Client(base_url=address) as client:
        for host in ("marina.example", "marina.example:8443", "10.0.0.7:8000"):
            assert client.get("/livez", headers={"host": host}).status_code == 200
        assert client.get("/livez", headers={"host": "evil.example"}).status_code == 421


def test_the_setting_is_read_from_the_environment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METADATA_API_ALLOWED_HOSTS", "a.example, b.example:80")
    monkeypatch.setenv("METADATA_API_MAX_CSV_BYTES", "7")
    given: dict[str, Any] = {
        "auth": Auth(mode="off"),
        "database_url": settings.database_url,
        "store_dir": settings.store_dir,
    }
    found = Settings(**given, serving_models_file=settings.serving_models_file)
    assert (found.allowed_hosts, found.max.csv_bytes) == (("a.example", "b.example:80"), 7)
    monkeypatch.setenv("METADATA_API_ALLOWED_HOSTS", "http://a.example")
    with pytest.raises(ValueError, match=r"HOST:PORT"):
        Settings(**given, serving_models_file=settings.serving_models_file)


@pytest.mark.parametrize(
    "path", ["/livez", "/v1/experiments", "/openapi.json", "/nowhere", "/v1/experiments/a%00b", V2]
)
def test_every_answer_carries_the_security_headers(api: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        assert_safe(api.request(method, path, content=b"{"))


def test_a_fault_of_ours_carries_them_too(settings: Settings) -> None:
    app: FastAPI = create_app(settings)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("on purpose")

    with running(app) as address:
        answer = httpx.get(f"{address}/broken")
    assert answer.status_code == 500
    assert_safe(answer)


def test_the_pages_of_the_documentation_may_run_their_own_scripts_only(api: httpx.Client) -> None:
    for path in ("/docs", "/redoc"):
        policy = api.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
