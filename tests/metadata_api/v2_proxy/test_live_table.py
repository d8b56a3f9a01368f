"""v2 through the API needs no database to answer, and follows every change within a second."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.http_pool import HttpPool
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests.databases import own_database
from tests.metadata_api.database.test_outage import stopped
from tests.metadata_api.making import make_deployment, url_of
from tests.metadata_api.servers import Front, V2Server, running, says
from tests.postgres import Database
from tests.waiting import until

CHAMPION = "/v1/aliases/champion"
NAMES = ("digits", "champion", "digits/versions/1")
AT_ONCE = 32


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own with two deployments of version 1."""
    with own_database(postgres_url) as engine:
        make_deployment(engine, "digits")
        make_deployment(engine, "letters")
        yield engine


@pytest.fixture
def settings(engine: Engine, tmp_path: Path) -> Iterator[Settings]:
    """Of an API before a server whose models answer with their own names."""
    front = Front(tmp_path / "models.json")
    with V2Server() as serving:
        serving.status = front.status
        serving.models = {name: says(name.encode()) for name in ("digits", "letters")}
        yield Settings(
            auth=Auth(mode="off"),
            database_url=url_of(engine),
            store_dir=tmp_path / "store",
            serving_url=serving.url,
            serving_models_file=front.models_file,
        )


def asked(api: httpx.Client) -> str:
    return api.post("/v2/models/champion/infer", json={}).text


async def ask_many(address: str, count: int) -> list[int]:
    """Statuses of `count` inferences, under the deployment's name, its alias and its experiment's version."""
    statuses = []
    left = iter(range(count))

    async def client(pool: HttpPool) -> None:
        for number in left:
            url = f"{address}/v2/models/{NAMES[number % len(NAMES)]}/infer"
            response = await pool.request("POST", url, headers={}, body=b"{}", max_bytes=1000)
            statuses.append(response.status)

    async with HttpPool() as pool:
        await asyncio.gather(*(client(pool) for _ in range(AT_ONCE)))
    return statuses


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.long)])
def test_while_postgres_is_stopped_no_inference_through_the_api_fails(
    settings: Settings, database: Database, count: int
) -> None:
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as api:
        api.put(CHAMPION, json={"deployment": "digits"}).raise_for_status()
        assert asked(api) == "digits"
        with stopped(database):
            statuses = asyncio.run(ask_many(address, count))
            assert api.get("/v2/models/unknown").status_code == 404
            assert api.post("/v2/repository/index").status_code == 200
        assert statuses == [200] * count
        until(lambda: api.get(CHAMPION).status_code == 200, "the database is back")


def test_before_the_first_table_a_503_says_why(settings: Settings, database: Database) -> None:
    with stopped(database), running(create_app(settings)) as address:
        answer = httpx.post(f"{address}/v2/models/digits/infer", content=b"{}", timeout=30)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "database" in answer.json()["error"]
        assert httpx.get(f"{address}/v2/health/live", timeout=30).json() == {"live": True}


def test_a_client_sees_its_own_change_at_once(settings: Settings) -> None:
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as api:
        for _ in range(10):
            for name in ("digits", "letters"):
                api.put(CHAMPION, json={"deployment": name}).raise_for_status()
                assert asked(api) == name


def test_another_replica_follows_within_a_second(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"store_dir": tmp_path / "other"})
    with (
        running(create_app(settings)) as one,
        running(create_app(other)) as two,
        httpx.Client(base_url=one, timeout=30) as writer,
        httpx.Client(base_url=two, timeout=30) as reader,
    ):
        writer.put(CHAMPION, json={"deployment": "digits"}).raise_for_status()
        until(lambda: asked(reader) == "digits", "the other replica knows the alias")
        writer.put(CHAMPION, json={"deployment": "letters"}).raise_for_status()
        began = time.monotonic()
        until(lambda: asked(reader) == "letters", "the other replica follows")
        assert time.monotonic() - began < 1
