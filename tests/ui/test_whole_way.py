"""The whole way of evidence on the real system: drawn, labelled, refused, promoted, rolled back, traced."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import Stack
from tests.ui import visits
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long]
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]
EXAMPLES = Path(__file__).parents[2] / "ui" / "model_ui" / "examples"
# The candidate learned with a good rate, the champion hardly anything.
ALIAS, CHAMPION, CANDIDATE = "whole-way", "mlp-tiny-lr", "cnn-baseline"
MOST_LABELS = 60


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """The alias points at the champion, and both are ready."""
    with httpx.Client(base_url=stack.api_url, headers=stack.headers, timeout=60) as client:
        for name in (CHAMPION, CANDIDATE):
            stack.wait_until_ready(name)
        client.put(f"/v1/aliases/{ALIAS}", json={"deployment": CHAMPION}).raise_for_status()
        yield client
        client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()


def ask_about_digits(api: httpx.Client) -> dict[str, str]:
    """Ask both about turned digits; what is right about each, by sha256."""
    truths = {}
    for angle in (-25, -15, -5, 5, 15, 25):
        for digit in range(10):
            with Image.open(EXAMPLES / f"digit-{digit}.png") as example:
                turned = example.convert("L").rotate(angle, Image.Resampling.BILINEAR)
            file = io.BytesIO()
            turned.save(file, "PNG")
            files = {"image": ("digit.png", file.getvalue(), "image/png")}
            answer = api.post("/v1/predictions", files=files, data={"deployments": [CHAMPION, CANDIDATE]})
            truths[answer.raise_for_status().json()["input"]["sha256"]] = str(digit)
    return truths


def standing(api: httpx.Client) -> dict[str, Any]:
    found = api.get(f"/v1/aliases/{ALIAS}/evidence", params={"candidate": CANDIDATE})
    return dict(found.raise_for_status().json())


def label(page: Page, truths: dict[str, str], stop: Callable[[], bool]) -> None:
    """One key for each input that the queue offers, until it is enough; what others have asked about is skipped."""
    offered = page.locator(".l-side input[name=sha256]").first
    for _ in range(MOST_LABELS):
        if stop():
            return
        sha256 = offered.get_attribute("value") or ""
        page.keyboard.press(truths.get(sha256, "ArrowRight"))
        expect(offered).not_to_have_attribute("value", sha256)
    raise AssertionError(f"{MOST_LABELS} labels do not decide it")


def show_both_widths(page: Page, screenshot: Screenshot, name: str) -> None:
    """Keep what a page is at a desk and on a phone, where nothing may stick out."""
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        visits.fits(page)
        screenshot(page, name)


def test_drawn_labelled_refused_promoted_rolled_back_and_traced(
    stack: Stack, api: httpx.Client, open_page: OpenPage, screenshot: Screenshot
) -> None:
    page = open_page(1280)
    visits.enter(page, stack.link)

    # Drawn, and what is right said beside the answers.
    visits.draw(page)
    visits.card(page, CANDIDATE).wait_for()
    page.keyboard.press("5")
    right = page.locator("form[data-right]")
    expect(right).to_contain_text("Labelled 5.")
    screenshot(page, "drawn")

    # What a candidate needs.
    page.goto(f"{stack.ui_url}/alias?name={ALIAS}")
    page.get_by_text("Set a policy").click()
    page.get_by_label("Labels that both answered, at least").fill("10")
    page.get_by_role("button", name="Save the policy").click()
    expect(page.get_by_text(f"{ALIAS} has a policy of its own.")).to_be_visible()
    expect(page.get_by_text("at least 10 that both answered")).to_be_visible()
    show_both_widths(page, screenshot, "policy")

    # Refused: one label decides nothing.
    evidence = f"{stack.ui_url}/evidence?alias={ALIAS}&challenger={CANDIDATE}"
    page.goto(evidence)
    expect(page.get_by_role("img", name=re.compile("After 1 labels"))).to_be_visible()
    expect(page.get_by_text("It cannot be promoted yet.")).to_be_visible()
    refused = api.post(f"/v1/aliases/{ALIAS}/promote", json={"candidate": CANDIDATE})
    assert (refused.status_code, refused.json()["error"]) == (409, "promotion_refused")
    show_both_widths(page, screenshot, "refused")

    # More labels by keys, while the page Evidence watches.
    truths = ask_about_digits(api)
    labelling = open_page(1280)
    labelling.goto(f"{stack.ui_url}/label?alias={ALIAS}&challenger={CANDIDATE}")
    show_both_widths(labelling, screenshot, "label")
    label(labelling, truths, lambda: bool(standing(api)["promotable"]))
    page.bring_to_front()
    expect(page.get_by_text("can be promoted")).to_be_visible(timeout=15_000)
    count = standing(api)["labels"]
    assert standing(api)["chosen_at_random"] >= 1, "every fifth that the queue offers"
    expect(page.get_by_role("img", name=re.compile(f"After {count} labels"))).to_be_visible()
    show_both_widths(page, screenshot, "promotable")

    # Replayed, and the preview says what came of it.
    page.get_by_role("link", name="Replay both…").click()
    page.get_by_label("Inputs, at most 1,000").fill("40")
    page.get_by_role("button", name="Start the replay").click()
    expect(page.get_by_role("heading", name=f"{CANDIDATE} against {CHAMPION}")).to_be_visible(timeout=60_000)
    show_both_widths(page, screenshot, "replay")

    # Promoted.
    page.goto(evidence)
    page.get_by_text(f"Promote {CANDIDATE}").click()
    expect(page.get_by_text(re.compile(r"Replay \d+ has answers of both to 40 inputs")).last).to_be_visible()
    show_both_widths(page, screenshot, "preview")
    page.get_by_label("Reason").fill("it reads turned digits")
    page.get_by_role("button", name="Promote", exact=True).click()
    expect(page.get_by_text(f"{ALIAS} points at {CANDIDATE}")).to_be_visible()
    with (EXAMPLES / "digit-7.png").open("rb") as image:
        asked = api.post(
            "/v1/predictions", files={"image": ("7.png", image, "image/png")}, data={"aliases": ALIAS}
        )
    [said] = asked.raise_for_status().json()["results"]
    assert said["deployment"] == CANDIDATE

    # Rolled back.
    page.goto(f"{stack.ui_url}/alias?name={ALIAS}")
    page.get_by_role("button", name=f"Roll back to {CHAMPION}").click()
    expect(page.get_by_text("again.", exact=False).first).to_be_visible()
    until(lambda: api.get(f"/v1/aliases/{ALIAS}").json()["deployment"] == CHAMPION, "it is rolled back")
    show_both_widths(page, screenshot, "rolled-back")

    # Traced: who let it answer, on what evidence, and what it was.
    page.goto(f"{stack.ui_url}/prediction?id={said['prediction_id']}")
    page.get_by_role("link", name="The whole lineage").click()
    chain = page.locator(".n-chain")
    expect(chain).to_contain_text("it reads turned digits")
    expect(chain).to_contain_text(f"{CANDIDATE} against {CHAMPION} on digits: {count} labels")
    version = api.get(f"/v1/predictions/{said['prediction_id']}/lineage").json()["version"]
    expect(chain).to_contain_text(version["mar_sha256"])
    expect(chain).to_contain_text(version["data_set"]["sha256"])
    show_both_widths(page, screenshot, "lineage")
