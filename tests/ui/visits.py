"""What a visitor does with the pages and expects to see, as steps for any running UI."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

# A five, as shares of the sketchpad's side.
FIVE = [
    (0.68, 0.20),
    (0.40, 0.20),
    (0.37, 0.45),
    (0.55, 0.42),
    (0.66, 0.55),
    (0.62, 0.72),
    (0.48, 0.78),
    (0.34, 0.72),
]


def enter(page: Page, url: str) -> None:
    """Open the UI and wait until it knows what is deployed."""
    page.goto(url)
    see_the_pad(page)


def see_the_pad(page: Page) -> None:
    """Wait until Try knows what is deployed."""
    page.locator("#asking canvas").wait_for()
    page.get_by_role("checkbox").nth(1).wait_for()


def draw(page: Page, points: list[tuple[float, float]] = FIVE) -> None:
    """One stroke with the mouse."""
    canvas = page.locator("#asking canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


class Touch:
    """Fingers on the sketchpad; places are shares of its side, radii are in pixels."""

    def __init__(self, page: Page) -> None:
        canvas = page.locator("#asking canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        self._box = box
        self._session = page.context.new_cdp_session(page)
        self._session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})

    def send(self, kind: str, *fingers: tuple[float, float], radius: float = 10) -> None:
        """All fingers that are down after an event."""
        points = [
            {
                "x": self._box["x"] + x * self._box["width"],
                "y": self._box["y"] + y * self._box["height"],
                "id": number,
                "radiusX": radius,
                "radiusY": radius,
            }
            for number, (x, y) in enumerate(fingers)
        ]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def clear(page: Page) -> None:
    """Empty the sketchpad; the answers go with the drawing."""
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".m-vote")).to_have_count(0)
    assert ink(page) == 0


def ink(page: Page) -> float:
    """Share of the sketchpad that is dark."""
    script = """canvas => {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let dark = 0;
        for (let i = 0; i < pixels.length; i += 4) dark += pixels[i] < 128;
        return dark / (pixels.length / 4);
    }"""
    return float(page.locator("#asking canvas").evaluate(script))


def log_out(page: Page) -> None:
    """Log out by the menu."""
    page.locator(".s-who > summary").click()
    page.get_by_role("button", name="Log out").click()


def open_page(page: Page, address: str) -> None:
    """Open a page by its address below the root."""
    page.goto(f"{root(page)}{address}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def see_answers(page: Page, names: set[str]) -> dict[str, str]:
    """Wait for a card of each deployment; what each card says, by name."""
    for name in names:
        expect(card(page, name)).to_be_visible()
    expect(page.locator(".m-seen img").first).to_be_visible()
    found = {}
    for name in names:
        said = card(page, name).locator(".m-label, .m-error").first
        found[name] = said.inner_text()
    return found


def card(page: Page, name: str) -> Locator:
    """The card with one deployment's answer."""
    return page.locator(".m-card").filter(has=page.locator(f'h3:text-is("{name}")'))


def see_curves(page: Page, least: int, metric: str = "loss") -> None:
    """Compare the newest experiments, and wait for so many curves."""
    page.goto(f"{root(page)}compare?metric={metric}")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.wait_for_function(f"document.querySelectorAll('.c-line').length >= {least}")


def root(page: Page) -> str:
    """Address of the UI that is open."""
    return f"{page.url.partition('?')[0].rpartition('/')[0]}/"


def import_csv(page: Page, path: Path) -> Locator:
    """Import a CSV by its page; the report."""
    open_page(page, "imports")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Import", exact=True).click()
    report = page.get_by_role("region", name="What became of the rows")
    report.wait_for()
    return report


def see_two_bad_rows(report: Locator) -> None:
    """The report names the lines 3 and 5, their column, and what is wrong with the values."""
    rows = report.locator("tbody tr")
    expect(rows).to_have_count(2)
    for row, (line, value) in zip(rows.all(), (("3", "fast"), ("5", "slow")), strict=True):
        expect(row.locator("td").last).to_have_text(line)
        expect(row).to_contain_text("Learning Rate")
        reason = row.locator("th").inner_text()
        assert value in reason or "number" in reason, reason


def fits(page: Page) -> None:
    """Nothing is wider than the window."""
    wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1], f"{wide[0]} pixels in a window of {wide[1]}"
