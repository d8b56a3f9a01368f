"""Pages of other sites in a real browser, against the running system: nothing changes, nothing is read.

One page comes from another port of this machine, another from a name that was rebound to it; the browser counts both as
local, so nothing of its own stands before our servers.
"""

import os
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.conftest import Stack
from tests.ui.browsers import FLAGS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
REBOUND = "rebound.evil.example"
CSV = "Experiment Name,Learning Rate,Momentum,Loss,Optimizer\\nStolen,0.1,0.9,0.5,sgd\\n"
# Each gives what the page could read: a status and a text, or the error.
FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        return [answer.type, answer.status, await answer.text()];
    } catch (error) { return ["failed", 0, String(error)]; }
}"""
UPLOAD = """async ([url, csv, mode]) => {
    const form = new FormData();
    form.append("file", new File([csv], "stolen.csv", {type: "text/csv"}));
    try {
        const answer = await fetch(url, {method: "POST", body: form, mode});
        return [answer.type, answer.status, await answer.text()];
    } catch (error) { return ["failed", 0, String(error)]; }
}"""
SUBMIT = """([url, enctype, csv]) => {
    const form = document.createElement("form");
    form.method = "POST";
    form.action = url;
    form.enctype = enctype;
    if (csv) {
        const input = document.createElement("input");
        input.type = "file";
        input.name = "file";
        const held = new DataTransfer();
        held.items.add(new File([csv], "stolen.csv", {type: "text/csv"}));
        input.files = held.files;
        form.append(input);
    }
    document.body.append(form);
    form.submit();
}"""


class Blank(BaseHTTPRequestHandler):
    """A page with nothing on it, of any name."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>foreign</title>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    """A web server of another program on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium for which a foreign name leads to this machine, as after DNS rebinding."""
    path = os.environ.get("MARINA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, (
        "no Chromium for the browser tests: install one (`make browser`) or name it in MARINA_CHROMIUM"
    )
    # Other browsers do not ask before a public page reaches this machine: this one must not help either.
    flags = [
        *FLAGS,
        f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
        "--disable-features=LocalNetworkAccessChecks",
    ]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(params=["another port", "another name"])
def foreign_page(
    stack: Stack, browser: Browser, foreign_port: int, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A page of another origin, in the browser of somebody who is logged in to the UI as the admin."""
    page = browser.new_page()
    page.goto(stack.link)
    assert [one["name"] for one in page.context.cookies()] == [f"marina_{urlsplit(stack.ui_url).port}"]
    host = REBOUND if request.param == "another name" else "127.0.0.1"
    page.goto(f"http://{host}:{foreign_port}/")
    yield page
    page.close()


def state(stack: Stack) -> Any:
    """What may not change: deployments, experiments, imports, and what serving serves."""
    listed = {
        kind: httpx.get(
            f"{stack.api_url}/v1/{kind}", params={"limit": 200}, headers=stack.headers, timeout=20
        ).json()["items"]
        for kind in ("experiments", "imports", "deployments")
    }
    deployments = [(one["name"], one["version"], one["desired"]) for one in listed.pop("deployments")]
    return [listed, deployments]


def simple_requests(stack: Stack) -> list[tuple[str, str]]:
    """Addresses and bodies of requests that a browser sends without asking first."""
    return [
        (f"{stack.api_url}/v1/deployments/cnn-baseline/stop", ""),
        (f"{stack.api_url}/v1/experiments/cnn-baseline/versions", "PK"),
        (f"{stack.serving_url}/v2/repository/index", ""),
        (f"{stack.serving_url}/v2/models/cnn-baseline/infer", "{}"),
        (f"{stack.ui_url}/gradio_api/queue/join", '{"data": [], "fn_index": 0, "session_hash": "x"}'),
        (f"{stack.ui_url}/gradio_api/upload", "x"),
    ]


def test_a_foreign_page_sends_without_effect(stack: Stack, foreign_page: Page) -> None:
    before = state(stack)
    statuses: dict[str, int] = {}
    kept_away: set[str] = set()

    def note_failure(request: Request) -> None:
        if (request.failure or "").startswith("net::ERR_BLOCKED_BY_RESPONSE"):
            kept_away.add(request.url)

    foreign_page.on("response", lambda answer: statuses.update({answer.url: answer.status}))
    foreign_page.on("requestfailed", note_failure)
    for url, body in simple_requests(stack):
        given = {"method": "POST", "mode": "no-cors", "body": body, "headers": {"content-type": "text/plain"}}
        assert_unread(foreign_page.evaluate(FETCH, [url, given]), url)
    url = f"{stack.api_url}/v1/imports"
    assert_unread(foreign_page.evaluate(UPLOAD, [url, CSV, "no-cors"]), url)
    # Our servers say no, not the browser: by their status, or by a header that keeps even that from the page.
    assert set(statuses.values()) == {403}
    assert statuses.keys() | kept_away == {url for url, _ in simple_requests(stack)} | {
        f"{stack.api_url}/v1/imports"
    }
    assert state(stack) == before


def assert_unread(found: list[Any], url: str) -> None:
    """An opaque answer without status and text, or none at all, because our headers keep it from the page."""
    kind, status, text = found
    assert (status, text) == (0, "") if kind == "opaque" else kind == "failed", (url, found)


@pytest.mark.parametrize(
    ("path", "enctype", "csv"),
    [
        ("/v1/deployments/cnn-baseline/stop", "application/x-www-form-urlencoded", ""),
        ("/v1/deployments/cnn-baseline/rollback", "text/plain", ""),
        ("/v1/imports", "multipart/form-data", CSV),
    ],
)
def test_a_foreign_form_is_submitted_without_effect(
    stack: Stack, foreign_page: Page, path: str, enctype: str, csv: str
) -> None:
    before = state(stack)
    with foreign_page.expect_navigation() as navigation:
        foreign_page.evaluate(SUBMIT, [f"{stack.api_url}{path}", enctype, csv])
    assert navigation.value is not None
    assert navigation.value.status == 403
    assert state(stack) == before


@pytest.mark.parametrize("part", ["ui_url", "serving_url"])
def test_a_foreign_form_gets_nowhere_in_ui_and_serving(stack: Stack, foreign_page: Page, part: str) -> None:
    path = {"ui_url": "/gradio_api/run/predict", "serving_url": "/v2/repository/index"}[part]
    with foreign_page.expect_navigation() as navigation:
        foreign_page.evaluate(SUBMIT, [f"{getattr(stack, part)}{path}", "text/plain", ""])
    assert navigation.value is not None
    assert navigation.value.status == 403


def test_a_foreign_page_reads_nothing(stack: Stack, foreign_page: Page) -> None:
    for url in (
        f"{stack.api_url}/v1/experiments",
        f"{stack.api_url}/openapi.json",
        f"{stack.serving_url}/v2",
        f"{stack.serving_url}/status",
        f"{stack.ui_url}/config",
    ):
        for mode in ("cors", "no-cors"):
            assert_unread(foreign_page.evaluate(FETCH, [url, {"mode": mode}]), url)


def test_a_rebound_page_reads_and_changes_nothing(stack: Stack, browser: Browser) -> None:
    before = state(stack)
    for address, paths in (
        (stack.api_url, ["/v1/experiments", "/v1/deployments/cnn-baseline/stop", "/docs"]),
        (stack.serving_url, ["/v2", "/v2/repository/index", "/status"]),
        (stack.ui_url, ["/config", "/gradio_api/run/predict", "/gradio_api/upload"]),
    ):
        page = browser.new_page()
        rebound = f"http://{REBOUND}:{urlsplit(address).port}"
        opened = page.goto(rebound)
        assert opened is not None
        assert opened.status == 421
        # The page came from its own server while its name still led there. Now the same name and port are ours: to the
        # browser all of this is one origin.
        page.route(
            f"{rebound}/before", lambda route: route.fulfill(content_type="text/html", body="<p>foreign")
        )
        page.goto(f"{rebound}/before")
        for path in paths:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                given = {"method": method, "headers": {"content-type": "application/json"}}
                if method != "GET":
                    given["body"] = '{"name": "stolen"}'
                kind, status, text = page.evaluate(FETCH, [path, given])
                # The page sees that it was turned away, and nothing else.
                assert (kind, status) == ("basic", 421), (address, path, method)
                assert REBOUND in text
        page.close()
    assert state(stack) == before


def test_our_own_pages_work(stack: Stack, browser: Browser) -> None:
    """A control: what is turned away above is not turned away because nothing works."""
    page = browser.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{stack.api_url}/docs")
    page.get_by_text("Marina metadata API").first.wait_for()
    get = {"method": "GET", "headers": stack.headers}
    assert page.evaluate(FETCH, ["/v1/experiments", get])[1] == 200
    assert wrong == []
    # A change, from a page of the API itself: nothing is wrong with it but its body.
    given = {"method": "POST", "headers": {**stack.headers, "content-type": "application/json"}, "body": "{}"}
    assert page.evaluate(FETCH, ["/v1/experiments", given])[1] == 422
    page.close()
