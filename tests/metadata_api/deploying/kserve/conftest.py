"""Fixtures of the tests on a simulated Kubernetes."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.settings import Settings
from tests.metadata_api.deploying.kserve.fake_kubernetes import FakeKubernetes
from tests.metadata_api.deploying.kserve.stage import CONFIG, kserve_settings
from tests.metadata_api.deploying.rounds import QUICK
from tests.metadata_api.making import make_experiment, make_version
from tests.metadata_api.servers import running


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as kubernetes:
        yield kubernetes


@pytest.fixture
def settings(engine: Engine, clean: None, kubernetes: FakeKubernetes, tmp_path: Path) -> Settings:
    """An experiment with three versions, and the settings of an API on Kubernetes."""
    make_experiment(engine)
    for number in (1, 2, 3):
        make_version(engine, number)
    return kserve_settings(engine, kubernetes, tmp_path, CONFIG)


@pytest.fixture
def reconciling(settings: Settings) -> FastAPI:
    """The API with its reconciler."""
    return create_app(settings, QUICK)


@pytest.fixture
def api(reconciling: FastAPI) -> Iterator[httpx.Client]:
    """A client of it."""
    with running(reconciling) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client
