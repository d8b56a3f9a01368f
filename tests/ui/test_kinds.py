"""The page Try for each kind of input and answer, in a real browser before a fake API."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.ui import visits
from tests.ui.conftest import Pages, Site
from tests.ui.fake_kinds import taking
from tests.waiting import until

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


@pytest.fixture
def enter(site: Site, open_page: OpenPage) -> Callable[..., Page]:
    """Open the page, for models of all kinds, at a task."""

    def opened(width: int, task: str = "") -> Page:
        site.api.add_kinds()
        page = open_page(width)
        page.goto(f"{site.url}?task={task}" if task else site.url)
        page.locator(".m-task-list").wait_for()
        return page

    return opened


def predict(page: Page) -> Locator:
    """Press the button; what all answers come to."""
    page.get_by_role("button", name="Predict", exact=True).click()
    verdict = page.locator(".m-verdict").first
    expect(verdict).to_be_visible()
    return verdict


def see(page: Page, keep: Callable[[Page, str], None], name: str) -> None:
    visits.fits(page)
    keep(page, name)


def choose(page: Page, task: str) -> None:
    """Open a task, as it is offered."""
    page.locator(f'.m-task-list label[data-key="{task}"]').click()


@pytest.fixture(scope="class", params=[1280, 390])
def loaded(request: pytest.FixtureRequest, running_site: Site, pages_of_class: Pages) -> Page:
    """A page of a width for models of all kinds."""
    running_site.api.reset()
    running_site.api.add_kinds()
    page = pages_of_class.open(request.param)
    page.goto(running_site.url)
    page.locator(".m-task-list").wait_for()
    return page


class TestKinds:
    """Each kind on a wide page and on a narrow one, which are loaded once and keep what was put into other inputs."""

    @pytest.fixture
    def page(self, site: Site, loaded: Page, pages_of_class: Pages) -> Iterator[Page]:
        site.api.add_kinds()
        yield loaded
        assert pages_of_class.wrong == []

    def test_a_row_of_a_table_is_classified(self, site: Site, page: Page, screenshot: Screenshot) -> None:
        choose(page, "wine")
        expect(page.get_by_label("alcohol")).to_have_value("13.2")
        expect(page.get_by_label("proline")).to_have_value("979")
        page.get_by_role("combobox", name="colour").select_option("white")
        verdict = predict(page)
        expect(verdict).to_contain_text("Tied between barolo and barbera")
        expect(verdict).to_contain_text("wine-forest says barolo; wine-linear says barbera")
        assert site.api.predictions.questions[-1] == {
            "row": {"alcohol": 13.2, "malic_acid": 1.78, "colour": "white", "proline": 979.0}
        }
        page.get_by_label("alcohol").fill("19")
        expect(page.locator(".m-field.outside")).to_contain_text("11 – 15")
        expect(page.locator(".m-vote")).to_be_visible()
        see(page, screenshot, "table")

    def test_numbers_are_shown_with_their_spread(
        self, site: Site, page: Page, screenshot: Screenshot
    ) -> None:
        choose(page, "table-number-0a1b2c3d")
        verdict = predict(page)
        expect(verdict).to_contain_text("104 to 165 points")
        expect(verdict).to_contain_text("farthest from the others is sugar-c with 165")
        see(page, screenshot, "number")

    def test_a_text_is_answered_while_it_is_written(
        self, site: Site, page: Page, screenshot: Screenshot
    ) -> None:
        choose(page, "language")
        page.get_by_role("textbox", name="Text").fill("Suomi")
        expect(visits.card(page, "language")).to_contain_text("German")
        assert site.api.predictions.questions[-1] == {"text": "Suomi"}
        see(page, screenshot, "text")

    def test_half_a_character_in_a_text_is_sent_as_a_replacement(self, site: Site, page: Page) -> None:
        choose(page, "language")
        box = page.get_by_role("textbox", name="Text")
        box.evaluate(
            "box => { box.value = 'a\\ud83d'; box.dispatchEvent(new Event('input', {bubbles: true})); }"
        )
        until(lambda: site.api.predictions.questions[-1:] == [{"text": "a\ufffd"}], "it is asked")

    def test_texts_are_answered_by_texts(self, site: Site, page: Page, screenshot: Screenshot) -> None:
        choose(page, "shout")
        page.get_by_role("textbox", name="Text").fill("hello")
        expect(page.locator(".m-text")).to_have_text("HELLO <b>!</b>")
        see(page, screenshot, "texts")

    def test_boxes_are_drawn_on_the_image_that_was_brought(
        self, page: Page, screenshot: Screenshot, tmp_path: Path
    ) -> None:
        photo = tmp_path / "photo.png"
        Image.linear_gradient("L").resize((320, 200)).convert("RGB").save(photo)
        choose(page, "image-boxes-00112233")
        page.locator("#asking input[type=file]").set_input_files(photo)
        expect(page.locator(".m-verdict")).to_contain_text("cat, dog")
        boxes = page.locator("svg.m-boxes")
        expect(boxes.locator("rect")).to_have_count(2)
        expect(boxes).to_have_attribute("viewBox", "0 0 320 200")
        assert "data:image/png" in boxes.evaluate("one => getComputedStyle(one).backgroundImage")
        see(page, screenshot, "boxes")

    def test_tensors_are_json_both_ways(self, site: Site, page: Page, screenshot: Screenshot) -> None:
        choose(page, "double")
        box = page.get_by_label("x FP32")
        expect(box).to_have_value("[[1, 2]]")
        box.fill("[1, 2")
        expect(page.locator("#answers .m-note")).to_contain_text("x is no JSON")
        box.fill("[3, 4]")
        expect(page.locator(".m-json")).to_have_text("[6, 8]")
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [3, 4]}
        assert site.api.predictions.questions[-1] == {"tensors": [tensor]}
        see(page, screenshot, "tensor")


def test_the_whole_way_by_keyboard_alone(site: Site, enter: Callable[..., Page]) -> None:
    page = enter(1280)
    page.locator(".m-task-list input").first.focus()
    while page.evaluate("document.activeElement.value") != "wine":
        page.keyboard.press("ArrowDown")
    expect(page.get_by_label("alcohol")).to_be_visible()
    assert page.url.endswith("?task=wine")
    page.keyboard.press("Tab")
    expect(page.get_by_label("alcohol")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("12.5")
    page.keyboard.press("Tab")
    expect(page.get_by_label("malic_acid")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".m-vote")).to_contain_text("wine-forest says barolo")
    assert site.api.predictions.questions[-1]["row"]["alcohol"] == 12.5


def test_what_was_put_in_stays_whatever_task_is_opened_between(
    site: Site, enter: Callable[..., Page]
) -> None:
    page = enter(1280, "wine")
    page.get_by_label("malic_acid").fill("4")
    expect(page.locator(".m-vote")).to_be_visible()
    site.api.predictions.held = True
    page.get_by_text("language").click()
    expect(page.locator(".m-vote")).not_to_be_visible()
    page.get_by_role("textbox", name="Text").fill("Brasil")
    site.api.deployments.pop("doubler")
    expect(page.locator(".m-task-list").get_by_text("double")).to_have_count(0)
    page.locator(".m-task-list").get_by_text("wine").click()
    site.api.predictions.held = False
    expect(page.get_by_label("malic_acid")).to_have_value("4")
    expect(page.locator(".m-vote")).to_contain_text("wine-forest says barolo")
    page.locator(".m-task-list").get_by_text("language").click()
    expect(page.get_by_role("textbox", name="Text")).to_have_value("Brasil")
    expect(visits.card(page, "language")).to_be_visible()


def test_columns_may_have_the_names_by_which_gradio_tells_a_file(site: Site, open_page: OpenPage) -> None:
    columns = [{"name": name, "example": f"/{name}"} for name in ("path", "meta", "url", "__proto__")]
    table = [taking("table", name="row", datatype="BYTES", shape=[-1, 4], columns=columns)]
    site.api.add_kinds()
    for name in ("wine-forest", "wine-linear"):
        site.api.deployments[name]["inputs"] = table
    page = open_page(1280)
    page.goto(f"{site.url}?task=wine")
    expect(predict(page)).to_contain_text("wine-forest says barolo")
    assert site.api.predictions.questions[-1]["row"] == {
        "path": "/path", "meta": "/meta", "url": "/url", "__proto__": "/__proto__",
    }  # fmt: skip


def test_only_those_of_the_task_are_asked(site: Site, enter: Callable[..., Page]) -> None:
    page = enter(1280, "wine")
    expect(page.locator("#chosen").get_by_role("checkbox")).to_have_count(2)
    page.locator("#chosen").get_by_text("wine-linear").click()
    expect(predict(page)).to_contain_text("wine-forest says barolo")
    assert site.api.predictions.asked[-1] == ["wine-forest"]
    page.reload()
    expect(page.get_by_label("alcohol")).to_be_visible()


def test_a_version_that_is_deployed_twice_counts_once_and_who_was_not_asked_is_named(
    site: Site, enter: Callable[..., Page]
) -> None:
    site.api.deployments.clear()
    page = enter(1280, "wine")
    twin = {"name": "wine-twin", "experiment": "wine-forest"}
    site.api.deployments["wine-twin"] = site.api.deployments["wine-forest"] | twin
    site.api.deployments["wine-linear"]["inputs"] = site.api.deployments["shout"]["inputs"]
    expect(page.locator("#chosen").get_by_text("wine-twin")).to_be_visible()
    expect(predict(page)).to_contain_text("wine-forest says barolo")
    expect(visits.card(page, "wine-forest")).to_contain_text("also wine-twin")
    expect(page.locator(".m-passed")).to_contain_text("wine-linear: It takes another kind of input.")
