"""Two real processes of the UI behind one address, as two replicas are: no page belongs to either of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.asgi import Server
from tests.ports import free_port
from tests.ui import visits
from tests.ui.fake_api import FakeApi
from tests.waiting import until

pytestmark = pytest.mark.browser
HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"content-length"}
# An idle page asks every 12 s.
NOTICED_MS = 20_000


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


class Replicas:
    """The processes by their addresses, the balancer before them, and the fake API behind them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.api = FakeApi()
        api = stack.enter_context(Server(self.api.app))
        port, public = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for host in ("127.0.0.1", "127.0.0.2"):
            variables = {
                "UI_API_URL": api.url, "UI_HOST": host, "UI_PORT": str(port),
                "UI_PUBLIC_URL": f"http://127.0.0.1:{public}",
                "UI_ALLOWED_HOSTS": f"127.0.0.1:{public},{host}:{port}",
                "UI_UPLOAD_DIR": str(folder / host), "PYTHONPATH": "ui",
            }  # fmt: skip
            process = subprocess.Popen([sys.executable, "-m", "model_ui"], env={**os.environ, **variables})
            stack.callback(_end, process)
            self.processes[f"http://{host}:{port}"] = process
        self.balancer = Balancer(list(self.processes))
        self.url = stack.enter_context(Server(self.balancer, public, lifespan="off")).url
        for address, process in self.processes.items():
            until(lambda a=address, p=process: p.poll() is not None or _answers(a), f"{address} starts", 60)  # type: ignore[misc]

    def kill(self, address: str) -> None:
        self.processes[address].kill()
        self.processes[address].wait(10)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Both processes; the last test kills one of them."""
    with ExitStack() as stack:
        yield Replicas(tmp_path_factory.mktemp("replicas"), stack)


def test_both_know_a_page_by_the_same_tag(replicas: Replicas) -> None:
    for path in ("/experiments", "/experiment?name=cnn-fast", "/pulse", "/settings"):
        headers = {"accept": "text/html", "marina-live": "12", "host": replicas.url.removeprefix("http://")}
        tags = {
            httpx.get(f"{address}{path}", headers=headers).headers["etag"] for address in replicas.processes
        }
        assert len(tags) == 1, path


def test_pages_are_answered_by_whichever_is_there(browser: Browser, replicas: Replicas) -> None:
    drawing, page = browser.new_page(), browser.new_page()
    visits.enter(drawing, f"{replicas.url}/")
    drawing.evaluate("window.loaded = true")
    ask(drawing, replicas)
    page.goto(f"{replicas.url}/experiments")
    expect(page.locator("tbody tr")).to_have_count(7)
    # A form at one process, the page with its message at the other.
    page.goto(f"{replicas.url}/experiment?name=cnn-fast")
    page.get_by_label("Notes").fill("seen by two")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#status")).to_contain_text("The notes are saved.")
    assert min(replicas.balancer.asked.values()) > 5

    replicas.kill(next(iter(replicas.processes)))
    page.get_by_role("button", name="Undo").click()
    until(lambda: replicas.api.experiments["cnn-fast"]["notes"] == "", "the notes are as they were")
    # Open pages go on without being loaded anew.
    visits.clear(drawing)
    ask(drawing, replicas)
    assert drawing.evaluate("window.loaded") is True
    page.goto(f"{replicas.url}/experiments")
    page.evaluate("window.loaded = true")
    replicas.api.experiments["mlp-poor"]["display_name"] = "renamed meanwhile"
    expect(page.get_by_text("renamed meanwhile")).to_be_visible(timeout=NOTICED_MS)
    assert page.evaluate("window.loaded") is True
    drawing.close()
    page.close()


def ask(page: Page, replicas: Replicas) -> None:
    visits.draw(page)
    assert visits.see_answers(page, set(replicas.api.deployments))["cnn-baseline"] == "5"


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/livez").is_success
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)
