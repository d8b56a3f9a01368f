"""What clients and proxies do to a connection of the API: leave in the middle, add a slash, claim to come by TLS."""

import logging
import time
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.__main__ import OPTIONS, believing
from metadata_api.app import create_app
from metadata_api.settings import Settings
from tests.asgi import Server
from tests.raw_http import Line

FORM = "multipart/form-data; boundary=cut"
PART = b'--cut\r\nContent-Disposition: form-data; name="%b"; filename="a"\r\n\r\nExp'


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
def test_json_without_its_type_is_told_the_header(api: httpx.Client, headers: dict[str, str]) -> None:
    answer = api.post("/v1/experiments", content=b'{"name": "digits"}', headers=headers)
    assert answer.status_code == 422
    assert "the header Content-Type: application/json" in answer.json()["detail"]


class TestAClientThatLeaves:
    """It is no fault of the server: nothing of it is in the log, and the next request is answered."""

    @pytest.mark.parametrize(
        ("method", "path", "kind", "body"),
        [
            ("POST", "/v2/models/digits/infer", "application/json", b"{"),
            ("POST", "/v2/models/digits/versions/1/infer", "application/octet-stream", b""),
            ("POST", "/v2/repository/index", "application/json", b"{"),
            ("POST", "/v1/imports?dry_run=true", "text/csv", b"Experiment Name,"),
            ("POST", "/v1/imports", FORM, PART % b"file"),
            ("POST", "/v1/imports", FORM, b""),
            ("POST", "/v1/predictions", FORM, PART % b"image"),
            ("POST", "/v1/experiments", "application/json", b"{"),
            ("POST", "/v1/experiments/digits/versions", "application/octet-stream", b"PK"),
            ("PATCH", "/v1/deployments/digits", "application/json", b'{"run'),
            ("PUT", "/v1/aliases/champion", "application/json", b""),
            ("DELETE", "/v1/aliases/champion", "application/json", b"x"),
        ],
    )
    @pytest.mark.parametrize("farewell", ["end", "reset"])
    def test_while_it_sends(
        self,
        api: httpx.Client,
        address: str,
        caplog: pytest.LogCaptureFixture,
        farewell: str,
        method: str,
        path: str,
        kind: str,
        body: bytes,
    ) -> None:
        api.post("/v1/experiments", json={"name": "digits"})
        with caplog.at_level(logging.INFO):
            with Line(address) as line:
                line.send(line.head(method, path, content_type=kind, content_length="1000") + body)
                time.sleep(0.05)
                if farewell == "reset":
                    line.reset()
            time.sleep(0.1)
            assert api.get("/v1/experiments").status_code == 200
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []

    def test_before_it_reads_the_response(
        self, address: str, api: httpx.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        for path in ("/v1/experiments?limit=200", "/docs", "/openapi.json", "/v2/models/nothing"):
            with Line(address) as line:
                line.send(line.head("GET", path) * 20)
                line.reset()
        assert api.get("/v1/experiments").status_code == 200
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


class TestASlashTooMany:
    @pytest.mark.parametrize(
        "path",
        [
            "/v1/experiments",
            "/v1/experiments/net",
            "/v1/deployments",
            "/v1/aliases",
            "/v1/predictions",
            "/v1/imports",
            "/v1/curves?experiment=net",
            "/livez",
            "/openapi.json",
            "/docs",
            "/v2",
            "/v2/health/live",
            "/v2/health/ready",
            "/v2/models/stats",
        ],
    )
    def test_means_the_same(self, api: httpx.Client, path: str) -> None:
        api.post("/v1/experiments", json={"name": "net"})
        way, mark, query = path.partition("?")
        without, with_it = api.get(path), api.get(f"{way}/{mark}{query}")
        assert with_it.status_code == without.status_code == 200
        assert with_it.headers["content-type"] == without.headers["content-type"]

    def test_of_a_change_too(self, api: httpx.Client) -> None:
        assert api.post("/v1/experiments/", json={"name": "net"}).status_code == 201

    def test_two_are_another_address(self, api: httpx.Client) -> None:
        assert api.get("/v1/experiments//").status_code == 404

    def test_one_that_is_quoted_is_part_of_a_name(self, api: httpx.Client) -> None:
        assert api.get("/v1/experiments%2F").status_code == 404


@pytest.fixture(
    params=["", "127.0.0.1", "10.0.0.0/8"], ids=["nobody", "this machine", "others"], scope="module"
)
def proxied(settings: Settings, engine: Engine, request: pytest.FixtureRequest) -> Iterator[str]:
    """An application as it is served when such proxies are trusted."""
    with Server(create_app(settings), patience=None, **{**OPTIONS, **believing(request.param)}) as server:
        yield server.url


class TestProxies:
    """Nobody is led out of TLS or of the prefix, whatever a proxy or a client says of itself."""

    CLAIMS: tuple[dict[str, str], ...] = (
        {},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "9"},
        {"Forwarded": "for=192.0.2.1;proto=https;host=evil.example"},
        {"X-Forwarded-Prefix": "/evil"},
        {"X-Original-URL": "/v1/tokens", "X-Rewrite-URL": "/v1/tokens"},
    )

    @pytest.mark.parametrize(
        "path", ["/v1/experiments", "/v1/experiments/", "/docs/", "/nowhere/", "/v2/", "//evil.example/"]
    )
    def test_no_response_is_a_redirect(self, proxied: str, path: str) -> None:
        with httpx.Client() as client:
            for claim in self.CLAIMS:
                answer = client.get(proxied + path, headers=claim)
                assert answer.status_code in (200, 404), claim
                assert "location" not in answer.headers, claim
                assert "evil" not in answer.text, claim
