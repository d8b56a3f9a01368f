"""The gate of every page: axe-core finds nothing, nothing is wider than the window."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.ui import visits


def see_no_barrier(page: Page) -> None:
    """Fail with each rule that a page violates and the first element that does."""
    found = Axe().run(page).response["violations"]
    lines = [f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}" for one in found]
    assert lines == [], f"{page.url}: {lines}"
    visits.fits(page)
