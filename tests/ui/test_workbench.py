"""Our own pages in a real browser before a fake API: addresses, tables, curves, what stays fresh, and for whom."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui import visits
from tests.ui.accessibility import see_no_barrier, see_no_barriers
from tests.ui.conftest import Site
from tests.ui.fake_answers import HOSTILE
from tests.ui.fake_experiments import experiment

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]
PAGES = {
    "experiments": "experiments?pick=cnn-fast",
    "experiment": "experiment?name=cnn-baseline",
    "compare": "compare?experiments=cnn-baseline,cnn-fast,mlp-poor",
    "missing": "nowhere",
    "wrong-filter": "experiments?filter=loss",
}
IDLE_MS = 13_000


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_barrier(browser: Browser, site: Site, screenshot: Screenshot, name: str) -> None:
    see_no_barriers(browser, site.url, {name: PAGES[name]}, screenshot)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_that_gradio_serves_has_none_either(
    browser: Browser, site: Site, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    visits.enter(page, site.url)
    see_no_barrier(page)
    assert page.title() == "Try · Marina"
    context.close()


class TestExperiments:
    @pytest.mark.main_way
    def test_the_best_is_two_clicks_away_and_its_address_shows_the_same(
        self, site: Site, open_page: OpenPage
    ) -> None:
        site.api.experiments["mlp-small"]["metrics"]["accuracy"] |= {"best": 0.999}
        page = open_page(1280)
        page.goto(f"{site.url}experiments")
        page.get_by_role("link", name="accuracy").click()
        header = page.get_by_role("columnheader", name="accuracy")
        expect(header).to_have_attribute("aria-sort", "descending")
        expect(page.locator("tbody tr").first).to_contain_text("mlp-small")
        expect(page.locator("td.best").first).to_contain_text("0.999")
        other = open_page(1280)
        other.goto(page.url)
        expect(other.locator("tbody tr").first).to_contain_text("mlp-small")
        page.get_by_role("link", name="accuracy").click()
        expect(header).to_have_attribute("aria-sort", "ascending")
        page.go_back()
        expect(page.locator("tbody tr").first).to_contain_text("mlp-small")
        assert page.title() == "Experiments · Marina"

    def test_a_phone_sorts_too(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(390)
        page.goto(f"{site.url}experiments")
        page.get_by_role("link", name="loss min").click()
        expect(page.locator("tbody tr").first).to_contain_text("cnn-baseline")
        page.get_by_role("link", name="loss min").click()
        expect(page.locator("tbody tr").first).to_contain_text("mlp-poor")
        assert "sort=-metrics.loss" in page.url

    def test_a_filter_narrows_and_a_wrong_one_says_where(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments")
        box = page.get_by_label("Filter")
        box.fill("metrics.loss > 1")
        box.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert "filter=metrics.loss" in page.url
        box.fill("loss ???")
        box.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("a field is expected")
        expect(box).to_have_attribute("aria-invalid", "true")
        expect(box).to_have_value("loss ???")
        page.reload()
        expect(box).to_have_value("loss ???")
        page.get_by_role("link", name="Clear").click()
        expect(page.locator("tbody tr")).to_have_count(7)

    def test_a_tag_is_one_line_and_columns_without_a_value_are_left_out(
        self, site: Site, open_page: OpenPage
    ) -> None:
        for item in site.api.experiments.values():
            item["tags"] = {"sweep": "november", "a-long-name-of-a-tag": "with a value that goes on and on"}
            item |= {"latest_version": None, "deployments": [], "task": None}
        page = open_page(1280)
        page.goto(f"{site.url}experiments")
        heights = page.locator("tbody .m-tag").evaluate_all("all => all.map((one) => one.offsetHeight)")
        assert heights
        assert max(heights) < 30
        expect(page.get_by_role("columnheader", name="Created")).to_be_visible()
        for name in ("Task", "Model", "Deployed as"):
            expect(page.get_by_role("columnheader", name=name, exact=True)).to_have_count(0)

    def test_columns_are_chosen_and_stay_in_the_address(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments?q=cnn")
        page.get_by_text("Columns").click()
        chooser = page.locator(".w-chooser")
        for name in ("loss", "momentum", "epochs", "batch_size"):
            chooser.get_by_label(name, exact=True).uncheck()
        page.get_by_role("button", name="Show these").click()
        expect(page.get_by_role("columnheader", name="learning_rate")).to_be_visible()
        expect(page.get_by_role("columnheader", name="accuracy")).to_be_visible()
        expect(page.get_by_role("columnheader", name="epochs")).to_have_count(0)
        assert "q=cnn" in page.url
        assert "columns=metrics.accuracy,params.learning_rate" in page.url
        expect(page.locator("tbody tr")).to_have_count(3)

    def test_experiments_past_the_first_page_are_a_press_away(self, site: Site, open_page: OpenPage) -> None:
        for number in range(60):
            site.api.experiments[f"filler-{number}"] = experiment(f"filler-{number}", latest_version=None)
        page = open_page(1280)
        page.goto(f"{site.url}experiments?pick=cnn-fast")
        expect(page.locator("tbody tr")).to_have_count(50)
        page.get_by_role("link", name="Next").click()
        expect(page.locator("tbody tr")).to_have_count(17)
        assert "pick=cnn-fast" in page.url
        page.get_by_role("link", name="Before").click()
        expect(page.locator("tbody tr")).to_have_count(50)

    def test_picked_ones_have_a_colour_and_are_compared(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments")
        for name in ("mlp-poor", "cnn-fast"):
            page.get_by_role("checkbox", name=f"Compare {name}").check()
        expect(page.get_by_role("button", name="Compare (2)")).to_be_visible()
        assert page.url.endswith("pick=mlp-poor,cnn-fast")
        page.get_by_role("searchbox", name="Name").fill("cnn")
        page.get_by_role("searchbox", name="Name").press("Enter")
        expect(page.locator("tbody tr")).to_have_count(3)
        page.get_by_role("button", name="Compare (2)").click()
        expect(page.locator(".c-line")).to_have_count(2)
        assert "experiments=" in page.url
        assert page.title() == "Compare · Marina"

    def test_text_of_the_api_runs_nothing(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}compare?experiments=hostile,cnn-fast")
        expect(page.locator(".c-line")).to_have_count(2)
        expect(page.locator(".c-label").first).to_be_visible()
        page.goto(f"{site.url}experiment?name=hostile")
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        assert page.title() == f"{HOSTILE} · Marina"
        assert page.locator("img[src=x]").count() == 0


class TestExperiment:
    def test_notes_are_kept_and_can_be_taken_back(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments/cnn-baseline")
        assert page.url.endswith("/experiment?name=cnn-baseline")
        page.get_by_label("Notes").fill("A larger batch\nlearns no faster.")
        page.get_by_role("button", name="Save notes").click()
        expect(page.locator("#status")).to_contain_text("The notes are saved.")
        assert site.api.experiments["cnn-baseline"]["notes"] == "A larger batch\nlearns no faster."
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_label("Notes")).to_have_value("")
        page.reload()
        expect(page.locator("#status .m-note")).to_have_count(0)

    def test_notes_that_somebody_else_wrote_since_are_not_taken_back(
        self, site: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments/cnn-baseline")
        page.get_by_label("Notes").fill("Mine.")
        page.get_by_role("button", name="Save notes").click()
        expect(page.locator("#status")).to_contain_text("The notes are saved.")
        item = site.api.experiments["cnn-baseline"]
        item |= {"notes": "Theirs.", "updated_at": "2040-01-01T00:00:00Z"}
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#status")).to_contain_text("changed")
        assert item["notes"] == "Theirs."

    def test_tags_are_set_and_removed(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiment?name=cnn-fast")
        page.get_by_label("Tag", exact=True).fill("team")
        page.get_by_label("Value").fill("vision")
        page.get_by_role("button", name="Set").click()
        expect(page.locator(".m-tag")).to_contain_text("vision")
        page.get_by_role("button", name="Remove the tag team").click()
        expect(page.locator(".m-tag")).to_have_count(0)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".m-tag")).to_contain_text("vision")

    def test_it_is_deployed_from_its_page(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiment?name=cnn-fast")
        page.get_by_label("Version").select_option("2")
        page.get_by_label("Name of the deployment").fill("cnn-second")
        page.get_by_role("button", name="Deploy").click()
        expect(page.locator("#status")).to_contain_text("cnn-second starts with version 2.")
        expect(page.locator(".w-verdict")).to_contain_text("cnn-second")

    def test_a_curve_moves_while_it_trains(self, site: Site, open_page: OpenPage) -> None:
        site.api.experiments["cnn-fast"]["state"] = "running"
        page = open_page(1280)
        page.goto(f"{site.url}experiment?name=cnn-fast")
        expect(page.locator(".c-line")).to_have_count(1)
        typed = page.get_by_label("Notes")
        typed.fill("half a sentence")
        site.api.experiments["cnn-fast"]["metrics"]["accuracy"] |= {"best": 0.9912, "points": 251}
        expect(page.locator(".w-verdict")).to_contain_text("0.9912")
        expect(typed).to_have_value("half a sentence")

    def test_the_pointer_says_the_values_by_mouse_and_by_keyboard(
        self, site: Site, open_page: OpenPage
    ) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}compare?experiments=cnn-baseline,mlp-poor&metric=loss")
        plot = page.locator(".c-plot")
        expect(page.locator(".c-label")).to_have_count(2)
        plot.hover(position={"x": 400, "y": 150})
        expect(page.locator(".c-tip div")).to_have_count(2)
        page.mouse.move(0, 0)
        expect(page.locator(".c-tip")).to_be_hidden()
        plot.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".c-tip")).to_contain_text("step")

    def test_names_that_begin_alike_are_told_apart(self, site: Site, open_page: OpenPage) -> None:
        names = [f"resnet-warm-restart-and-cosine-{n}-decay" for n in range(12)]
        for place, name in enumerate(names):
            site.api.experiments[name] = experiment(name)
            site.api.experiments[name]["metrics"]["loss"] |= {"final": 0.1 + place}
        page = open_page(1280)
        page.goto(f"{site.url}compare?experiments={','.join(names)}&metric=loss")
        expect(page.locator(".c-label")).to_have_count(12)
        labels = page.locator(".c-label").evaluate_all("all => all.map((one) => one.firstChild.data)")
        assert len(set(labels)) == 12
        assert all(len(label) <= 28 for label in labels)

    @pytest.mark.parametrize("name", ["mlp-no-momentum", "m" * 28, "il"])
    def test_the_label_of_a_curve_is_seen_whole(self, site: Site, open_page: OpenPage, name: str) -> None:
        site.api.experiments[name] = experiment(name)
        page = open_page(1280)
        page.goto(f"{site.url}compare?experiments={name},cnn-fast&metric=loss")
        expect(page.locator(".c-label")).to_have_count(2)
        ends = page.locator(".c-label").evaluate_all(
            "all => all.map((one) => one.getBBox().x + one.getBBox().width)"
        )
        room = page.locator(".c-plot svg").evaluate("svg => svg.viewBox.baseVal.width") - max(ends)
        assert 0 <= room < 20

    def test_smoothing_and_log_are_in_the_address(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}compare?experiments=cnn-baseline,cnn-fast&metric=loss")
        page.get_by_label("Log scale").check()
        page.get_by_label("Smoothing").fill("0.6")
        expect(page.locator(".c-raw")).to_have_count(2)
        assert "log=1" in page.url
        assert "smooth=0.6" in page.url
        page.reload()
        expect(page.locator(".c-raw")).to_have_count(2)
        expect(page.get_by_label("Log scale")).to_be_checked()
        # Where it was not a number.
        expect(page.locator(".c-lost")).to_have_count(2)

    @pytest.mark.parametrize("kind", ["csv", "svg", "png"])
    def test_what_is_drawn_is_saved(self, site: Site, open_page: OpenPage, tmp_path: Path, kind: str) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}compare?experiments=cnn-baseline,cnn-fast&metric=loss")
        expect(page.locator(".c-line")).to_have_count(2)
        with page.expect_download() as download:
            page.get_by_role("button", name=kind.upper()).click()
        assert download.value.suggested_filename == f"compare-loss.{kind}"
        content = Path(download.value.path()).read_bytes()
        begins = {"csv": b"step,cnn-baseline,cnn-fast\n0,", "svg": b"<svg", "png": b"\x89PNG"}
        assert content.startswith(begins[kind])


class TestFrame:
    @pytest.mark.parametrize("width", [320, 390])
    def test_the_words_of_a_phones_navigation_stand_apart(
        self, site: Site, open_page: OpenPage, width: int
    ) -> None:
        page = open_page(width)
        page.goto(f"{site.url}experiments")
        words = page.locator(".s-nav > ul > li:visible").evaluate_all("""all => all.map((one) => {
            const range = document.createRange();
            range.selectNodeContents(one.querySelector("a, summary"));
            const { left, right } = range.getBoundingClientRect();
            return [left, right];
        })""")
        assert len(words) == 5
        assert all(left - right >= 6 for (_, right), (left, _) in itertools.pairwise(words)), words

    def test_the_slash_goes_to_anything_by_keyboard(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments")
        page.keyboard.press("/")
        page.keyboard.type("cnn-mom")
        expect(page.locator("#go .s-here")).to_contain_text("cnn-momentum")
        page.keyboard.press("Enter")
        page.wait_for_url("**/experiment?name=cnn-momentum")

    def test_the_theme_is_chosen_and_stays(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments")
        page.locator(".s-who > summary").click()
        page.get_by_role("button", name="Dark").click()
        ground = background(page)
        page.goto(f"{site.url}settings")
        assert background(page) == ground == "rgb(16, 22, 29)"

    def test_a_page_comes_back_by_itself_when_the_api_does(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        site.api.away = True
        site.api.calls.clear()
        page.goto(f"{site.url}experiments")
        expect(page.get_by_text("The API is away")).to_be_visible()
        # Nor is it waited for a second time, for the chip of the deployments.
        assert "GET /v1/deployments" not in site.api.calls
        site.api.away = False
        expect(page.locator("tbody tr")).to_have_count(7)
        assert page.title() == "Experiments · Marina"

    def test_the_first_tab_leads_past_the_navigation(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        page.goto(f"{site.url}experiments")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"


class TestWeight:
    def test_a_first_visit_is_light_and_an_idle_page_quiet(self, browser: Browser, site: Site) -> None:
        context = browser.new_context()
        page = context.new_page()
        sizes = sizes_of(page)
        page.goto(f"{site.url}compare?experiments=cnn-baseline,cnn-fast,mlp-poor")
        expect(page.locator(".c-line")).to_have_count(3)
        page.wait_for_timeout(500)
        assert len(sizes) <= 40
        assert sum(sizes) <= 300_000
        sizes.clear()
        # Five a minute.
        page.wait_for_event("requestfinished", timeout=2 * IDLE_MS)
        page.wait_for_timeout(500)
        assert len(sizes) <= 1
        assert sum(sizes) <= 1000
        context.close()

    def test_many_open_pages_ask_the_api_as_one_does(self, browser: Browser, site: Site) -> None:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{site.url}experiments")
        site.api.calls.clear()
        asks = """() => Promise.all(Array.from({ length: 40 }, async () => {
            const headers = { accept: "text/html", "marina-live": "1" };
            return (await fetch(location.href, { headers })).status;
        }))"""
        assert set(page.evaluate(asks)) == {200}
        assert site.api.calls.count("GET /v1/experiments") <= 3
        context.close()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def sizes_of(page: Page) -> list[int]:
    """Bytes of each response as they come over the network, headers too."""
    sizes: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    return sizes
