"""The front answers to its own hosts and to its own pages only; and what every answer carries."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving_runtime.hosts import SECURITY_HEADERS

from ..conftest import Front

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"]
PATHS = [
    "/v2",
    "/v2/health/live",
    "/v2/models/x/infer",
    "/v2/repository/index",
    "/status",
    "/metrics",
    "/nowhere",
]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front without a model, on a free port, with a host of its own beside the usual."""
    front = Front(tmp_path_factory.mktemp("hosts"), SERVING_ALLOWED_HOSTS="marina.example,10.0.0.0/8")
    yield front
    front.stop()


def assert_safe(answer: httpx.Response) -> None:
    expected = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
    assert {name: answer.headers.get(name) for name in expected} == expected, answer.request


def assert_rejected(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.request
    assert_safe(answer)
    if answer.request.method != "HEAD":
        assert list(answer.json()) == ["error", "code"]
        assert "SERVING_ALLOWED_HOSTS" in answer.json()["error"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_a_rebound_name_gets_nothing(bare: Front, method: str, path: str) -> None:
    port = bare.client.base_url.port
    for host in (f"rebind.evil.example:{port}", "localhost:1", "127.0.0.1", "8.8.8.8", ""):
        headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert_rejected(bare.client.request(method, path, headers=headers), 421)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_another_site_asks_for_nothing(bare: Front, method: str, path: str) -> None:
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example", "content-type": "application/x-www-form-urlencoded"},
        {"origin": "http://10.0.0.1"},
        {"origin": "null", "content-type": "text/plain"},
    ):
        assert_rejected(bare.client.request(method, path, headers=headers, content=b"{}"), 403)


@pytest.mark.parametrize(
    "headers", [{}, {"sec-fetch-site": "same-origin"}, {"origin": "http://marina.example"}]
)
def test_programs_and_our_own_pages_are_answered(bare: Front, headers: dict[str, str]) -> None:
    assert bare.client.post("/v2/repository/index", headers=headers).status_code == 200


def test_the_bound_port_and_the_setting_decide(bare: Front) -> None:
    port = bare.client.base_url.port
    for host in (f"localhost:{port}", f"[::1]:{port}", "marina.example", "marina.example:1", "10.0.0.3:8080"):
        assert bare.client.get("/v2", headers={"host": host}).status_code == 200, host


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers(bare: Front, path: str) -> None:
    for method in ("GET", "POST"):
        assert_safe(bare.client.request(method, path))


def test_what_is_not_http_is_answered_with_them_too(bare: Front) -> None:
    address = ("127.0.0.1", bare.client.base_url.port or 0)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"this is no request\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    for name, value in SECURITY_HEADERS:
        assert b"\r\n%b: %b\r\n" % (name, value) in answer


def test_a_host_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    front = None
    with pytest.raises(AssertionError, match="HOST:PORT"):
        front = Front(tmp_path, SERVING_ALLOWED_HOSTS="http://a.example")
    assert front is None
