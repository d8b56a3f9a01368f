"""The gate of every page: axe-core finds nothing, nothing is wider than the window."""

from collections.abc import Callable, Mapping
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.ui import visits

HEIGHT = 844
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE = Axe().axe_script
# Colours that are on their way from one scheme to the other are of neither.
END_TRANSITIONS = """
document.getAnimations().filter(one => one instanceof CSSTransition).forEach(one => one.finish())
"""


def see_no_barriers(
    browser: Browser, root: str, addresses: Mapping[str, str], screenshot: Callable[[Page, str], None]
) -> None:
    """Open each address below the root, by its page's name, wide and narrow, light and dark; keep what was seen."""
    page = browser.new_page()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        for name, address in addresses.items():
            page.goto(f"{root}{address}")
            page.evaluate("document.fonts.ready")
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.evaluate(END_TRANSITIONS)
                see_no_barrier(page)
                screenshot(page, f"{name}-{scheme}")
    page.close()


def see_no_barrier(page: Page) -> None:
    """Fail with each rule that a page violates and the first element that does."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    lines = [f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}" for one in found]
    assert lines == [], f"{page.url}: {lines}"
    visits.fits(page)
