"""Uploads and actions on the real API, in a real browser."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.metadata_api.making import make_mar
from tests.serving.archive.crafted import HANDLER, files, item, laid, manifest, rejected
from tests.serving.archive.test_mar_hostile import ARCHIVES, MANIFESTS, MODELS, RECORDS
from tests.ui import browsers

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all pages."""
    with browsers.running() as browser:
        yield browser


@pytest.mark.main_way
def test_an_archive_is_dropped_and_leads_to_its_version(
    chromium: Browser, pages: str, site: None, tmp_path: Path
) -> None:
    archive = tmp_path / "net.mar"
    archive.write_bytes(make_mar(tmp_path))
    page = chromium.new_page()
    page.goto(f"{pages}/behind/models")
    page.get_by_label("Archive", exact=True).set_input_files(archive)
    expect(page.get_by_text("net is made if it is new.")).to_be_visible()
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="net v1")).to_be_visible()
    page.close()


HOSTILE = {
    **{name: archive for name, (_, archive) in ARCHIVES.items()},
    **{name: laid([replace(manifest(), body=text), HANDLER]) for name, (_, text) in MANIFESTS.items()},
    **{
        name: laid(
            [manifest(**model), HANDLER, item("requirements.txt", b"x"), item("model-config.yaml", b"x")]
        )
        for name, (_, model) in MODELS.items()
    },
    **{name: files(item(file, text)) for name, (_, file, text) in RECORDS.items()},
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long)])
def test_a_hostile_archive_shows_its_cause_and_leaves_nothing(
    chromium: Browser, pages: str, site: None, api: httpx.Client, tmp_path: Path, step: int
) -> None:
    page, alone = chromium.new_page(), tmp_path / "alone"
    alone.mkdir()
    page.goto(f"{pages}/behind/models")
    wrong = []
    for archive in list(HOSTILE.values())[::step]:
        cause = str(rejected(archive, alone)) if archive else "is empty"
        (tmp_path / "strange.mar").write_bytes(archive)
        page.get_by_label("Archive", exact=True).set_input_files([])
        page.get_by_label("Archive", exact=True).set_input_files(tmp_path / "strange.mar")
        with page.expect_response("**/archives/strange?new=1"):
            page.get_by_role("button", name="Upload", exact=True).click()
        told = page.get_by_role("alert").text_content(timeout=5000) or ""
        if cause not in told:
            wrong.append(f"{cause!r} is told as {told!r}")
    page.close()
    assert wrong == []
    assert api.get("/v1/experiments/strange").status_code == 404


@pytest.mark.main_way
def test_a_deployment_is_stopped_with_a_question_and_started_again_by_undo(
    chromium: Browser, pages: str, site: None, api: httpx.Client
) -> None:
    page = chromium.new_page()
    page.goto(f"{pages}/behind/deployments")
    page.get_by_label("Choose b").check()
    page.get_by_role("button", name="Stop…").click()
    expect(page.get_by_text("answers nobody any more until it is started again.")).to_be_visible()
    page.get_by_role("button", name="Stop b").click()
    expect(page.get_by_text("b stops.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: b runs again.")).to_be_visible()
    assert api.get("/v1/deployments/b").json()["desired"] == "running"
    page.close()
