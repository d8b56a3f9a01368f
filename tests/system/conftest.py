"""The whole system as `make up` starts it, on ports and in a folder of its own; see `stack` in tests/conftest.py."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Stack


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the running system's metadata API."""
    with httpx.Client(base_url=stack.api_url, headers=stack.headers, timeout=30) as client:
        yield client


@pytest.fixture
def v2(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the running system's v2 protocol."""
    with httpx.Client(base_url=f"{stack.serving_url}/v2/models", timeout=30) as client:
        yield client
