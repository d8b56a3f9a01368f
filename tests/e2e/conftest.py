"""One release for the whole run, in a namespace under Pod Security `restricted`; every test says how long it took."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import cluster


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print each step with its seconds."""
    begin = time.monotonic()
    yield
    print(f"\n{time.monotonic() - begin:7.1f} s  {request.node.name.removeprefix('test_').replace('_', ' ')}")


@pytest.fixture(scope="session")
def release() -> Iterator[str]:
    """The installed release; it is uninstalled at the end, unless MARINA_E2E_KEEP is set."""
    begin = time.monotonic()
    print(f"\n{cluster.script('deploy', VALUES=str(Path(__file__).with_name('values.yaml')))}")
    print(f"{time.monotonic() - begin:7.1f} s  helm install")
    try:
        print(f"\n{cluster.script('wait')}")
        print(f"{time.monotonic() - begin:7.1f} s  until every model answered")
        yield cluster.RELEASE
    finally:
        if not os.environ.get("MARINA_E2E_KEEP"):
            cluster.script("uninstall", PURGE="yes")
            cluster.run("kubectl", "delete", "namespace", cluster.NAMESPACE, "--wait", "--timeout=120s")
