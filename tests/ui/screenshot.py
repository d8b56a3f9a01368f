"""Write the README's screenshots of Try, Compare and Deployments from a running system; `make screenshot` calls it.

make screenshot                            the system that `make up` started, to docs/*.png
make screenshot MARINA_UI_PORT=9060        another one
"""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, expect, sync_playwright

from marina_local import tokens
from marina_local.settings import LocalSettings
from tests.ui import browsers, visits

OUT = Path(__file__).parents[2] / "docs"
WIDTH, HEIGHT = 1280, 800
# A page that is longer is cut there.
TALLEST = 1000
MOST_BYTES = 150_000
COLOURS = 128
ACTION_MS = 20_000
METRIC = "loss"


def main() -> None:
    """Use the pages in a browser of its own and store what they show. Exits with one line when nothing answers."""
    parser = argparse.ArgumentParser(description="Write the README's screenshots.")
    parser.add_argument("--url", help="by default that of the system of MARINA_HOME, with its token")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder that they are written to")
    arguments = parser.parse_args()
    url = arguments.url or _own_url()
    shown = url.partition("?")[0]  # without the token
    with sync_playwright() as playwright:
        browser = browsers.launch(playwright)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(ACTION_MS)
        try:
            for name, take in SHOTS.items():
                path = arguments.out / f"{name}.png"
                sys.stderr.write(f"{path}: {write(take(page, url), path) / 1000:,.0f} kB\n")
        except (BrowserError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            sys.exit(f"no screenshot of {shown}: {reason}. Start the system with `make up` first.")
        finally:
            browser.close()


def _own_url() -> str:
    settings = LocalSettings()
    try:
        return tokens.link(settings)
    except FileNotFoundError:
        return settings.address("ui")


def try_page(page: Page, url: str) -> bytes:
    """A drawn 5 with all predictions, on a page WIDTH pixels wide. Raises AssertionError when some are missed."""
    verdict = page.locator(".m-verdict h2")
    visits.enter(page, url)
    # Something of everything, so that Deployments shows traffic and latencies are not those of a system just started.
    for digit in range(10):
        page.get_by_role("button", name=f"Example: a {digit}").click()
        expect(verdict).to_be_visible()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(verdict).to_have_count(0)
    visits.draw(page)
    expect(verdict).to_contain_text("say")
    expect(page.locator(".m-card .m-error")).to_have_count(0)
    return _seen(page)


def compare_page(page: Page, url: str) -> bytes:
    """Curves of all experiments, and what differs between them."""
    visits.enter(page, url)
    visits.see_curves(page, 5, METRIC)
    page.get_by_label("Smoothing").fill("0.9")
    expect(page.locator(".c-label").nth(4)).to_be_visible()
    return _seen(page)


def deployments_page(page: Page, url: str) -> bytes:
    """Deployments that answer, with their traffic."""
    visits.enter(page, url)
    visits.open_page(page, "deployments?sort=name")
    expect(page.locator("tbody .m-chip.ok").nth(4)).to_be_visible()
    return _seen(page)


def _seen(page: Page) -> bytes:
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur(), window.scrollTo(0, 0)")
    height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
    return page.screenshot(full_page=True, animations="disabled", clip=clip)  # type: ignore[arg-type]


def write(screenshot: bytes, path: Path) -> int:
    """Store one with a palette of COLOURS, which the flat colours of a page do not miss; the bytes written.

    Raises AssertionError when they are more than MOST_BYTES.
    """
    image = Image.open(io.BytesIO(screenshot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    content = buffer.getvalue()
    assert len(content) <= MOST_BYTES, f"{len(content)} bytes; the limit is {MOST_BYTES}"
    path.write_bytes(content)
    return len(content)


SHOTS: dict[str, Callable[[Page, str], bytes]] = {
    "try": try_page,
    "compare": compare_page,
    "deployments": deployments_page,
}


if __name__ == "__main__":
    main()
