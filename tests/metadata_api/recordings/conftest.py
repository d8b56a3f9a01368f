"""An API that records traffic into a database of its own, and what it counts."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.recordings.pairing import Waiting
from metadata_api.recordings.recorder import Recorder
from tests.metadata_api.making import open_settings
from tests.metadata_api.recordings.sending import (
    read_again,
    recording_deployment,
)
from tests.metadata_api.servers import running


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def own_app(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("recordings")
    return create_app(open_settings(engine, folder, "http://127.0.0.1:9"))


@pytest.fixture(scope="module")
def address(own_app: FastAPI) -> Iterator[str]:
    with running(own_app) as address:
        yield address


@pytest.fixture
def recorder(own_app: FastAPI) -> Recorder:
    found = own_app.state.components.recorder
    assert isinstance(found, Recorder)
    return found


@pytest.fixture
def api(
    address: str, own_app: FastAPI, recorder: Recorder, clean: None, engine: Engine
) -> Iterator[httpx.Client]:
    # What an earlier test let wait would be counted in this one.
    recorder._waiting = Waiting()
    recording_deployment(engine)
    read_again(own_app)
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture
def counted(api: httpx.Client, recorder: Recorder) -> dict[str, int]:
    """What was counted before the test."""
    return dict(recorder.events)
