"""What the UI lets in from the network: sizes, origins, paths, and the headers of every answer."""

from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import anyio
import httpx
import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from model_ui.asgi import App, send_json
from model_ui.bodies import MAX_EVENT_BYTES
from model_ui.guard import HEADERS, Guard
from model_ui.metadata_client import MetadataClient
from model_ui.settings import Settings
from tests.ui.apps import create_app
from tests.ui.fake_api import FakeApi

HOST = "http://marina.example"
EVENTS = "/gradio_api/run/predict"
EVENT = {"data": [], "fn_index": 0, "session_hash": "x"}


@pytest.fixture(scope="module")
def app() -> App:
    settings = Settings(allowed_hosts=("marina.example", "public.example"))
    return create_app(settings, MetadataClient("http://api", transport=httpx.ASGITransport(FakeApi().app)))


@pytest.fixture
def send(app: App) -> Callable[..., httpx.Response]:
    """One request to the UI in this process."""

    def request(method: str, path: str, **options: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
                return await client.request(method, path, **options)

        return anyio.run(run)

    return request


def test_livez_says_that_the_process_answers(send: Callable[..., httpx.Response]) -> None:
    assert send("GET", "/livez").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/", "/config", "/livez", "/nowhere", "/theme.css", "/static/img/x.svg"])
def test_every_answer_has_the_security_headers(send: Callable[..., httpx.Response], path: str) -> None:
    answer = send("GET", path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "https://marina.example.evil.example", "http://sub.marina.example"],
)
def test_another_origin_learns_nothing_and_changes_nothing(
    send: Callable[..., httpx.Response], origin: str
) -> None:
    for method, path in (
        ("GET", "/config"),
        ("OPTIONS", EVENTS),
        ("POST", EVENTS),
        ("POST", "/gradio_api/upload"),
    ):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        answer = send(method, path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")], (method, path)
        assert method != "POST" or answer.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_that_says_cross_site_is_believed(send: Callable[..., httpx.Response], site: str) -> None:
    assert send("POST", EVENTS, json=EVENT, headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": HOST},
        {"origin": "https://public.example"},
        {"origin": "https://public.example", "sec-fetch-site": "same-origin"},
        {},
    ],
)
def test_our_own_pages_are_let_in(send: Callable[..., httpx.Response], headers: dict[str, str]) -> None:
    assert send("POST", EVENTS, json=EVENT, headers=headers).status_code != 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/livez", "/config", EVENTS, "/gradio_api/upload", "/nowhere"])
def test_another_host_gets_nothing(send: Callable[..., httpx.Response], method: str, path: str) -> None:
    for host in ("evil.example", "marina.example.evil.example", "localhost:1", "10.0.0.1"):
        headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        answer = send(method, path, headers=headers)
        assert answer.status_code == 421
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        if method != "HEAD":
            assert list(answer.json()) == ["detail"]
            assert "UI_ALLOWED_HOSTS" in answer.json()["detail"]


def test_a_forwarded_host_is_not_believed(send: Callable[..., httpx.Response]) -> None:
    headers = {"x-forwarded-host": "evil.example"}
    assert send("POST", EVENTS, headers={**headers, "origin": "http://evil.example"}).status_code == 403
    assert send("GET", "/config", headers=headers).json()["root"] == HOST
    assert "evil.example" not in send("GET", "/", headers=headers).text


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd", "/gradio_api/file=../../../etc/passwd", "/gradio_api/proxy=http://127.0.0.1/",
        "/file=/etc/passwd", "/monitoring", "/monitoring/summary", "/gradio_api/openapi.json", "/gradio_api/vibe-code",
        "/gradio_api/call/ask", "/gradio_api/run/ask", "/gradio_api/queue/join", "/gradio_api/queue/data",
        "/gradio_api/upload", "/gradio_api/upload/x", "/gradio_api/upload_progress",
        "/gradio_api/heartbeat/x", "/gradio_api/reset", "/gradio_api/cancel", "/gradio_api/info",
        "/gradio_api/startup-events", "/gradio_api/runs", "/docs", "/openapi.json",
        "/gradio_api/dev/reload", "/gradio_api/component_server", "/gradio_api/stream/x", "/dev/reload", "//etc/passwd",
    ],
)  # fmt: skip
def test_routes_that_no_page_uses_are_not_there(send: Callable[..., httpx.Response], path: str) -> None:
    for method in ("GET", "POST"):
        assert send(method, path).status_code == 404, (method, path)


@pytest.mark.parametrize(
    "path", ["/static/../../../../etc/passwd", "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd"]
)
def test_no_file_outside_is_served(send: Callable[..., httpx.Response], path: str) -> None:
    answer = send("GET", path)
    assert answer.status_code >= 400
    assert "root:" not in answer.text


def test_large_bodies_are_refused_by_their_length(send: Callable[..., httpx.Response]) -> None:
    assert send("POST", EVENTS, content=b"x" * (MAX_EVENT_BYTES + 1)).status_code == 413


def test_large_bodies_are_refused_while_they_arrive(send: Callable[..., httpx.Response]) -> None:
    chunks = 1000
    taken: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        yield b'"'
        for chunk in range(chunks):
            taken.append(chunk)
            yield b"x" * 65_536

    headers = {"content-type": "application/json"}
    assert send("POST", EVENTS, content=endless(), headers=headers).status_code == 413
    assert len(taken) < 100


class TestForwarded:
    """Whether a page was asked for by TLS says the server, which knows its proxies, or the UI's public address."""

    CLAIMS: ClassVar = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "proto=https;host=evil.example",
    }

    @pytest.mark.parametrize("claims", [{}, CLAIMS])
    def test_nobody_else_is_believed(
        self, send: Callable[..., httpx.Response], claims: dict[str, str]
    ) -> None:
        assert send("GET", "/config", headers=claims).json()["root"] == HOST

    def test_a_trusted_proxy_is(self, app: App) -> None:
        trusting: Any = ProxyHeadersMiddleware(app, trusted_hosts="10.0.0.0/8")  # type: ignore[arg-type]
        assert self._root(trusting, "10.1.2.3", self.CLAIMS) == "https://marina.example"
        assert self._root(trusting, "192.0.2.1", self.CLAIMS) == HOST

    @pytest.mark.parametrize(
        ("public", "root"),
        [
            ("https://marina.example", "https://marina.example"),
            ("https://marina.example/path", "https://marina.example"),
            ("https://other.example", HOST),
            ("http://marina.example", HOST),
        ],
    )
    def test_its_own_public_address_is(self, public: str, root: str) -> None:
        async def say(scope: Any, _: Any, send: Any) -> None:
            await send_json(send, 200, {"root": f"{scope['scheme']}://marina.example"})

        hosts = ("marina.example",)
        guard = Guard(say, root_path="", allowed_hosts=hosts, public_url=public)
        assert self._root(guard, "192.0.2.1", {}) == root

    def _root(self, app: Any, client: str, headers: dict[str, str]) -> str:
        async def run() -> str:
            transport = httpx.ASGITransport(app, client=(client, 1))
            async with httpx.AsyncClient(transport=transport, base_url=HOST) as asking:
                return str((await asking.get("/config", headers=headers)).json()["root"])

        return anyio.run(run)
