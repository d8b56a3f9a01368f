"""What somebody has chosen stays chosen while twenty things change elsewhere, in a real browser before a fake API."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.ui import visits
from tests.ui.conftest import Site
from tests.ui.fake_deployments import deployment, observed

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
CHANGES = 20


def changed(site: Site, number: int) -> str:
    """Something happens to a deployment; what the pages say of it."""
    words = f"change {number} of it"
    site.api.deployments["mlp-small"]["observed"] = observed("starting", None, words)
    return words


def test_on_the_deployments_and_in_a_form_that_is_half_filled(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.clock.install()
    changed(site, 0)
    page.goto(f"{site.url}deployments")
    page.get_by_role("checkbox", name="Choose cnn-fast").check()
    page.get_by_text("Deploy…").click()
    page.get_by_label("Experiment", exact=True).fill("cnn-mo")
    page.get_by_label("Runtime").select_option("native")
    for number in range(1, CHANGES + 1):
        words = changed(site, number)
        page.clock.run_for(2500)
        expect(page.locator("tbody")).to_contain_text(words)
    expect(page.get_by_role("checkbox", name="Choose cnn-fast")).to_be_checked()
    expect(page.get_by_label("Experiment", exact=True)).to_have_value("cnn-mo")
    expect(page.get_by_label("Runtime")).to_have_value("native")


@pytest.mark.long
def test_a_version_that_was_chosen_and_not_yet_sent(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.clock.install()
    site.api.deployments["cnn-fast"]["observed"] = observed("starting", 3, "it starts")
    page.goto(f"{site.url}deployment?name=cnn-fast")
    version = page.get_by_label("Version of cnn-fast")
    version.select_option("2")
    for number in range(CHANGES):
        site.api.deployments["cnn-fast"]["observed"] = observed("starting", 3, f"reason {number} of it")
        page.clock.run_for(2500)
        expect(page.locator("#content")).to_contain_text(f"reason {number} of it")
    expect(version).to_have_value("2")
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#status")).to_contain_text("2")
    assert site.api.deployments["cnn-fast"]["version"] == 2


@pytest.mark.long
def test_whom_to_ask_and_what_is_drawn_on_try(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    visits.enter(page, site.url)
    page.locator("#chosen").get_by_text("mlp-poor").click()
    visits.draw(page)
    page.locator(".m-vote").wait_for()
    asked = len(site.api.predictions.asked)
    for number in range(CHANGES):
        name = f"new-{number}"
        site.api.deployments[name] = deployment(name)
        expect(page.locator("#chosen")).to_contain_text(name)
    expect(page.locator("#chosen").get_by_role("checkbox", name="mlp-poor")).not_to_be_checked()
    expect(page.locator(".m-vote")).to_be_visible()
    assert visits.ink(page) > 0.03
    assert len(site.api.predictions.asked) == asked
