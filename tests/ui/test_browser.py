"""A visitor in a real browser before the real system: draw, compare, import."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import Stack
from tests.ui import screenshot, visits

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTHS = [1280, 390]
LOADED_SECONDS = 60
# On one page of the table.
ROWS = 20
DIGITS = list("0123456789")
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


def deployed(stack: Stack, labels: list[str] | None = None) -> set[str]:
    """What runs; with labels, of the models that have these."""
    answer = httpx.get(
        f"{stack.api_url}/v1/deployments", params={"limit": 200}, headers=stack.headers, timeout=10
    )
    running = [item for item in answer.json()["items"] if item["desired"] == "running"]
    return {item["name"] for item in running if labels is None or item["labels"] == labels}


def bring(page: Page, image: Path) -> None:
    """Put something into the input that is open, and ask about it."""
    if page.get_by_role("button", name="Example: a 7").count():
        page.get_by_role("button", name="Example: a 7").click()
    elif page.locator("#asking input[type=file]").count():
        page.locator("#asking input[type=file]").set_input_files(image)
    else:
        example = page.get_by_role("button", name="Example", exact=True)
        if example.count():
            example.click()
        page.get_by_role("button", name="Predict", exact=True).click()


@pytest.mark.parametrize("width", WIDTHS)
def test_each_task_is_answered_by_all_its_models(
    stack: Stack, open_page: OpenPage, screenshot: Screenshot, tmp_path: Path, width: int
) -> None:
    image = tmp_path / "image.png"
    Image.radial_gradient("L").convert("RGB").save(image)
    page = open_page(width)
    visits.enter(page, stack.link)
    labels = page.locator(".m-task-list label")
    keys = [label.get_attribute("data-key") or "" for label in labels.all()]
    assert keys
    for key in keys:
        page.goto(f"{stack.ui_url}/?task={key}")
        page.locator(f'.m-task-list label[data-key="{key}"] input:checked').wait_for(state="attached")
        bring(page, image)
        names = [label.get_attribute("data-name") for label in page.locator("#chosen label").all()]
        assert names
        for name in names:
            card = visits.card(page, name or "")
            expect(card).to_be_visible()
            expect(card.locator(".m-error")).to_have_count(0)
        visits.fits(page)
        screenshot(page, f"task-{key}")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_drawn_digit_is_answered_by_every_deployed_experiment(
    stack: Stack, open_page: OpenPage, screenshot: Screenshot, width: int
) -> None:
    page = open_page(width)
    visits.enter(page, stack.link)
    screenshot(page, "try-before")
    visits.draw(page)
    names = deployed(stack, DIGITS)
    assert len(names) >= 5
    said = visits.see_answers(page, names)
    assert all(label in set("0123456789") for label in said.values()), said
    assert list(said.values()).count("5") >= len(said) / 2, said
    expect(page.locator(".m-verdict h2")).to_contain_text(f"of {len(names)} say")
    visits.fits(page)
    screenshot(page, "try")


@pytest.mark.parametrize("name", screenshot.SHOTS)
def test_the_screenshots_of_the_readme_are_made_from_a_running_system(
    stack: Stack, open_page: OpenPage, tmp_path: Path, name: str
) -> None:
    page, new = open_page(screenshot.WIDTH), tmp_path / f"{name}.png"
    screenshot.write(screenshot.SHOTS[name](page, stack.link), new)
    if name == "try":
        assert page.locator(".m-card .m-label").count() == len(deployed(stack, DIGITS))
    for path in (new, screenshot.OUT / new.name):
        assert path.stat().st_size <= screenshot.MOST_BYTES
        with Image.open(path) as image:
            assert (image.format, image.width) == ("PNG", screenshot.WIDTH)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_loss_curves_of_the_experiments_are_in_one_chart(
    stack: Stack, open_page: OpenPage, screenshot: Screenshot, width: int
) -> None:
    page = open_page(width)
    visits.enter(page, stack.link)
    visits.see_curves(page, 5)
    visits.fits(page)
    screenshot(page, "experiments")


@pytest.mark.parametrize("width", WIDTHS)
def test_an_import_reports_the_lines_that_it_refused(
    stack: Stack, open_page: OpenPage, screenshot: Screenshot, bad_csv: Path, width: int
) -> None:
    page = open_page(width)
    visits.enter(page, stack.link)
    report = visits.import_csv(page, bad_csv)
    visits.see_two_bad_rows(report)
    visits.fits(page)
    screenshot(page, "import")
    page.goto(f"{visits.root(page)}experiments")
    expect(page.locator("tbody")).to_contain_text("Old One")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_deployments_are_shown_as_ready(
    stack: Stack, open_page: OpenPage, screenshot: Screenshot, width: int
) -> None:
    page = open_page(width)
    visits.enter(page, stack.link)
    visits.open_page(page, "deployments")
    expect(page.locator("tbody tr")).to_have_count(min(len(deployed(stack)), ROWS))
    ready = page.get_by_role("list", name="States").get_by_role("link", name="ready")
    expect(ready).to_contain_text(str(len(deployed(stack))), timeout=LOADED_SECONDS * 1000)
    visits.fits(page)
    screenshot(page, "deployments")


def test_an_archive_that_is_brought_answers_within_half_a_minute(
    stack: Stack, open_page: OpenPage, screenshot: Screenshot
) -> None:
    [archive] = (Path(__file__).parents[2] / ".marina" / "models").glob("mlp-wide/*.mar")
    page = open_page(1280)
    visits.enter(page, stack.link)
    visits.open_page(page, "models")
    begin = time.monotonic()
    page.get_by_label("Archive", exact=True).set_input_files(archive)
    page.get_by_label("Experiment", exact=True).first.fill("brought")
    page.get_by_role("button", name="Upload", exact=True).click()
    try:
        page.get_by_role("button", name="Deploy v1").click()
        expect(page.locator(".w-verdict")).to_contain_text("Version 1 answers.", timeout=30_000)
        page.goto(f"{visits.root(page)}?task=digits")
        page.locator("#chosen").get_by_text("brought", exact=True).wait_for()
        page.get_by_role("button", name="Example: a 7").click()
        expect(visits.card(page, "brought").locator(".m-label")).to_have_text("7")
        assert time.monotonic() - begin < 30
        screenshot(page, "brought")
    finally:
        address = f"{stack.api_url}/v1/deployments/brought"
        httpx.post(f"{address}/stop", headers=stack.headers, timeout=10)
        assert httpx.delete(address, headers=stack.headers, timeout=10).status_code == 204


def test_an_archive_that_is_rejected_shows_the_cause(
    stack: Stack, open_page: OpenPage, tmp_path: Path
) -> None:
    bad = tmp_path / "climbing.mar"
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("MAR-INF/MANIFEST.json", "{}")
        file.writestr("../climbs.py", "")
    page = open_page(1280)
    visits.enter(page, stack.link)
    visits.open_page(page, "models")
    page.get_by_label("Archive", exact=True).set_input_files(bad)
    page.get_by_label("Experiment", exact=True).first.fill("mlp-wide")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("climbs.py")
