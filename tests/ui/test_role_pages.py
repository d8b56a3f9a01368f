"""What a visitor of each role sees and may do, in a real browser before a fake API."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.ui import visits
from tests.ui.closed_site import REVOKED_MS, Closed, log_in
from tests.ui.fake_answers import HOSTILE
from tests.ui.fake_audit import entry
from tests.ui.fake_callers import me, token

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


def see_deployments_without_buttons(page: Page, closed: Closed) -> None:
    expect(page.locator("tbody tr")).to_have_count(len(closed.api.deployments))
    expect(page.locator("tbody input[name=pick]")).to_have_count(0)
    expect(page.get_by_text("Deploy…")).to_have_count(0)


class TestRoles:
    def test_a_viewer_sees_everything_and_no_button_that_changes_anything(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        page = open_page(1280)
        page.goto(closed.link("viewer"))
        page.get_by_text("Asking models needs the role annotator; you have viewer.").wait_for()
        expect(page.locator("#asking")).to_be_hidden()
        screenshot(page, "viewer")
        visits.see_curves(page, 6)
        visits.open_page(page, "deployments")
        see_deployments_without_buttons(page, closed)
        expect(page.get_by_text("Changing deployments needs the role deployer")).to_be_visible()
        screenshot(page, "viewer-deployments")
        visits.open_page(page, "deployment?name=cnn-fast")
        expect(page.get_by_text("Changing deployments needs the role deployer")).to_be_visible()
        expect(page.locator(".s-main form[method=post]")).to_have_count(0)
        visits.open_page(page, "models")
        expect(page.get_by_text("Uploading needs the role publisher; you have viewer.")).to_be_visible()
        expect(page.locator("[data-upload]")).to_have_count(0)
        visits.open_page(page, "imports")
        expect(page.get_by_text("Importing needs the role publisher")).to_be_visible()
        expect(page.get_by_role("button", name="Import", exact=True)).to_have_count(0)
        assert {call.partition(" ")[0] for call in closed.api.calls} == {"GET"}

    def test_an_annotator_asks_and_changes_nothing(self, closed: Closed, open_page: OpenPage) -> None:
        page = open_page(1280)
        visits.enter(page, closed.link("annotator"))
        visits.draw(page)
        visits.see_answers(page, set(closed.api.deployments))
        visits.open_page(page, "deployments")
        see_deployments_without_buttons(page, closed)

    def test_a_token_of_some_deployments_asks_and_changes_only_these(
        self, closed: Closed, open_page: OpenPage
    ) -> None:
        assert closed.api.tokens is not None
        closed.api.tokens[token("deployer", 3)] = me("deployer", deployments=["cnn-fast"])
        page = open_page(1280)
        page.goto(f"{closed.url}?token={token('deployer', 3)}")
        expect(page.locator("#chosen").get_by_role("checkbox")).to_have_count(1)
        visits.draw(page)
        visits.see_answers(page, {"cnn-fast"})
        assert closed.api.predictions.asked == [["cnn-fast"]]
        visits.open_page(page, "deployments")
        expect(page.locator("tbody tr")).to_have_count(len(closed.api.deployments))
        boxes = page.locator("tbody input[name=pick]").all()
        assert [box.get_attribute("value") for box in boxes] == ["cnn-fast"]
        visits.open_page(page, "deployment?name=cnn-baseline")
        expect(page.get_by_text("you have deployer, for other deployments.")).to_be_visible()

    def test_what_the_api_forbids_is_said_in_its_words(self, closed: Closed, open_page: OpenPage) -> None:
        assert closed.api.tokens is not None
        page = open_page(1280)
        visits.enter(page, closed.link("deployer"))
        visits.open_page(page, "deployment?name=cnn-fast")
        page.get_by_text("Stop…").click()
        closed.api.forbidden.add("POST /v1/deployments/cnn-fast/stop")
        page.get_by_role("button", name="Stop cnn-fast").click()
        expect(page.locator("#status")).to_contain_text("needs the role")
        closed.api.tokens[token("deployer")] = me("viewer")
        expect(page.get_by_text("Stop…")).to_have_count(0, timeout=2 * REVOKED_MS)

    def test_try_follows_the_role(self, closed: Closed, open_page: OpenPage) -> None:
        assert closed.api.tokens is not None
        page = open_page(1280)
        visits.enter(page, closed.link("deployer"))
        closed.api.tokens[token("deployer")] = me("viewer")
        expect(page.locator(".s-who .m-chip")).to_have_text("viewer", timeout=REVOKED_MS)
        expect(page.locator("#asking")).to_be_hidden(timeout=REVOKED_MS)


class TestWhatOnlyAdminsSee:
    def test_an_admin_reads_the_log_page_by_page_and_of_one_caller(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        closed.api.audit.entries.append(
            entry(61, subject=HOSTILE, path=HOSTILE, changes=[{"table": HOSTILE, "key": HOSTILE}])
        )
        page = open_page(1280)
        log_in(page, closed, "admin", "activity")
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(50)
        expect(rows.first).to_contain_text(HOSTILE)
        expect(rows.nth(1)).to_contain_text("deployments cnn-fast: version 60 → 61, previous_version – → 60")
        expect(rows.nth(1)).to_contain_text(f"{60:032x}"[:8])
        screenshot(page, "activity")
        visits.fits(page)
        page.get_by_role("link", name="Next").click()
        expect(rows).to_have_count(11)
        page.get_by_label("Caller").fill("a deployer")
        page.keyboard.press("Enter")
        expect(rows).to_have_count(30)
        assert page.title() == "Activity · Marina"

    def test_an_admin_revokes_a_token_and_issues_one_that_is_shown_once(
        self, closed: Closed, open_page: OpenPage, screenshot: Screenshot
    ) -> None:
        page = open_page(1280)
        log_in(page, closed, "admin", "settings")
        row = page.locator("tbody tr", has_text="program 1")
        row.get_by_text("Revoke", exact=True).click()
        assert closed.api.audit.revoked() == []
        row.get_by_role("button", name="Revoke for good").click()
        expect(row).to_contain_text("revoked")
        assert closed.api.audit.revoked() == ["program 1"]
        expect(row.get_by_role("button", name="Revoke for good")).to_have_count(0)
        page.get_by_label("Token name").fill(" ")
        page.get_by_role("button", name="Issue").click()
        expect(page.locator("#status")).to_contain_text("at least 1 character")
        page.get_by_label("Token name").fill("nightly job")
        page.get_by_label("Deployments", exact=True).fill("cnn-fast, mlp-poor")
        page.get_by_role("button", name="Issue").click()
        shown = page.locator(".m-once code").first
        made = f"mrn_{2:012x}_{'s' * 43}"
        expect(shown).to_have_text(made)
        link = page.locator(".m-once code").nth(1).inner_text()
        assert link == f"{visits.root(page)}?token={made}"
        expect(page.locator("tbody tr", has_text="nightly job")).to_contain_text("cnn-fast, mlp-poor")
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.get_by_role("button", name=re.compile("Copied|Marked"))).to_be_visible()
        screenshot(page, "tokens")
        visits.open_page(page, "settings")
        expect(page.locator("tbody tr", has_text="nightly job")).to_be_visible()
        expect(shown).to_have_count(0)
        page.go_back()
        expect(shown).to_have_count(0)

    def test_nobody_else_sees_it(self, closed: Closed, open_page: OpenPage) -> None:
        page = open_page(1280)
        log_in(page, closed, "publisher", "settings")
        expect(page.get_by_text("API tokens")).to_have_count(0)
        visits.open_page(page, "activity")
        expect(page.get_by_text("It needs the role admin; you have publisher.")).to_be_visible()
        assert not {"GET /v1/audit", "GET /v1/tokens"} & set(closed.api.calls)

    def test_it_goes_away_with_the_role(self, closed: Closed, open_page: OpenPage) -> None:
        assert closed.api.tokens is not None
        page = open_page(390)
        log_in(page, closed, "admin", "activity")
        expect(page.locator("tbody tr")).to_have_count(50)
        visits.fits(page)
        closed.api.tokens[token("admin")] = me("viewer")
        expect(page.locator("tbody tr")).to_have_count(0, timeout=2 * REVOKED_MS)
        expect(page.get_by_text("It needs the role admin; you have viewer.")).to_be_visible()
