"""No answer stands beside an image that it is not about, whatever somebody does and however the API fails."""

import random
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.ui import visits
from tests.ui.conftest import Site
from tests.waiting import until

pytestmark = pytest.mark.browser
# In each frame, the answer that is seen is held against how the paper looked when the image that it names came to be.
WATCH = """(() => {
    const looks = new Map();
    const url = HTMLCanvasElement.prototype.toDataURL;
    const paper = () => document.querySelector("#asking canvas");
    const note = async (image) => {
        const look = url.call(paper());
        const bytes = Uint8Array.from(atob(image.split(",")[1]), (letter) => letter.charCodeAt(0));
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        looks.set([...hash].map((byte) => byte.toString(16).padStart(2, "0")).join(""), look);
    };
    HTMLCanvasElement.prototype.toDataURL = function (...kind) {
        const image = url.apply(this, kind);
        note(image);
        return image;
    };
    document.addEventListener("click", ({ target }) => {
        const example = target.closest("[data-example]");
        if (example) note(example.querySelector("img").src);
    });
    window.watched = { seen: 0, wrong: [] };
    const watch = () => {
        const about = document.querySelector("#answers [data-about]");
        const vote = about && about.querySelector(".m-vote");
        if (vote && getComputedStyle(vote).visibility !== "hidden") {
            watched.seen++;
            if (looks.get(about.dataset.about) !== url.call(paper())) watched.wrong.push(about.dataset.about);
        }
        requestAnimationFrame(watch);
    };
    watch();
})()"""


def test_no_answer_is_seen_beside_another_image(site: Site, open_page: Callable[[int], Page]) -> None:
    use(site, open_page(1280), random.Random(1), steps=20)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 18))
def test_nor_in_a_longer_while(site: Site, open_page: Callable[[int], Page], seed: int) -> None:
    use(site, open_page(1280), random.Random(seed), steps=60)


def use(site: Site, page: Page, chance: random.Random, *, steps: int) -> None:
    """Do so many things at random; at last all is well again, and the image that is there then is answered."""
    page.add_init_script(WATCH)
    visits.enter(page, site.url)
    predictions = site.api.predictions

    def stroke() -> None:
        visits.draw(page, [(chance.uniform(0.1, 0.9), chance.uniform(0.1, 0.9)) for _ in range(3)])

    def press(name: str) -> Callable[[], None]:
        return lambda: page.get_by_role("button", name=name).click()

    def example() -> None:
        page.get_by_role("button", name=f"Example: a {chance.randrange(10)}").click()

    def hang() -> None:
        predictions.held = not predictions.held

    def slow() -> None:
        predictions.seconds = chance.choice([0, 0.2, 1.0])

    def fail() -> None:
        site.api.away = not site.api.away

    def live() -> None:
        page.get_by_text("Answer on every change").click()

    does = [
        stroke,
        stroke,
        stroke,
        example,
        example,
        press("Undo"),
        press("Undo"),
        press("Clear"),
        hang,
        slow,
        fail,
    ]
    for _ in range(steps):
        chance.choice([*does, live, press("Predict")])()
        page.wait_for_timeout(chance.choice([0, 60, 400]))
    predictions.held, predictions.seconds, site.api.away = False, 0.0, False
    if not page.locator("[data-do=live]").is_checked():
        live()
    see_the_answer(page, stroke)
    before = page.evaluate("watched")
    # Another process in the place of the first knows nothing of this page.
    site.restart_ui()
    stroke()
    visits.see_the_pad(page)
    see_the_answer(page, stroke)
    for watched in (before, page.evaluate("watched")):
        assert watched["seen"] > 0
        assert watched["wrong"] == []


def see_the_answer(page: Page, stroke: Callable[[], None]) -> None:
    """What is on the paper is answered, whatever was lost before; on an empty one something is drawn first."""

    def answered() -> bool:
        if page.locator("#asking canvas").count() and visits.ink(page) == 0:
            stroke()
        return page.locator(".m-vote").is_visible()

    until(answered, "the image on the paper is answered", 40, pause=0.5)
    page.wait_for_timeout(300)
