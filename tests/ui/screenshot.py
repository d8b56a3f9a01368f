"""Write the README's screenshot of the Try page from a running system; `make screenshot` calls it.

make screenshot                            the system that `make up` started, to docs/try.png
make screenshot MARINA_UI_PORT=9060        another one
"""

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, expect, sync_playwright

from marina_local import tokens
from marina_local.settings import LocalSettings
from tests.ui import browsers, visits

OUT = Path(__file__).parents[2] / "docs" / "try.png"
WIDTH, HEIGHT = 1280, 800
MOST_BYTES = 200_000
COLOURS = 128
ACTION_MS = 20_000


def main() -> None:
    """Draw a digit in a browser of its own and store what it shows. Exits with one line when nothing answers."""
    parser = argparse.ArgumentParser(description="Write the README's screenshot of the Try page.")
    parser.add_argument("--url", help="by default that of the system of MARINA_HOME, with its token")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    url = arguments.url or _own_url()
    shown = url.partition("?")[0]  # without the token
    with sync_playwright() as playwright:
        browser = browsers.launch(playwright)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(ACTION_MS)
        try:
            size = take(page, url, arguments.out)
        except (BrowserError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            sys.exit(f"no screenshot of {shown}: {reason}. Start the system with `make up` first.")
        finally:
            browser.close()
    sys.stderr.write(f"{arguments.out}: {WIDTH} pixels wide, {size / 1000:,.0f} kB\n")


def _own_url() -> str:
    settings = LocalSettings()
    try:
        return tokens.link(settings)
    except FileNotFoundError:
        return settings.address("ui")


def take(page: Page, url: str, out: Path) -> int:
    """Draw a 5, wait for all predictions, and write the page as a PNG of at most MOST_BYTES; the bytes written.

    The page must be WIDTH pixels wide. Raises AssertionError when predictions or the limit are missed.
    """
    verdict = page.locator(".m-verdict h2")
    visits.enter(page, url)
    visits.draw(page)
    expect(verdict).to_contain_text("say")
    # Again, because the first latencies are those of a system that has just started.
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(verdict).to_have_count(0)
    visits.draw(page)
    expect(verdict).to_contain_text("say")
    expect(page.locator(".m-card .m-error")).to_have_count(0)
    page.mouse.move(0, 0)
    content = smaller(page.screenshot(full_page=True, animations="disabled"))
    assert len(content) <= MOST_BYTES, f"{len(content)} bytes; the limit is {MOST_BYTES}"
    out.write_bytes(content)
    return len(content)


def smaller(png: bytes) -> bytes:
    """The same image with a palette of COLOURS, which the flat colours of a page do not miss."""
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
