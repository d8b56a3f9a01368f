"""An API with its reconciler before a serving process that does as it is told."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.deploying.intervals import Intervals
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests.metadata_api.deploying.rounds import QUICK
from tests.metadata_api.making import make_experiment, make_version, url_of
from tests.metadata_api.servers import Front, V2Server, running


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Front:
    return Front(tmp_path_factory.mktemp("serving") / "models.json")


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def own_settings(
    engine: Engine, serving: V2Server, front: Front, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of the application of these tests."""
    return Settings(
        auth=Auth(mode="off"),
        database_url=url_of(engine),
        store_dir=tmp_path_factory.mktemp("reconcile"),
        serving_url=serving.url,
        serving_models_file=front.models_file,
    )


@pytest.fixture(scope="module")
def intervals() -> Intervals:
    """Shorter ones than the product's; a module that measures has its own."""
    return QUICK


@pytest.fixture(scope="module")
def reconciling(own_settings: Settings, intervals: Intervals) -> FastAPI:
    """The application of these tests."""
    return create_app(own_settings, intervals)


@pytest.fixture(scope="module")
def address(reconciling: FastAPI) -> Iterator[str]:
    """The API with its reconciler."""
    with running(reconciling) as address:
        yield address


@pytest.fixture
def api(address: str, serving: V2Server, front: Front, engine: Engine, clean: None) -> Iterator[httpx.Client]:
    """A client of it, an experiment with two versions, and a serving process that does as it is told."""
    front.states.clear()
    serving.status = front.status
    make_experiment(engine)
    make_version(engine, 1)
    make_version(engine, 2)
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
