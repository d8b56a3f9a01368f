"""The page Models in a real browser before a fake API: an archive is brought, checked and deployed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.ui import visits
from tests.ui.conftest import Site
from tests.ui.fake_deployments import observed
from tests.ui.fake_models import NOT_A_ZIP
from tests.waiting import until

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive named like no experiment."""
    path = tmp_path / "Wine Quality.mar"
    path.write_bytes(b"PK" + bytes(3 * 1024 * 1024))
    return path


def choose(page: Page, site: Site, path: Path) -> None:
    page.goto(f"{site.url}models")
    page.get_by_label("Archive", exact=True).set_input_files(path)


@pytest.mark.parametrize("width", [1280, 390])
def test_an_archive_becomes_a_model_that_answers(
    site: Site, open_page: OpenPage, screenshot: Screenshot, archive: Path, width: int
) -> None:
    page = open_page(width)
    choose(page, site, archive)
    expect(page.get_by_label("Experiment", exact=True).first).to_have_value("wine-quality")
    expect(page.get_by_text("wine-quality is made if it is new.")).to_be_visible()
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("wine-quality v1")
    expect(page.get_by_text("handler.py").first).to_be_visible()
    visits.fits(page)
    screenshot(page, "uploaded")
    page.get_by_role("button", name="Deploy v1").click()
    expect(page.locator("#status")).to_contain_text("wine-quality starts with version 1")
    site.api.deployments["wine-quality"] |= {"ready": True, "observed": observed("ready", 1)}
    expect(page.locator(".w-verdict")).to_contain_text("Version 1 answers.")
    visits.enter(page, site.url)
    expect(page.locator("#chosen")).to_contain_text("wine-quality")


class TestModels:
    def test_a_dropped_file_is_the_next_version_and_replaces_what_runs(
        self, site: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}models")
        drop = """place => {
            const carried = new DataTransfer();
            carried.items.add(new File(["PK.."], "cnn-fast.mar"));
            place.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
        }"""
        page.locator(".o-drop").evaluate(drop)
        expect(page.get_by_text("The archive becomes version 4 of cnn-fast.")).to_be_visible()
        page.get_by_role("button", name="Upload", exact=True).click()
        page.get_by_role("button", name="Change cnn-fast from v3 to v4").click()
        expect(page.locator("#status")).to_contain_text("cnn-fast changes to version 4.")
        assert site.api.deployments["cnn-fast"]["previous_version"] == 3

    def test_a_rejected_archive_shows_its_cause(
        self, site: Site, open_page: OpenPage, screenshot: Screenshot, tmp_path: Path
    ) -> None:
        page = open_page(1280)
        bad = tmp_path / "cnn-fast.mar"
        bad.write_bytes(b"no zip at all")
        choose(page, site, bad)
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.get_by_role("alert")).to_have_text(NOT_A_ZIP)
        expect(page.get_by_role("heading", level=1)).to_have_text("Models")
        screenshot(page, "rejected")

    @pytest.mark.parametrize(
        ("name", "said"), [("model.pt", "marina pack"), ("model.joblib", "skops.io.dump(model")]
    )
    def test_what_is_no_archive_is_not_sent(
        self, site: Site, open_page: OpenPage, tmp_path: Path, name: str, said: str
    ) -> None:
        page = open_page(1280)
        other = tmp_path / name
        other.write_bytes(b"PK")
        choose(page, site, other)
        expect(page.get_by_role("alert")).to_contain_text(f"{name} is no .mar.")
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_role("button", name="Upload", exact=True)).to_be_disabled()

    def test_an_upload_can_be_cancelled(self, site: Site, open_page: OpenPage, archive: Path) -> None:
        page = open_page(1280)
        choose(page, site, archive)
        site.api.models.held = True
        page.get_by_role("button", name="Upload", exact=True).dblclick()
        page.wait_for_timeout(700)  # the second click of a double click is no Cancel
        expect(page.get_by_text("Checking the archive…")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Checking the archive…")).not_to_be_visible()
        site.api.models.held = False
        until(
            lambda: page.get_by_role("button", name="Upload", exact=True).is_enabled(), "it may be sent again"
        )
