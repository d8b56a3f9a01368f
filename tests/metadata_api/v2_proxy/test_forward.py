"""v2 under the API's own address: whatever answers for a name is asked, and its answer is told as it came."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from metadata_api.app import create_app
from metadata_api.database.tables import Alias, Deployment
from metadata_api.settings import Max
from metadata_api.v2_proxy import forward
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, open_settings
from tests.metadata_api.servers import running
from tests.waiting import until

MODELS = "/v2/models"
PREDICTION = "8d3c6b1e-3f5a-4a55-9d0c-9c3a4d1f2b6e"


class Front(BaseHTTPRequestHandler):
    """Says what it was asked, packed if the client can unpack it."""

    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200
    vary: ClassVar[str] = "Accept"
    asked: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length", 0))
        headers = {key.lower(): value for key, value in self.headers.items()}
        received = {
            "method": self.command,
            "path": self.path,
            "headers": headers,
            "body": self.rfile.read(length),
        }
        if self.path.startswith("/v2/"):  # the API also asks for /status, whenever it likes
            type(self).asked = received
        body = b"an answer"
        packed = "gzip" in headers.get("accept-encoding", "")
        body = gzip.compress(body) if packed else body
        self.send_response(self.status)
        if packed:
            self.send_header("content-encoding", "gzip")
        self.send_header("content-type", "application/octet-stream")
        self.send_header("inference-header-content-length", "2")
        self.send_header("retry-after", "1")
        self.send_header("vary", self.vary)
        self.send_header("X-Handler-Part", "right")
        self.send_header("x-marina-prediction", PREDICTION)
        self.send_header("set-cookie", "a=b")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name is that of http.server

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def front() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own with a deployment, a stopped one, and an alias."""
    with own_database(postgres_url) as engine:
        make_deployment(engine, "digits")
        make_deployment(engine, "asleep", desired="stopped")
        with Session(engine) as session, session.begin():
            row = session.query(Deployment).filter_by(name="digits").one()
            row.name = "champ-pod"  # so that the experiment, the alias and the deployment differ
            session.add(Alias(name="champion", deployment_id=row.id, version_id=row.version_id))
        yield engine


@pytest.fixture(scope="module")
def api(
    engine: Engine, front: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("inference")
    settings = open_settings(engine, folder, f"http://127.0.0.1:{front.server_port}")
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("asked", "passed_on"),
    [
        ("champ-pod/infer", "champ-pod/infer"),
        ("champ-pod/versions/7/infer", "champ-pod/versions/7/infer"),
        ("champ-pod", "champ-pod"),
        ("champ-pod/ready", "champ-pod/ready"),
        ("champion/infer", "champ-pod/versions/1/infer"),
        ("champion/versions/1/infer", "champ-pod/versions/1/infer"),
        ("champion", "champ-pod/versions/1"),
        ("digits/versions/1/infer", "champ-pod/versions/1/infer"),
        ("digits/versions/1", "champ-pod/versions/1"),
    ],
)
def test_each_name_leads_to_the_deployment_that_answers_for_it(
    api: httpx.Client, asked: str, passed_on: str
) -> None:
    method = "POST" if asked.endswith("infer") else "GET"
    answer = api.request(method, f"{MODELS}/{asked}")
    assert (answer.status_code, answer.content) == (200, b"an answer")
    assert (Front.asked["method"], Front.asked["path"]) == (method, f"{MODELS}/{passed_on}")


@pytest.mark.parametrize(
    "asked",
    [
        "unknown/infer",
        "digits/infer",  # an experiment is asked by its version
        "digits/versions/2/infer",
        "digits/versions/one/infer",
        "champion/versions/2/infer",
        "unknown/versions/1",
        "champ-pod/versions/1/infer/more",
        "champ-pod/versions/%2E%2E/infer",
        "champ-pod/versions/1%3Fx/infer",
        "champ-pod/load",
        "..%2F..%2Fstatus",
        "",
    ],
)
def test_an_unknown_name_is_a_404_in_the_form_of_v2(api: httpx.Client, asked: str) -> None:
    answer = api.request("POST" if "infer" in asked else "GET", f"{MODELS}/{asked}")
    assert answer.status_code == 404
    assert answer.json().keys() == {"error", "code"}
    assert " " in answer.json()["error"]


def test_a_stopped_deployment_says_so(api: httpx.Client) -> None:
    answer = api.get(f"{MODELS}/asleep/ready")
    assert answer.status_code == 409
    assert answer.json()["error"] == "Deployment asleep is stopped. Start it first."


def test_binary_bodies_and_their_headers_pass_both_ways(api: httpx.Client) -> None:
    body = b'{"inputs": []}' + bytes(range(256))
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": "14",
        "Accept-Encoding": "identity",
        "Authorization": "Bearer secret",
    }
    answer = api.post(f"{MODELS}/champion/infer", content=body, headers=headers)
    assert Front.asked["body"] == body
    assert Front.asked["headers"]["inference-header-content-length"] == "14"
    assert Front.asked["headers"]["content-type"] == "application/octet-stream"
    assert "authorization" not in Front.asked["headers"]
    assert answer.headers["inference-header-content-length"] == "2"
    assert answer.headers["retry-after"] == "1"
    assert "content-encoding" not in answer.headers


def test_headers_of_handlers_pass_both_ways_and_credentials_do_not(api: httpx.Client) -> None:
    sent = {"X-Handler-Part": "left", "X-Request-Id": "r-7", "Cookie": "a=b", "X-Api-Key": "secret"}
    answer = api.post(f"{MODELS}/champion/infer", headers=[*_raw(sent), (b"X-Handler-Odd", b"\xe9")])
    seen = Front.asked["headers"]
    assert (seen["x-handler-part"], seen["x-request-id"]) == ("left", "r-7")
    assert not seen.keys() & {"cookie", "x-api-key", "x-handler-odd"}
    assert answer.headers["x-handler-part"] == "right"
    assert "set-cookie" not in answer.headers


def test_the_id_of_a_recorded_request_is_told(api: httpx.Client) -> None:
    assert api.post(f"{MODELS}/champion/infer").headers["x-marina-prediction"] == PREDICTION


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def test_a_packed_answer_is_told_as_it_came(api: httpx.Client) -> None:
    answer = api.get(f"{MODELS}/champion", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == b"an answer"


def test_an_error_of_the_server_is_told_with_its_status(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Front, "status", 503)
    answer = api.post(f"{MODELS}/champion/infer")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_body_over_the_limit_is_refused_in_the_form_of_v2(api: httpx.Client) -> None:
    answer = api.post(f"{MODELS}/champion/infer", content=bytes(11 * 1024 * 1024))
    assert answer.status_code == 413
    assert answer.json().keys() == {"error", "code"}


def test_a_server_that_is_away_is_a_503(engine: Engine, front: ThreadingHTTPServer, tmp_path: Any) -> None:
    settings = open_settings(engine, tmp_path, "http://127.0.0.1:9")
    with running(create_app(settings)) as address:
        answer = httpx.post(f"{address}{MODELS}/champion/infer", content=json.dumps({}), timeout=30)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"] == "The server of champ-pod does not answer. Try again."


def test_a_server_that_hangs_is_not_ready_within_seconds(engine: Engine, tmp_path: Any) -> None:
    """Anybody may ask, so nobody can hold connections by it for long."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = open_settings(engine, tmp_path, f"http://127.0.0.1:{mute.getsockname()[1]}")
        with running(create_app(settings)) as address:
            began = time.monotonic()
            answer = httpx.get(f"{address}{MODELS}/champion/ready", timeout=30)
    assert time.monotonic() - began < 8
    assert (answer.status_code, answer.json()["ready"]) == (503, False)


def test_a_server_that_hangs_has_the_time_of_its_installation_or_deployment(
    engine: Engine, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "WAY_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = open_settings(engine, tmp_path, f"http://127.0.0.1:{mute.getsockname()[1]}")
        with running(create_app(settings.model_copy(update={"max": Max(response_seconds=0.3)}))) as address:

            def waited() -> float:
                began = time.monotonic()
                answer = httpx.post(f"{address}{MODELS}/champ-pod/infer", content=b"{}", timeout=30)
                assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
                return time.monotonic() - began

            assert 0.4 < waited() < 1.2
            with engine.begin() as connection:
                connection.execute(
                    text("update deployments set response_seconds = 1 where name = 'champ-pod'")
                )
            try:
                until(lambda: waited() > 1.1, "the deployment's own time holds")
            finally:
                with engine.begin() as connection:
                    connection.execute(text("update deployments set response_seconds = null"))


@pytest.mark.parametrize("name", ["accept-encoding", "content-type", "content-encoding"])
@pytest.mark.parametrize("value", [b"\xff", b"gzip, \xc3\xa9"])
def test_a_header_that_cannot_be_passed_on_is_a_400_that_names_it(
    api: httpx.Client, name: str, value: bytes
) -> None:
    for method, path in (("GET", "champ-pod"), ("POST", "champ-pod/infer")):
        answer = api.request(method, f"{MODELS}/{path}", headers=[(name.encode(), value)])
        assert answer.status_code == 400
        assert name in answer.json()["error"]


def test_a_header_of_the_model_that_cannot_be_passed_on_is_a_502(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Front, "vary", "\xff")
    answer = api.get(f"{MODELS}/champ-pod")
    assert answer.status_code == 502
    assert "vary" in answer.json()["error"]
