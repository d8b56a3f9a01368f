"""Times that a reader types are of the reader's clock; addresses say the zone, so that they mean the same elsewhere."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.ui.conftest import Site

pytestmark = pytest.mark.browser


def test_days_of_a_filter_are_those_of_the_readers_clock(browser: Browser, site: Site) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    page = context.new_page()
    page.goto(f"{site.url}predictions")
    expect(page.locator("[data-utc]:visible")).to_have_count(0)
    page.get_by_label("Since").fill("2026-11-28")
    page.get_by_label("Until").fill("2026-11-28")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**since=2026-11-27T15%3A00%3A00.000Z&until=2026-11-28T15%3A00%3A00.000Z**")
    page.reload()
    for name in ("Since", "Until"):
        expect(page.get_by_label(name)).to_have_value("2026-11-28")
    context.close()
    other = browser.new_context(timezone_id="America/New_York")
    elsewhere = other.new_page()
    elsewhere.goto(page_address := f"{site.url}predictions?since=2026-11-27T15:00:00.000Z")
    expect(elsewhere.get_by_label("Since")).to_have_value("2026-11-27")
    assert elsewhere.url == page_address
    other.close()


def test_a_time_that_is_typed_into_a_filter_is_of_the_readers_clock_and_the_address_says_so(
    browser: Browser, site: Site
) -> None:
    context = browser.new_context(timezone_id="Asia/Kolkata")
    page = context.new_page()
    page.goto(f"{site.url}experiments")
    box = page.get_by_label("Filter")
    for typed, meant in {
        'created_at > "2020-01-02"': 'created_at > "2020-01-02T00:00+05:30"',
        "created_at>='2020-01-02 03:04:05' and source = \"api\"": (
            "created_at>='2020-01-02T03:04:05+05:30' and source = \"api\""
        ),
        'created_at > "2020-01-02T03:04Z"': 'created_at > "2020-01-02T03:04Z"',
        'created_at > "yesterday"': 'created_at > "yesterday"',
    }.items():
        box.fill(typed)
        box.press("Enter")
        expect(box).to_have_value(meant)
        assert parse_qs(urlsplit(page.url).query)["filter"] == [meant]
        expect(page.locator(".w-hint")).to_contain_text("this browser's clock (Asia/")
    context.close()
    there = browser.new_context(timezone_id="America/New_York")
    elsewhere = there.new_page()
    elsewhere.goto(f"{site.url}experiments?filter=created_at+%3E+%222020-01-02T00:00%2B05:30%22")
    expect(elsewhere.get_by_label("Filter")).to_have_value('created_at > "2020-01-02T00:00+05:30"')
    there.close()
