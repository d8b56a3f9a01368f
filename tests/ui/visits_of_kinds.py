"""How a visitor asks the models of tests/kinds.py, one of each kind, and what Try then shows; for any running UI."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.ui import visits

MOST_TABS = 60
Keep = Callable[[str], None]
# Of a model that may have to start first.
ANSWER_MS = 60_000


def ask_each(page: Page, folder: Path, keep: Keep) -> None:
    """Bring each kind of input, and see its answer; `keep` gets the name of each kind when it is in sight."""
    root = visits.root(page)
    for name, ask in {"finder": _image, "grade": _row, "shout": _text, "double": _tensor}.items():
        page.goto(f"{root}?task={name}")
        page.locator(f'.m-task-list label[data-key="{name}"] input:checked').wait_for(state="attached")
        ask(page, folder)
        visits.fits(page)
        keep(name)


def ask_by_keyboard(page: Page) -> None:
    """Choose the task of texts, write one, and go on to a row, without a pointer."""
    _tab_to(page, ".m-task-list input")
    _choose(page, "shout")
    _tab_to(page, "#asking textarea")
    page.keyboard.type("ei")
    expect(page.locator(".m-text")).to_have_text("EI", timeout=ANSWER_MS)
    _tab_to(page, ".m-task-list input", "Shift+Tab")
    _choose(page, "grade")
    _tab_to(page, '#asking input:not([type="radio"])')
    page.keyboard.press("Control+A")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    expect(visits.card(page, "grade").locator(".m-label")).to_have_text("120", timeout=ANSWER_MS)


def _image(page: Page, folder: Path) -> None:
    photo = folder / "photo.png"
    Image.linear_gradient("L").resize((320, 200)).convert("RGB").save(photo)
    page.locator("#asking input[type=file]").set_input_files(photo)
    boxes = page.locator("svg.m-boxes")
    expect(boxes.locator("rect")).to_have_count(1, timeout=ANSWER_MS)
    expect(boxes).to_have_attribute("viewBox", "0 0 320 200")


def _row(page: Page, _: Path) -> None:
    page.get_by_label("alcohol").fill("12.5")
    page.get_by_role("combobox", name="colour").select_option("white")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(visits.card(page, "grade").locator(".m-label")).to_have_text("126", timeout=ANSWER_MS)


def _text(page: Page, _: Path) -> None:
    page.get_by_role("textbox", name="Text").fill("suomi")
    expect(page.locator(".m-text")).to_have_text("SUOMI", timeout=ANSWER_MS)


def _tensor(page: Page, _: Path) -> None:
    page.get_by_label("x FP32").fill("[3, 4]")
    expect(page.locator(".m-json")).to_have_text("[6, 8]", timeout=ANSWER_MS)


def _tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    for _ in range(MOST_TABS):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{MOST_TABS} times {key} do not reach {selector}")


def _choose(page: Page, task: str) -> None:
    for _ in range(MOST_TABS):
        if page.evaluate("document.activeElement.value") == task:
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"no arrow reaches {task}")
