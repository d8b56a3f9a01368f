"""One real front for each runtime, and one behind the metadata API, with the models that the conformance suite asks."""

from collections.abc import Iterator

import pytest

from .. import archives
from ..conftest import Front
from . import archives as own
from .through_api import ThroughApi

# Every test of this folder runs once for each of them; through the API the native runtime answers.
API = "through the API"
SERVED = ("torchserve", "native", API)
MAX_BODY_BYTES = 1024 * 1024


@pytest.fixture(scope="session", params=SERVED)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """`summing`, `echo` (all datatypes) and `mymodel` (the specification's), version 1 of each, ready."""
    folder = tmp_path_factory.mktemp("conformance")
    settings = {"SERVING_MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    running: Front
    if request.param == API:
        postgres_url = request.getfixturevalue("postgres_url")
        running = ThroughApi(folder, postgres_url, MAX_BODY_BYTES, **settings)
    else:
        running = Front(folder, **settings)
    runtime = "native" if request.param == API else request.param
    try:
        archives.summing(folder / "summing.mar")
        own.echo(folder / "echo.mar")
        own.matrix(folder / "mymodel.mar")
        for name in ("summing", "echo", "mymodel"):
            running.want(name, "1", folder / f"{name}.mar", runtime=runtime)
        for name in ("summing", "echo", "mymodel"):
            running.wait_until(name, state="ready")
        yield running
    finally:
        running.stop()
