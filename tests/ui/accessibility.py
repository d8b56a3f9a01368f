"""The gate of every page: axe-core finds nothing, nothing is wider than the window."""

from collections.abc import Callable, Mapping

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.ui import visits

HEIGHT = 844


def see_no_barriers(
    browser: Browser, root: str, addresses: Mapping[str, str], screenshot: Callable[[Page, str], None]
) -> None:
    """Open each address below the root, by its page's name, wide and narrow, light and dark; keep what was seen."""
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        for width in (1280, 390):
            for name, address in addresses.items():
                page = context.new_page()
                page.set_viewport_size({"width": width, "height": HEIGHT})
                page.goto(f"{root}{address}")
                page.evaluate("document.fonts.ready")
                see_no_barrier(page)
                screenshot(page, f"{name}-{scheme}")
                page.close()
        context.close()


def see_no_barrier(page: Page) -> None:
    """Fail with each rule that a page violates and the first element that does."""
    found = Axe().run(page).response["violations"]
    lines = [f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}" for one in found]
    assert lines == [], f"{page.url}: {lines}"
    visits.fits(page)
