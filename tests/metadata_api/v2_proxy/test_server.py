"""The addresses of v2 that concern the server as a whole, at the API: the same as at the front."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from serving_runtime.protocol import server as about
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, url_of
from tests.metadata_api.servers import Front, V2Server, running
from tests.waiting import until

INDEX = "/v2/repository/index"
STATS = b'{"model_stats": [{"name": "%s", "version": "1", "inference_count": 3}]}'


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own with two deployments and a stopped one."""
    with own_database(postgres_url) as engine:
        make_deployment(engine, "digits")
        make_deployment(engine, "letters")
        make_deployment(engine, "asleep", desired="stopped")
        yield engine


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Front:
    return Front(tmp_path_factory.mktemp("front") / "models.json")


@pytest.fixture(scope="module")
def serving(front: Front) -> Iterator[V2Server]:
    with V2Server() as server:
        server.status = front.status
        yield server


@pytest.fixture(scope="module")
def api(
    engine: Engine, front: Front, serving: V2Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    settings = Settings(
        auth=Auth(mode="off"),
        database_url=url_of(engine),
        store_dir=tmp_path_factory.mktemp("store"),
        serving_url=serving.url,
        serving_models_file=front.models_file,
    )
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture
def ready(api: httpx.Client, front: Front) -> None:
    """Both deployments that shall run are ready, and the API has seen it."""
    front.states.clear()
    until(lambda: api.get("/v2/health/ready").status_code == 200, "the API sees that all are ready")


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_says_what_it_is(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    document = answer.json()
    assert document["name"] == "marina"
    assert document["extensions"] == list(about.EXTENSIONS)
    assert document["version"] == about.metadata()["version"]


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/live/"])
def test_it_is_live(api: httpx.Client, path: str) -> None:
    assert api.get(path).json() == {"live": True}


@pytest.mark.usefixtures("ready")
def test_it_is_ready_as_long_as_every_deployment_that_shall_run_is(api: httpx.Client, front: Front) -> None:
    assert api.get("/v2/health/ready").json() == {"ready": True, "live": True}
    front.states["letters"] = {"live_version": None, "state": "failed", "reason": "no memory"}
    until(lambda: api.get("/v2/health/ready").status_code == 503, "the API sees that one has failed")
    assert api.get("/v2/health/ready").json() == {"ready": False, "live": True}


@pytest.mark.usefixtures("ready")
def test_head_has_the_headers_of_get_and_no_body(api: httpx.Client) -> None:
    for path in ("/v2", "/v2/health/ready", "/v2/models/stats"):
        got, head = api.get(path), api.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.usefixtures("ready")
def test_the_index_lists_what_shall_run_with_its_state(api: httpx.Client, front: Front) -> None:
    ready_one = {"name": "digits", "version": "1", "state": "READY", "reason": ""}
    other = {"name": "letters", "version": "1", "state": "READY", "reason": ""}
    assert api.post(INDEX).json() == [ready_one, other]
    assert api.post(f"{INDEX}/", json={}).json() == [ready_one, other]
    front.states["letters"] = {"live_version": None, "state": "failed", "reason": "no memory"}

    def states() -> list[str]:
        return [item["state"] for item in api.post(INDEX).json()]

    until(lambda: states() == ["READY", "UNAVAILABLE"], "the index follows")
    assert api.post(INDEX).json()[1]["reason"] == "no memory"
    assert api.post(INDEX, json={"ready": True}).json() == [ready_one]


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ready": 1}', b"\xff"])
def test_a_filter_of_the_index_that_cannot_be_read_is_a_400(api: httpx.Client, body: bytes) -> None:
    answer = api.post(INDEX, content=body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error", "code"]


def test_statistics_are_those_of_every_server_that_answers(api: httpx.Client, serving: V2Server) -> None:
    def stats(name: bytes) -> Callable[[], bytes]:
        return lambda: STATS % name

    serving.documents = {
        "/v2/models/digits/stats": stats(b"digits"),
        "/v2/models/letters/stats": stats(b"letters"),
    }
    found = api.get("/v2/models/stats").json()["model_stats"]
    assert [item["name"] for item in found] == ["digits", "letters"]
    serving.documents = {
        "/v2/models/digits/stats": stats(b"digits"),
        "/v2/models/letters/stats": lambda: b"not JSON",
    }
    assert [item["name"] for item in api.get("/v2/models/stats").json()["model_stats"]] == ["digits"]


@pytest.mark.parametrize("action", ["load", "unload"])
def test_models_are_neither_loaded_nor_unloaded_here(api: httpx.Client, action: str) -> None:
    answer = api.post(f"/v2/repository/models/digits/{action}")
    assert (answer.status_code, list(answer.json())) == (403, ["error", "code"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2", "GET"),
        ("DELETE", "/v2/health/ready", "GET"),
        ("GET", INDEX, "POST"),
        ("GET", "/v2/models/digits/infer", "POST"),
        ("PUT", "/v2/models/digits", "GET"),
        ("POST", "/v2/models/stats", "GET"),
    ],
)
def test_another_method_is_a_405_that_names_the_right_one(
    api: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert list(answer.json()) == ["error", "code"]


@pytest.mark.parametrize(
    "path", ["/v2/nothing", "/v2/health", "/v2/models", "/v2/repository", "/v2/models//ready"]
)
def test_what_v2_does_not_have_is_a_404(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, list(answer.json())) == (404, ["error", "code"])
