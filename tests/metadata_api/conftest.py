"""The metadata API under test: the real application on a real socket and a real Postgres."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from metadata_api.app import create_app
from metadata_api.database import migrate
from metadata_api.database.session import Base, Sessions, connect
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from metadata_api.storage.folder import FolderStore
from tests.databases import own_database
from tests.metadata_api.servers import V2Server, running


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database with the newest schema, made by the real migrations."""
    engine = connect(postgres_url)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def own_engine(postgres_url: str) -> Iterator[Engine]:
    """A database of a module's own, so that no other application writes what it sees of its deployments."""
    with own_database(postgres_url) as engine:
        yield engine


@pytest.fixture(scope="module")
def serving() -> Iterator[V2Server]:
    """A serving process that does as it is told."""
    with V2Server() as server:
        yield server


@pytest.fixture
def clean(engine: Engine) -> None:
    """Empty tables; DELETE instead of TRUNCATE, which is ten times slower on small tables."""
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture
def sessions(engine: Engine, clean: None) -> Sessions:
    """Sessions on empty tables, as the application makes them."""
    return sessionmaker(engine, expire_on_commit=False)


@pytest.fixture
def session(sessions: Sessions) -> Iterator[Session]:
    """A session on empty tables; what it did not commit is gone at the end."""
    with sessions() as session:
        yield session


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """An empty content-addressed store."""
    store = FolderStore(tmp_path / "store")
    store.prepare()
    return store


@pytest.fixture(scope="session")
def settings(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the application under test; its serving address answers nothing."""
    folder = tmp_path_factory.mktemp("api")
    return Settings(
        auth=Auth(mode="off"),
        database_url=postgres_url,
        store_dir=folder / "store",
        serving_models_file=folder / "models.json",
        serving_url="http://127.0.0.1:9",
    )


@pytest.fixture(scope="session")
def app(settings: Settings, engine: Engine) -> FastAPI:
    """The application itself, for tests that look at its state or its routes."""
    return create_app(settings)


@pytest.fixture(scope="session")
def address(app: FastAPI) -> Iterator[str]:
    """The application behind uvicorn on a free port."""
    with running(app) as address:
        yield address


@pytest.fixture
def api(address: str, clean: None) -> Iterator[httpx.Client]:
    """A client of the real API on empty tables."""
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


def row_counts(engine: Engine) -> dict[str, int]:
    """Rows per table, to show that a rejected request stored nothing."""
    with engine.connect() as connection:
        names = [table.name for table in Base.metadata.sorted_tables]
        return {name: connection.execute(text(f"select count(*) from {name}")).scalar_one() for name in names}


def as_json(response: httpx.Response) -> dict[str, object]:
    """The answer's body, decoded strictly: NaN and friends are not JSON."""
    decoded = json.loads(response.content, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    assert isinstance(decoded, dict)
    return decoded
