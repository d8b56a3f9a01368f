"""The Models tab in a real browser before a fake API: an archive is brought, checked and deployed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.ui import visits
from tests.ui.conftest import Site
from tests.ui.fake_api import observed
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


def choose(page: Page, path: Path) -> None:
    visits.open_tab(page, "Models")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a file").click()
    chooser.value.set_files(path)


@pytest.mark.parametrize("width", [1280, 390])
def test_an_archive_becomes_a_model_that_answers(
    site: Site, open_page: OpenPage, screenshot: Screenshot, archive: Path, width: int
) -> None:
    page = open_page(width)
    visits.enter(page, site.url)
    choose(page, archive)
    expect(page.get_by_label("Experiment", exact=True)).to_have_value("wine-quality")
    expect(page.get_by_text("wine-quality is a new experiment.")).to_be_visible()
    page.get_by_role("button", name="Upload", exact=True).click()
    found = page.locator(".m-version")
    expect(found).to_contain_text("wine-quality v1")
    expect(found).to_contain_text("handler.py")
    visits.fits(page)
    screenshot(page, "uploaded")
    found.get_by_role("button", name="Deploy").click()
    expect(page.locator("#deploying")).to_contain_text("wine-quality starts with version 1")
    site.api.deployments["wine-quality"] |= {"ready": True, "observed": observed("ready", 1)}
    expect(page.locator("#deploying")).to_contain_text("wine-quality answers with version 1.")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("tab", name="Try", exact=True)).to_have_attribute("aria-selected", "true")


class TestModels:
    def test_a_dropped_file_is_the_next_version_and_replaces_what_runs(self, site: Site, page: Page) -> None:
        visits.open_tab(page, "Models")
        drop = """place => {
            const carried = new DataTransfer();
            carried.items.add(new File(["PK.."], "cnn-fast.mar"));
            place.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
        }"""
        page.locator(".m-drop").evaluate(drop)
        expect(page.get_by_text("The archive becomes version 4 of cnn-fast.")).to_be_visible()
        page.get_by_role("button", name="Upload", exact=True).click()
        page.get_by_role("button", name="Change cnn-fast to v4").click()
        expect(page.locator("#deploying")).to_contain_text("cnn-fast answers with version 4.")
        assert site.api.deployments["cnn-fast"]["previous_version"] == 3

    def test_a_rejected_archive_shows_its_cause(
        self, site: Site, page: Page, screenshot: Screenshot, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad.mar"
        bad.write_bytes(b"no zip at all")
        choose(page, bad)
        page.get_by_label("Experiment", exact=True).fill("cnn-fast")
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.locator("#archive").get_by_role("alert")).to_have_text(NOT_A_ZIP)
        expect(page.locator(".m-version")).to_have_count(0)
        screenshot(page, "rejected")

    @pytest.mark.parametrize(
        ("name", "said"), [("model.pt", "marina pack"), ("model.joblib", "skops.io.dump(model")]
    )
    def test_what_is_no_archive_is_not_sent(
        self, site: Site, page: Page, tmp_path: Path, name: str, said: str
    ) -> None:
        other = tmp_path / name
        other.write_bytes(b"PK")
        choose(page, other)
        expect(page.locator("#archive").get_by_role("alert")).to_contain_text(f"{name} is no .mar.")
        expect(page.locator("#archive").get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_role("button", name="Upload", exact=True)).to_be_disabled()

    def test_an_upload_can_be_cancelled(self, site: Site, page: Page, archive: Path) -> None:
        choose(page, archive)
        page.get_by_label("Experiment", exact=True).fill("cnn-fast")
        site.api.models.held = True
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.get_by_text("Checking the archive…")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Checking the archive…")).not_to_be_visible()
        site.api.models.held = False
        until(
            lambda: page.get_by_role("button", name="Upload", exact=True).is_enabled(), "it may be sent again"
        )
