"""The page Scores in a real browser before a fake API: how good versions are, and on which labels that rests."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.accessibility import see_no_barriers
from tests.ui.conftest import Site

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


def test_the_unbiased_score_stands_beside_that_of_all_labels(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}scores?task=digits")
    row = page.get_by_role("row").filter(has_text="cnn-baseline")
    expect(row).to_contain_text("180 of 200")
    expect(row).to_contain_text("38 of 40")
    expect(row).to_contain_text("promises 0.076 more")
    expect(page.get_by_role("row").filter(has_text="cnn-fast")).to_contain_text("none of 200 labels")
    expect(page.get_by_role("img", name="Reliability curve")).to_be_visible()
    expect(page.locator(".c-matrix .right")).to_have_count(10)
    assert "mlp-small" in site.api.scores.asked[-1]
    assert site.api.wrong == []


def test_those_of_one_experiment(site: Site, open_page: OpenPage) -> None:
    page = open_page(1280)
    page.goto(f"{site.url}scores?experiment=mlp-small")
    expect(page.locator("tbody tr[data-key]")).to_have_count(1)
    expect(page.get_by_role("link", name="mlp-small v1")).to_be_visible()


def test_it_has_no_barrier(browser: Browser, site: Site, screenshot: Screenshot) -> None:
    see_no_barriers(browser, site.url, {"scores": "scores"}, screenshot)
