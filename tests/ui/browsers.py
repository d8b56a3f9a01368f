"""The Chromium that browser tests and `make screenshot` drive."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def running() -> Iterator[Browser]:
    """Chromium until the block ends. As long as Playwright lives, no other event loop can run in this thread."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def launch(playwright: Playwright) -> Browser:
    """Start Chromium: MARINA_CHROMIUM, the one on PATH, else Playwright's own. Raises FileNotFoundError without one."""
    found = os.environ.get("MARINA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    path = found or playwright.chromium.executable_path
    if not Path(path).exists():
        raise FileNotFoundError(
            "no Chromium for the browser tests: install one (`make browser`) or name it in MARINA_CHROMIUM"
        )
    return playwright.chromium.launch(executable_path=path, args=FLAGS)
