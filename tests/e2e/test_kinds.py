"""A model of every kind, brought to the cluster and asked in the browser through the Ingress: wide, narrow, by keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests import kinds
from tests.e2e.cluster import HOST, ROOT, admin_token, outside, wait_ready
from tests.ui import visits, visits_of_kinds

SCREENSHOTS = ROOT / ".artifacts" / "screenshots"


@pytest.fixture(scope="module")
def served(release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One model of each kind is ready, beside those of the release."""
    folder = tmp_path_factory.mktemp("kinds")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with outside(timeout=60) as api:
        try:
            for name in kinds.MODELS:
                content = kinds.pack(name, folder).read_bytes()
                answer = api.post(f"/v1/experiments/{name}/versions?create=true", content=content)
                assert answer.is_success, answer.text
                body = {"name": name, "experiment": name, "runtime": "native"}
                answer = api.post("/v1/deployments", json=body)
                assert answer.is_success, answer.text
                wait_ready(name)  # one after another: their starts share two cores
            yield release
        finally:
            for name in kinds.MODELS:
                api.delete(f"/v1/deployments/{name}")


@pytest.mark.parametrize("width", [1280, 390])
def test_each_kind_is_asked_in_the_browser_through_the_ingress(
    served: str, page: Page, tmp_path: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    visits.enter(page, f"http://{HOST}/?token={admin_token()}")

    def keep(name: str) -> None:
        page.screenshot(path=SCREENSHOTS / f"e2e-{name}-{width}.png", full_page=True)

    visits_of_kinds.ask_each(page, tmp_path, keep)


def test_kinds_are_asked_by_keyboard_alone_through_the_ingress(served: str, page: Page) -> None:
    visits.enter(page, f"http://{HOST}/?token={admin_token()}")
    visits_of_kinds.ask_by_keyboard(page)
