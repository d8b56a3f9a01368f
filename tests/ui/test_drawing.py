"""Drawing a digit without a mouse, in a small window and on a page that is enlarged, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui import visits
from tests.ui.accessibility import see_no_barrier
from tests.ui.conftest import Site

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
# A five: along the top to the left, down, and around the belly.
FIVE = (
    ["ArrowLeft"] * 4
    + ["ArrowDown"] * 3
    + ["ArrowRight"] * 3
    + ["PageDown", "ArrowDown", "End"]
    + ["ArrowLeft"] * 3
)


class TestByKeyboard:
    def test_a_digit_is_drawn_asked_and_taken_back(
        self, site: Site, open_page: OpenPage, screenshot: Callable[[Page, str], None]
    ) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        said = page.locator(".m-pen-said")
        expect(page.locator(".m-keys")).to_be_hidden()
        reach(page)
        expect(page.locator(".m-keys")).to_contain_text("Space puts it down")
        for key in ("PageUp", "PageUp", "ArrowUp", "Space"):
            page.keyboard.press(key)
        expect(said).to_have_text("Pen down, column 9 of 14, row 4 of 14")
        for key in FIVE:
            page.keyboard.press(key)
        expect(said).to_have_text("Draws to column 5 of 14, row 10 of 14")
        screenshot(page, "keyboard")
        assert visits.ink(page) > 0.03
        assert site.api.predictions.images == []
        page.keyboard.press("Space")
        expect(said).to_contain_text("Pen lifted")
        assert visits.see_answers(page, {"cnn-baseline"}) == {"cnn-baseline": "5"}
        page.keyboard.press("Control+z")
        expect(page.locator(".m-vote")).to_have_count(0)
        assert visits.ink(page) == 0

    def test_the_pen_stays_on_the_paper_and_its_stroke_ends_with_the_focus(
        self, site: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        reach(page)
        for _ in range(20):
            page.keyboard.press("ArrowLeft")
        expect(page.locator(".m-pen-said")).to_have_text("Edge, column 0.5 of 14, row 7 of 14")
        page.keyboard.press("Shift+ArrowRight")
        expect(page.locator(".m-pen-said")).to_have_text("column 1 of 14, row 7 of 14")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Escape")
        assert visits.ink(page) == 0
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.locator(".m-vote").wait_for()
        expect(page.locator(".m-pen")).to_be_hidden()


@pytest.mark.parametrize(
    ("width", "height"), [(320, 568), (640, 450)], ids=["320 pixels", "200 percent of 1280 x 900"]
)
def test_a_digit_is_drawn_by_a_finger_on_a_pad_that_is_seen_whole(
    browser: Browser, site: Site, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True)
    page = context.new_page()
    visits.enter(page, site.url)
    touch = visits.Touch(page)
    box = page.locator("#asking canvas").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    # Some of the page is left to scroll by.
    assert box["y"] + box["height"] <= height
    assert box["height"] <= height - 100
    touch.send("touchStart", visits.FIVE[0])
    for place in visits.FIVE[1:]:
        touch.send("touchMove", place)
    touch.send("touchEnd")
    assert visits.see_answers(page, {"cnn-baseline"}) == {"cnn-baseline": "5"}
    assert visits.ink(page) > 0.03
    visits.fits(page)
    see_no_barrier(page)
    context.close()


def reach(page: Page) -> None:
    """Get to the sketchpad by Tab alone."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "CANVAS":
            return
    pytest.fail("the sketchpad cannot be reached by Tab")
