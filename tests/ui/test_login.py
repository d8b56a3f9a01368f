"""Who is let in: links, the login's form, the cookie, the logout, and what everybody else gets."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from model_ui import archives, login
from model_ui.asgi import App, Receive, Scope, Send
from model_ui.attempts import FREE, WINDOW_SECONDS, WrongAttempts
from model_ui.authentication import visitor_of
from model_ui.credentials import MAX_LENGTH
from model_ui.guard import HEADERS
from model_ui.metadata_client import MetadataClient
from model_ui.pages import PATHS
from model_ui.settings import Settings
from model_ui.shell import gradio_routes
from tests.asgi import Server
from tests.ports import free_port
from tests.ui.apps import mount_pages, protect
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import me, token
from tests.waiting import until

HOST = "http://marina.example"
EVENTS = "/gradio_api/run/predict"
EVENT = {"data": [None, []], "fn_index": 0, "session_hash": "x"}
TOKEN, WRONG = token("deployer"), token("deployer", 99)
COOKIE = {"cookie": f"marina_7860={TOKEN}"}
HTML = {"accept": "text/html"}
Request = Callable[..., httpx.Response]


@pytest.fixture
def fake() -> FakeApi:
    """An API that knows one token."""
    fake = FakeApi()
    fake.tokens = {TOKEN: me("deployer")}
    return fake


class Site:
    """The layers of the UI around an application; one request to it in this process by `send`."""

    def __init__(self, pages: App, fake: FakeApi, **changes: Any) -> None:
        settings = Settings(allowed_hosts=("marina.example",), **changes)
        client = MetadataClient("http://api", transport=httpx.ASGITransport(fake.app))
        self.app = protect(pages, settings, client)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
                return await client.request(method, path, **options)

        return anyio.run(run)


@pytest.fixture(scope="module")
def pages() -> App:
    """Gradio's pages, which take seconds to build; no test here sends them an event."""
    settings = Settings()
    return mount_pages(settings, MetadataClient(settings.api_url))


@pytest.fixture
def site(pages: App, fake: FakeApi) -> Callable[..., Site]:
    """The pages behind layers with some settings."""
    return lambda **changes: Site(pages, fake, **changes)


@pytest.fixture
def send(site: Callable[..., Site]) -> Request:
    return site().send


def is_login(answer: httpx.Response) -> bool:
    """Whether a response is the login: a page of ours that needs no script."""
    return (
        answer.headers["content-type"].startswith("text/html")
        and 'name="token"' in answer.text
        and "<script" not in answer.text
        and "gradio" not in answer.text.lower()
    )


class TestWithoutAuthenticationOfTheApi:
    def test_nobody_needs_a_login(self, fake: FakeApi, send: Request) -> None:
        fake.tokens = None
        assert "gradio" in send("GET", "/").text
        assert send("GET", "/config").status_code == 200
        assert send("GET", "/pulse").json()["role"] == "admin"
        assert "set-cookie" not in send("GET", "/").headers

    def test_a_link_with_a_token_leads_on_without_a_cookie(self, fake: FakeApi, send: Request) -> None:
        fake.tokens = None
        answer = send("GET", f"/?token={WRONG}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "set-cookie" not in answer.headers

    def test_a_cookie_of_before_is_no_hindrance(self, fake: FakeApi, send: Request) -> None:
        fake.tokens = None
        assert send("GET", "/", headers={"cookie": f"marina_7860={WRONG}"}).status_code == 200


class TestWithoutACredential:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_page_is_the_login(self, send: Request, method: str) -> None:
        answer = send(method, "/")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        if method == "GET":
            assert is_login(answer)
            assert ".marina/run/token" in answer.text
            assert "helm get notes" in answer.text

    def test_every_route_that_is_not_named_as_open_is_closed(self, send: Request) -> None:
        closed = {*PATHS, *gradio_routes.PAGES} - {*login.OPEN, *login.ROUTES}
        prefixes = (*gradio_routes.PREFIXES, archives.PREFIX)
        closed |= {f"{path}x" for path in prefixes if path not in login.OPEN_PREFIXES}
        assert len(closed) >= 12
        for path in closed:
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                assert send(method, path).status_code == 401, (method, path)
        answer = send("POST", EVENTS, json={})
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Log in again" in answer.json()["detail"]

    def test_a_body_is_not_read(self, send: Request) -> None:
        taken: list[int] = []

        async def body() -> Any:
            for number in range(100):
                taken.append(number)
                yield b"x"

        assert send("POST", EVENTS, content=body()).status_code == 401
        # httpx asks for the first part before the application does.
        assert len(taken) <= 1

    def test_what_holds_no_data_is_open(self, send: Request) -> None:
        assert send("GET", "/livez").status_code == 200
        assert send("GET", "/theme.css").status_code == 200
        assert send("GET", "/static/img/logo.svg").status_code != 401

    def test_the_rules_on_hosts_and_origins_come_first(self, send: Request) -> None:
        assert send("GET", f"/?token={TOKEN}", headers={"host": "evil.example"}).status_code == 421
        for path in ("/login", "/logout"):
            foreign = {"origin": "http://evil.example"}
            answer = send("POST", path, data={"token": TOKEN}, headers=foreign)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers

    def test_an_operator_may_say_where_the_token_is(self, site: Callable[..., Site]) -> None:
        answer = site(login_hint="Ask <b>Ada</b>.").send("GET", "/")
        assert "Ask &lt;b&gt;Ada&lt;/b&gt;." in answer.text
        assert ".marina" not in answer.text

    def test_a_page_of_another_site_that_led_here_gets_a_way_on(self, send: Request) -> None:
        way = '<a href="/?x=1">Go on to the page</a>'
        assert way in send("GET", "/?x=1", headers={"sec-fetch-site": "cross-site"}).text
        assert way not in send("GET", "/?x=1", headers={"sec-fetch-site": "none"}).text


class TestLinks:
    def test_a_token_is_traded_for_a_cookie(self, send: Request) -> None:
        answer = send("GET", f"/?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = f"marina_7860={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
        assert answer.headers.get_list("set-cookie") == [cookie]
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("led_by", ["cross-site", "same-site"])
    def test_one_of_another_page_logs_nobody_in_before_they_agree(self, send: Request, led_by: str) -> None:
        link = send("GET", f"/?token={TOKEN}&a=1", headers={"sec-fetch-site": led_by, **COOKIE})
        assert "set-cookie" not in link.headers
        assert "logs you in as <b>a deployer</b> (deployer)" in link.text
        fields = dict(re.findall(r'<input name="(\w+)" type="hidden" value="([^"]*)"', link.text))
        agreed = send("POST", "/login", data=fields, headers={"sec-fetch-site": "same-origin"})
        assert (agreed.status_code, agreed.headers["location"]) == (303, "/?a=1")
        assert agreed.headers["set-cookie"].startswith(f"marina_7860={TOKEN};")
        assert send("POST", "/login", data=fields, headers={"sec-fetch-site": led_by}).status_code == 403

    def test_a_wrong_one_of_another_page_is_wrong(self, send: Request) -> None:
        answer = send("GET", f"/?token={WRONG}", headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 401
        assert is_login(answer)

    def test_the_rest_of_the_query_stays(self, send: Request) -> None:
        answer = send("GET", f"/?a=1&token={TOKEN}&b=%C3%A9%0d%0aX:+y&c=")
        assert answer.headers["location"] == "/?a=1&b=%C3%A9%0D%0AX%3A+y&c="

    def test_a_cookie_is_of_the_root_path_and_secure_behind_https(self, site: Callable[..., Site]) -> None:
        send = site(root_path="marina", public_url="https://marina.example/marina").send
        for path in ("/marina/", "/"):
            answer = send("GET", f"{path}?token={TOKEN}")
            assert answer.headers["location"] == "/marina/"
            attributes = "Path=/marina; HttpOnly; Secure; SameSite=Strict"
            assert answer.headers["set-cookie"] == f"marina_7860={TOKEN}; {attributes}"
        answer = send("GET", f"/marina?token={TOKEN}")
        assert answer.headers["location"] == f"/marina/?token={TOKEN}"

    def test_no_other_host_of_the_domain_can_set_it_behind_https(self, site: Callable[..., Site]) -> None:
        send = site(public_url="https://marina.example").send
        cookie = send("GET", f"/?token={TOKEN}").headers["set-cookie"]
        assert cookie == f"__Host-marina_7860={TOKEN}; Path=/; HttpOnly; Secure; SameSite=Strict"
        assert send("GET", "/", headers={"cookie": f"__Host-marina_7860={TOKEN}"}).status_code == 200
        assert send("GET", "/", headers=COOKIE).status_code == 401

    def test_a_wrong_token_gets_the_login_with_what_to_do(self, send: Request) -> None:
        answer = send("GET", f"/?token={WRONG}")
        assert answer.status_code == 401
        assert is_login(answer)
        assert "This token is not accepted." in answer.text
        assert ".marina/run/token" in answer.text
        assert WRONG not in answer.text
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        "bad", ["", "%00", "a%0d%0ab", "a;b", "a b", "%C3%A9", "x" * (MAX_LENGTH + 1)], ids=ascii
    )
    def test_what_cannot_be_a_token_never_reaches_the_api(
        self, fake: FakeApi, send: Request, bad: str
    ) -> None:
        assert send("GET", f"/?token={bad}").status_code == 401
        assert [one for _, one in fake.presented if one is not None] == []

    def test_a_token_in_an_address_that_is_no_page_is_ignored(self, send: Request) -> None:
        assert send("GET", f"/config?token={TOKEN}").status_code == 401
        assert send("POST", f"{EVENTS}?token={TOKEN}", json={}).status_code == 401


class TestTheForm:
    @pytest.mark.parametrize(
        "typed", [TOKEN, f"  {TOKEN}\n", f"Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"]
    )
    def test_it_takes_a_token_as_people_paste_it(self, send: Request, typed: str) -> None:
        answer = send("POST", "/login", data={"token": typed, "next": "/?a=1"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/?a=1")
        assert answer.headers["set-cookie"].startswith(f"marina_7860={TOKEN};")

    @pytest.mark.parametrize(
        "address",
        [
            "//evil.example", "/\\evil.example", "http://evil.example", "/a//evil.example", "/a/../b", "evil", "",
            "/?a\r\nset-cookie: b=c",
            "/%2fevil.example", "/?" + "x" * 3000,
        ],
        ids=ascii,
    )  # fmt: skip
    def test_it_leads_to_no_other_server(self, send: Request, address: str) -> None:
        answer = send("POST", "/login", data={"token": TOKEN, "next": address})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    def test_a_wrong_token_gets_the_form_again_on_its_way_to_the_same_page(self, send: Request) -> None:
        answer = send("POST", "/login", data={"token": WRONG, "next": "/?a=1"})
        assert answer.status_code == 401
        assert is_login(answer)
        assert 'value="/?a=1"' in answer.text
        assert "set-cookie" not in answer.headers

    def test_bad_bodies_are_rejected(self, send: Request) -> None:
        assert send("POST", "/login", content=b"x" * 20_000).status_code == 413
        assert send("POST", "/login", content=b"\xff\xfe").status_code == 400
        assert send("POST", "/login", content=b"&".join(b"a=1" for _ in range(50))).status_code == 400
        assert send("POST", "/login", content=b"").status_code == 401

    def test_to_open_its_address_leads_to_the_page(self, send: Request) -> None:
        answer = send("GET", f"/login?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "set-cookie" not in answer.headers


class TestTheCookie:
    def test_it_lets_in(self, send: Request) -> None:
        answer = send("GET", "/", headers=COOKIE)
        assert answer.status_code == 200
        assert "gradio" in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert send("POST", EVENTS, json=EVENT, headers=COOKIE).status_code == 200
        assert send("GET", "/pulse", headers=COOKIE).json()["role"] == "deployer"

    def test_it_is_found_among_others(self, send: Request) -> None:
        mixed = f"a=1; marina_78=x; marina_7860={TOKEN}; marina_7860=later"
        assert send("GET", "/config", headers={"cookie": mixed}).status_code == 200

    @pytest.mark.parametrize(
        "cookie", [f"marina_7861={TOKEN}", f"xmarina_7860={TOKEN}", "marina_7860=", f"marina_7860={WRONG}"]
    )
    def test_one_of_another_installation_or_with_another_token_does_not(
        self, send: Request, cookie: str
    ) -> None:
        assert send("GET", "/config", headers={"cookie": cookie}).status_code == 401
        assert send("GET", "/pulse", headers={"cookie": cookie}).status_code == 401
        assert is_login(send("GET", "/", headers={"cookie": cookie}))

    def test_who_is_no_longer_known_is_told_so(self, fake: FakeApi, send: Request) -> None:
        fake.tokens = {}
        answer = send("GET", "/", headers=COOKIE)
        assert answer.status_code == 401
        assert "You are no longer logged in" in answer.text

    def test_another_process_of_the_ui_takes_it_too(self, site: Callable[..., Site]) -> None:
        cookie = site().send("GET", f"/?token={TOKEN}").headers["set-cookie"].partition(";")[0]
        assert site().send("GET", "/", headers={"cookie": cookie}).status_code == 200

    def test_a_bearer_token_of_a_proxy_comes_before_it(self, fake: FakeApi, send: Request) -> None:
        bearer = {"authorization": f"bearer {TOKEN}"}
        assert send("GET", "/config", headers=bearer).status_code == 200
        both = {"authorization": f"Bearer {WRONG}", **COOKIE}
        assert send("GET", "/config", headers=both).status_code == 401
        basic = {"authorization": "Basic YTpi", **COOKIE}
        assert send("GET", "/config", headers=basic).status_code == 200

    def test_the_logout_deletes_it(self, send: Request) -> None:
        answer = send("POST", "/logout", headers={**COOKIE, "origin": HOST})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert answer.headers["set-cookie"] == "marina_7860=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
        assert "set-cookie" not in send("GET", "/logout", headers=COOKIE).headers


class TestAnApiThatIsAway:
    def test_nobody_gets_a_login_that_could_not_work(self, fake: FakeApi, send: Request) -> None:
        fake.away = True
        for path in ("/", f"/?token={TOKEN}"):
            answer = send("GET", path, headers=HTML)
            assert answer.status_code == 503
            assert "The API does not answer" in answer.text
            assert not is_login(answer)
            assert answer.headers["refresh"]
        answer = send("POST", "/login", data={"token": TOKEN})
        assert answer.status_code == 503
        assert "refresh" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert send("GET", "/config", headers=COOKIE).status_code == 503
        assert send("GET", "/pulse", headers=COOKIE).status_code == 503

    def test_who_was_known_a_moment_ago_stays(self, fake: FakeApi, send: Request) -> None:
        assert send("GET", "/config", headers=COOKIE).status_code == 200
        fake.away = True
        assert send("GET", "/config", headers=COOKIE).status_code == 200
        assert send("GET", "/config").status_code == 503


class TestGuessing:
    def test_wrong_tokens_are_slowed_and_the_right_one_is_let_in_at_once(
        self, send: Request, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(login, "SLOW_SECONDS", 0.3)
        for number in range(FREE):
            assert send("GET", f"/?token={token('admin', number)}").status_code == 401
        start = time.monotonic()
        answer = send("POST", "/login", data={"token": WRONG})
        assert time.monotonic() - start >= 0.3
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "60"
        assert is_login(answer)
        assert send("POST", "/login", data={"token": TOKEN}).status_code == 303
        assert send("GET", f"/?token={TOKEN}").status_code == 303

    def test_whoever_guesses_does_not_fill_the_log(
        self, send: Request, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(login, "SLOW_SECONDS", 0)
        for number in range(3 * FREE):
            send("GET", f"/?token={token('admin', number)}")
        assert sum("wrong token" in record.getMessage() for record in caplog.records) == FREE

    def test_an_address_has_some_free_ones_in_a_minute(self) -> None:
        now = 0.0
        attempts = WrongAttempts(lambda: now)
        assert [attempts.note("10.0.0.1") for _ in range(FREE + 2)] == [False] * FREE + [True, True]
        assert not attempts.note("10.0.0.2")
        now += WINDOW_SECONDS - 1
        assert attempts.note("10.0.0.1")
        now += 1
        assert not attempts.note("10.0.0.1")

    def test_the_addresses_of_one_machine_count_as_one(self) -> None:
        attempts = WrongAttempts()
        said = [attempts.note(f"2001:db8::{number:x}") for number in range(FREE + 1)]
        assert said[-1]
        assert not attempts.note("2001:db8:0:1::1")

    def test_many_addresses_take_bounded_memory(self) -> None:
        attempts = WrongAttempts()
        for number in range(10_000):
            attempts.note(f"10.0.{number // 256}.{number % 256}")
        assert len(vars(attempts)["_found"]) <= 4096


def test_the_application_behind_learns_who_asks_but_no_credential(fake: FakeApi) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    site = Site(app, fake)
    site.send("GET", "/config", headers={**COOKIE, "x-other": "1"})
    site.send("GET", "/config", headers={"authorization": f"Bearer {TOKEN}"})
    assert len(seen) == 2
    for scope in seen:
        assert not {b"cookie", b"authorization"} & dict(scope["headers"]).keys()
        request = type("GradioRequest", (), {"request": type("Request", (), {"scope": scope})})
        visitor = visitor_of(request)
        assert (visitor.me.role, visitor.token) == ("deployer", TOKEN)


def test_no_token_is_in_the_log_of_the_running_ui(fake: FakeApi, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with Server(fake.app) as api, log.open("wb") as output:
        settings = {"UI_API_URL": api.url, "UI_PORT": str(port), "UI_UPLOAD_DIR": str(tmp_path / "uploads")}
        command = [sys.executable, "-m", "model_ui"]
        environment = {**os.environ, "PYTHONPATH": "ui", **settings}
        ui = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                until(lambda: ui.poll() is not None or answers(client), "the UI starts", 60)
                for presented, status in ((TOKEN, 303), (WRONG, 401)):
                    assert client.get("/", params={"token": presented}).status_code == status
                    assert client.post("/login", data={"token": presented}).status_code == status
                    client.cookies.clear()
                    client.get("/config", headers={"authorization": f"Bearer {presented}"})
                    client.get("/nowhere", params={"token": presented})
                    client.post(
                        f"/gradio_api/run/predict?token={presented}", content=presented, headers=COOKIE
                    )
        finally:
            ui.terminate()
            ui.wait(20)
    said = log.read_text()
    assert "logs in as deployer" in said
    assert "a wrong token from 127.0.0.1" in said
    assert TOKEN not in said
    assert WRONG not in said


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False
