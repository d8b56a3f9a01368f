"""Models of every kind that no starter is of, before the real system: from their archives to their answers on Try."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page

from tests import kinds
from tests.conftest import Stack
from tests.ui import visits, visits_of_kinds

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[[int], Page]


@pytest.fixture(scope="module")
def served(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running system with all of them deployed."""
    folder = tmp_path_factory.mktemp("kinds")
    with httpx.Client(base_url=stack.api_url, headers=stack.headers, timeout=30) as api:
        try:
            for name in kinds.MODELS:
                content = kinds.pack(name, folder).read_bytes()
                api.post(f"/v1/experiments/{name}/versions?create=true", content=content).raise_for_status()
                deployment = {"name": name, "experiment": name, "runtime": "native"}
                api.post("/v1/deployments", json=deployment).raise_for_status()
            for name in kinds.MODELS:
                stack.wait_until_ready(name)
            yield stack
        finally:  # other tests of the system ask all that is deployed
            for name in kinds.MODELS:
                api.delete(f"/v1/deployments/{name}")


@pytest.mark.parametrize("width", [1280, 390])
def test_each_is_asked_in_the_browser(
    served: Stack,
    open_page: OpenPage,
    screenshot: Callable[[Page, str], None],
    tmp_path: Path,
    width: int,
) -> None:
    page = open_page(width)
    visits.enter(page, served.link)
    visits_of_kinds.ask_each(page, tmp_path, lambda name: screenshot(page, name))


def test_they_are_asked_by_keyboard_alone(served: Stack, open_page: OpenPage) -> None:
    page = open_page(1280)
    visits.enter(page, served.link)
    visits_of_kinds.ask_by_keyboard(page)
