"""Two processes of the UI behind one address, as replicas are: no page belongs to either of them."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from model_ui.settings import Settings
from tests.asgi import Server
from tests.ports import free_port
from tests.ui import visits
from tests.ui.apps import create_app
from tests.ui.conftest import Site

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"content-length"}


class Balancer:
    """An ASGI application that gives each request to the next server, and to another when that one is gone."""

    def __init__(self, urls: list[str]) -> None:
        self.asked = dict.fromkeys(urls, 0)
        self._next = cycle(urls)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message.get("body", b"")
        path = scope["raw_path"].decode() + (
            "?" + scope["query_string"].decode() if scope["query_string"] else ""
        )
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            for url in islice(self._next, 2):
                try:
                    found = await client.request(
                        scope["method"], url + path, content=body, headers=scope["headers"]
                    )
                except httpx.ConnectError:
                    continue
                self.asked[url] += 1
                break
        headers = [pair for pair in found.headers.raw if pair[0].lower() not in HOP | {b"content-encoding"}]
        await send({"type": "http.response.start", "status": found.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": found.content})


def test_pages_are_answered_by_whichever_is_there(site: Site, open_page: OpenPage) -> None:
    port = free_port()
    settings = Settings(
        api_url=site.api_url,
        public_api_url=site.api_url,
        refresh_seconds=0.5,
        public_url=f"http://127.0.0.1:{port}",
        allowed_hosts=(f"127.0.0.1:{port}",),
    )
    with ExitStack() as stack:
        first, second = [stack.enter_context(Server(create_app(settings))) for _ in range(2)]
        balancer = Balancer([first.url, second.url])
        stack.enter_context(Server(balancer, port, lifespan="off"))
        page = open_page(1280)
        visits.enter(page, f"http://127.0.0.1:{port}/")
        page.evaluate("window.here = true")
        asked(page, site)
        assert min(balancer.asked.values()) > 5
        first.stop(at_once=True)
        visits.clear(page)
        asked(page, site)
        assert page.evaluate("window.here"), "the page was loaded anew"
        page.goto(f"http://127.0.0.1:{port}/deployments")
        expect(page.get_by_role("link", name="cnn-baseline", exact=True).first).to_be_visible()


def asked(page: Page, site: Site) -> None:
    visits.draw(page)
    assert visits.see_answers(page, set(site.api.deployments))["cnn-baseline"] == "5"
