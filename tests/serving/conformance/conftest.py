"""One real front for each runtime, with the models that the conformance suite asks."""

from collections.abc import Iterator

import pytest

from .. import archives
from ..conftest import Front
from . import archives as own

# Every test of this folder runs once for each of them.
RUNTIMES = ("torchserve", "native")
MAX_BODY_BYTES = 1024 * 1024


@pytest.fixture(scope="session", params=RUNTIMES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """`summing`, `echo` (all datatypes) and `mymodel` (the specification's), version 1 of each, ready."""
    folder = tmp_path_factory.mktemp("conformance")
    running = Front(folder, SERVING_MAX_BODY_BYTES=str(MAX_BODY_BYTES))
    try:
        archives.summing(folder / "summing.mar")
        own.echo(folder / "echo.mar")
        own.matrix(folder / "mymodel.mar")
        for name in ("summing", "echo", "mymodel"):
            running.want(name, "1", folder / f"{name}.mar", runtime=request.param)
        for name in ("summing", "echo", "mymodel"):
            running.wait_until(name, state="ready")
        yield running
    finally:
        running.stop()
