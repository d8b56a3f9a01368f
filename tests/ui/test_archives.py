"""The upload of an archive through the UI: who may, how large, and that it travels on while it arrives."""

import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from model_ui import bodies
from model_ui.archives import MOST_AT_ONCE
from model_ui.metadata_client import MetadataClient
from model_ui.settings import Settings
from tests.asgi import Server
from tests.raw_http import Line
from tests.ui.apps import protect
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import me, token
from tests.ui.fake_models import ARCHIVE, NOT_A_ZIP, version
from tests.waiting import until

MEBIBYTE = 1024 * 1024
PUBLISHER, VIEWER = token("publisher"), token("viewer", 2)
Site = tuple[str, FakeApi]


@pytest.fixture
def site() -> Iterator[Site]:
    """The UI's layers around nothing, and the fake API behind it that knows two tokens."""
    fake = FakeApi()
    fake.tokens = {PUBLISHER: me("publisher"), VIEWER: me("viewer")}

    with Server(fake.app) as api:
        settings = Settings(api_url=api.url, max_archive_bytes=64 * MEBIBYTE)
        client = MetadataClient(api.url)

        @asynccontextmanager
        async def lifespan(_: object) -> AsyncIterator[None]:
            async with client:
                yield

        with Server(protect(FastAPI(lifespan=lifespan), settings, client)) as server:
            yield server.url, fake


def upload(
    url: str, content: bytes, *, name: str = "cnn-fast", new: bool = False, by: str = PUBLISHER
) -> httpx.Response:
    query = "?new=1" if new else ""
    headers = {"authorization": f"Bearer {by}"}
    return httpx.post(f"{url}/archives/{name}{query}", content=content, headers=headers, timeout=20)


def test_it_becomes_the_next_version_of_its_experiment(site: Site) -> None:
    url, fake = site
    answer = upload(url, b"PK..")
    assert (answer.status_code, answer.json()) == (201, {"experiment": "cnn-fast", "version": "4"})
    assert fake.presented[-1] == ("POST /v1/experiments/cnn-fast/versions", f"Bearer {PUBLISHER}")


def test_a_new_experiment_is_made_and_one_that_was_made_meanwhile_is_as_good(site: Site) -> None:
    url, fake = site
    assert upload(url, b"PK", name="brand-new", new=True).json()["version"] == "1"
    assert upload(url, b"PK", name="brand-new", new=True).json()["version"] == "2"
    assert fake.experiments["brand-new"]["latest_version"] == 2


def test_slow_ones_take_no_connection_from_the_pages(site: Site) -> None:
    """Those whose bytes do not come are so many at most; the next one is told to come back."""
    url, _ = site
    with ExitStack() as lines:
        for _ in range(MOST_AT_ONCE):
            line = lines.enter_context(Line(url))
            token = f"Bearer {PUBLISHER}"
            line.send(
                line.head("POST", "/archives/cnn-fast", content_length="1000", authorization=token) + b"PK"
            )
        time.sleep(0.5)
        answer = upload(url, b"PK")
        assert (answer.status_code, "under way" in answer.json()["detail"]) == (503, True)
        answered = httpx.get(f"{url}/", headers={"authorization": f"Bearer {PUBLISHER}"}, timeout=5)
        assert answered.status_code < 500
    until(lambda: upload(url, b"PK").status_code == 201, "there is room again when they have gone")


def test_a_rejected_one_is_answered_in_the_words_of_the_api(site: Site) -> None:
    answer = upload(site[0], b"no zip" * MEBIBYTE)
    assert (answer.status_code, answer.json()) == (400, {"error": "archive_invalid", "detail": NOT_A_ZIP})


def test_a_rejected_one_leaves_no_experiment(site: Site) -> None:
    url, fake = site
    assert upload(url, b"no zip", name="brand-new", new=True).status_code == 400
    assert "brand-new" not in fake.experiments


def test_who_may_not_upload_is_told_so(site: Site) -> None:
    url, fake = site
    answer = upload(url, b"PK", by=VIEWER)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert httpx.post(f"{url}/archives/cnn-fast", content=b"PK").status_code == 401
    assert fake.models.versions == {}


def test_another_origin_uploads_nothing(site: Site) -> None:
    headers = {"authorization": f"Bearer {PUBLISHER}", "origin": "http://evil.example"}
    assert httpx.post(f"{site[0]}/archives/cnn-fast", content=b"PK", headers=headers).status_code == 403


@pytest.mark.parametrize("name", ["Upper", "a%2fb", ""])
def test_what_is_no_name_is_no_other_path(site: Site, name: str) -> None:
    url, fake = site
    assert upload(url, b"PK", name=name).status_code == 404
    assert not [call for call in fake.calls if not call.endswith("/v1/me")]


def test_one_that_is_too_large_is_rejected_before_it_is_sent(site: Site) -> None:
    with Line(site[0]) as line:
        head = {"content_length": str(65 * MEBIBYTE), "authorization": f"Bearer {PUBLISHER}"}
        line.send(line.head("POST", "/archives/cnn-fast", **head))
        [answer] = line.answers()
    assert answer.status == 413
    assert b"archives of more than 67,108,864 are not accepted" in answer.body


def test_it_travels_on_while_it_arrives_and_memory_stays_flat(site: Site) -> None:
    url, fake = site
    parts = 24

    def content() -> Iterator[bytes]:
        yield b"PK"
        for _ in range(parts):
            yield b"x" * MEBIBYTE
        until(lambda: fake.models.received >= (parts - 8) * MEBIBYTE, "the API has most of it")
        yield b"end"

    size = 2 + parts * MEBIBYTE + 3
    headers = {"authorization": f"Bearer {PUBLISHER}", "content-length": str(size)}
    tracemalloc.start()
    try:
        answer = httpx.post(f"{url}/archives/cnn-fast", content=content(), headers=headers, timeout=30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == 201
    assert fake.models.versions["cnn-fast", 4]["size"] == size
    assert peak < 10 * MEBIBYTE


def test_one_that_does_not_go_on_ends_at_the_api_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    url, fake = site
    monkeypatch.setattr(bodies, "SECONDS_TO_START", 0.3)
    with Line(url) as line:
        head = {"content_length": "1000", "authorization": f"Bearer {PUBLISHER}"}
        line.send(line.head("POST", "/archives/cnn-fast", **head) + b"PK")
        assert [one.status for one in line.answers()] == [408]
    time.sleep(0.1)
    assert fake.models.versions == {}


class TestDownloads:
    def test_an_archive_comes_as_it_is_under_a_name_of_its_own(self, site: Site) -> None:
        url, fake = site
        fake.models.versions["cnn-fast", 3] = version("cnn-fast", 3)
        headers = {"authorization": f"Bearer {VIEWER}", "accept-encoding": "gzip"}
        answer = httpx.get(f"{url}/archives/cnn-fast/3", headers=headers)
        assert answer.content == ARCHIVE
        assert answer.headers["content-disposition"] == 'attachment; filename="cnn-fast-3.mar"'
        assert "content-encoding" not in answer.headers
        assert fake.presented[-1] == ("GET /artifacts/cnn-fast/3/cnn-fast.mar", f"Bearer {VIEWER}")

    @pytest.mark.parametrize("path", ["cnn-fast/9", "cnn-fast/x", "Bad/1", "cnn-fast", "..%2f..%2fv1/1"])
    def test_what_is_not_there_is_told(self, site: Site, path: str) -> None:
        answer = httpx.get(f"{site[0]}/archives/{path}", headers={"authorization": f"Bearer {VIEWER}"})
        assert (answer.status_code, answer.json()["error"]) == (404, "version_unknown")

    def test_nobody_gets_one_without_a_token(self, site: Site) -> None:
        assert httpx.get(f"{site[0]}/archives/cnn-fast/3").status_code == 401
