"""An API on a database of a module's own, before a server of models that does as it is told."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.settings import Settings
from tests.metadata_api.making import open_settings
from tests.metadata_api.servers import V2Server, running


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def own_settings(engine: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the application of a module."""
    return open_settings(engine, tmp_path_factory.mktemp("predicting"), serving.url)


@pytest.fixture(scope="module")
def app(own_settings: Settings) -> FastAPI:
    """The application of a module."""
    return create_app(own_settings)


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    with running(app) as address:
        yield address


@pytest.fixture
def api(address: str, clean: None) -> Iterator[httpx.Client]:
    """A client of it on empty tables; the slowest models are waited for."""
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client
