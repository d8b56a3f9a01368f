"""The page Label in a real browser before a fake API: one key for each input, and everything can be taken back."""

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from model_ui.label_keys import choices
from tests.ui.accessibility import see_no_barriers
from tests.ui.conftest import Site
from tests.ui.fake_callers import me, token
from tests.ui.fake_labels import CLASSES, sha

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]
ADDRESS = "label?task=digits"


def shown(page: Page, number: int) -> None:
    """Wait until this input is shown."""
    expect(page.get_by_alt_text("The input to label")).to_have_attribute(
        "src", f"/input?sha256={sha(number)}"
    )


def said(site: Site, number: int) -> list[str]:
    """What was said of it, oldest first."""
    return [one["label"] for one in site.api.labels.said.get(sha(number), [])]


def test_thirty_labels_a_minute_by_keyboard(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}{ADDRESS}")
    began = time.monotonic()
    for number in range(1, 31):
        shown(page, number)
        page.keyboard.press(str(number % 10))
    expect(page.get_by_text("30 labelled")).to_be_visible()
    assert time.monotonic() - began < 60
    assert [said(site, number) for number in range(1, 31)] == [[str(number % 10)] for number in range(1, 31)]
    assert {one["chosen"] for one in site.api.labels.said[sha(1)]} == {"queue"}
    assert site.api.wrong == []


def test_undo_leads_back_and_the_next_key_takes_the_place_of_the_label(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}{ADDRESS}")
    for undo, right in (("u", "4"), ("Control+z", "5"), ("ArrowLeft", "6")):
        number = len(site.api.labels.said) + 1
        shown(page, number)
        page.keyboard.press("3")
        shown(page, number + 1)
        page.keyboard.press(undo)
        shown(page, number)
        expect(page.get_by_text("It has a label: 3.")).to_be_visible()
        page.keyboard.press(right)
        shown(page, number + 1)
        assert said(site, number) == ["3", right]


def test_what_somebody_else_said_meanwhile_is_told_and_not_overwritten(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}{ADDRESS}")
    shown(page, 1)
    site.api.labels.said[sha(1)] = [{"task": "digits", "label": "7", "author": "bob"}]
    page.keyboard.press("3")
    expect(page.get_by_text("bob said '7' about this input meanwhile.")).to_be_visible()
    shown(page, 1)
    expect(page.get_by_text("It has a label: 7.")).to_be_visible()
    assert said(site, 1) == ["7"]
    page.keyboard.press("3")
    shown(page, 2)
    expect(page.get_by_text("bob said '7'")).to_have_count(0)
    assert said(site, 1) == ["7", "3"]


def test_skipped_inputs_are_left_to_others(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}{ADDRESS}")
    for number, key in enumerate(("ArrowRight", "s"), 1):
        shown(page, number)
        page.keyboard.press(key)
    shown(page, 3)
    assert site.api.labels.skipped == [sha(1), sha(2)]
    assert site.api.labels.said == {}


def test_answers_are_hidden_until_asked_for(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}{ADDRESS}")
    shown(page, 1)
    expect(page.get_by_text("What models answered is hidden")).to_be_visible()
    assert "GET /v1/predictions" not in site.api.calls


def test_by_touch_on_a_phone(site: Site, open_page: OpenPage, screenshot: Screenshot) -> None:
    page = open_page(390)
    page.goto(f"{site.url}{ADDRESS}")
    shown(page, 1)
    screenshot(page, "label")
    page.get_by_role("button", name="7", exact=True).click()
    shown(page, 2)
    assert said(site, 1) == ["7"]
    keys = page.locator(".l-keys button")
    assert all(keys.nth(at).bounding_box()["height"] >= 44 for at in range(10))  # type: ignore[index]


@pytest.mark.parametrize("width", [390, 1280])
def test_names_of_classes_are_read_from_left_to_right(
    site: Site, open_page: OpenPage, screenshot: Screenshot, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSES, "reviews", ["very positive", "neutral, or rather hard to say", "negative"])
    page = open_page(width)
    for task, most in (("wine", 60), ("reviews", 80)):
        page.goto(f"{site.url}label?task={task}")
        screenshot(page, f"label-{task}")
        for key in page.locator(".l-keys button").all():
            box = key.bounding_box()
            assert box
            assert (box["height"] <= most, box["width"] >= 100) == (True, True), f"{key.inner_text()}: {box}"


def test_a_number_is_typed(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}label?task=diabetes")
    shown(page, 1)
    page.get_by_label("Number").fill("abc")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Type a number.")).to_be_visible()
    page.get_by_label("Number").fill("151,5")
    page.keyboard.press("Enter")
    shown(page, 2)
    assert site.api.labels.said[sha(1)][0]["number"] == 151.5


def test_the_end_says_so(site: Site, open_page: OpenPage) -> None:
    site.api.labels.numbers = [1]
    page = open_page(1280)
    page.goto(f"{site.url}{ADDRESS}")
    shown(page, 1)
    page.keyboard.press("1")
    expect(page.get_by_text("All is labelled")).to_be_visible()
    page.keyboard.press("u")
    shown(page, 1)


def test_who_may_not_label_is_told(site: Site, open_page: OpenPage) -> None:
    site.api.tokens = {token("viewer"): me("viewer")}
    page = open_page(1280)
    page.set_extra_http_headers({"authorization": f"Bearer {token('viewer')}"})
    page.goto(f"{site.url}{ADDRESS}")
    expect(page.get_by_text("needs the role annotator")).to_be_visible()
    expect(page.locator(".l-keys")).to_have_count(0)


def test_it_has_no_barrier(browser: Browser, site: Site, screenshot: Screenshot) -> None:
    addresses = {"label": ADDRESS, "label-tasks": "label", "label-number": "label?task=diabetes"}
    see_no_barriers(browser, site.url, addresses, screenshot)


def test_each_class_has_one_key() -> None:
    def keys(*labels: str) -> list[str]:
        return [one.key for one in choices(labels)]

    assert keys("0", "1", "9") == ["0", "1", "9"]
    assert keys("S", "U", "X") == ["s", "u", "x"]
    assert keys("cat", "dog") == ["1", "2"]
    assert keys("a", "A", "b") == ["1", "2", "3"], "the same key would say either"
    assert keys(" ", "!") == ["1", "2"]
    many = keys(*(f"class {number}" for number in range(30)))
    assert many[:3] == ["a", "b", "c"]
    assert not {"u", "s"} & set(many)
    used = [key for key in many if key]
    assert len(used) == len(set(used)) == 24
