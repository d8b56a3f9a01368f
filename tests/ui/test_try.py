"""The page Try in a real browser before a fake API: drawing, choosing who is asked, and the answers."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.ui import visits
from tests.ui.conftest import Site, refreshes
from tests.waiting import until

pytestmark = pytest.mark.browser
OpenPage = Callable[[int], Page]
Screenshot = Callable[[Page, str], None]


class TestTry:
    @pytest.fixture
    def page(self, site: Site, page: Page) -> Page:
        """The page of the class once it offers what there is now."""
        running = [name for name, one in site.api.deployments.items() if one["desired"] == "running"]
        expect(page.locator("#chosen").get_by_role("checkbox")).to_have_count(len(running))
        return page

    @pytest.mark.main_way
    @pytest.mark.parametrize("width", [1280, 390])
    def test_the_first_stroke_draws_and_is_answered_by_all(
        self, site: Site, open_page: OpenPage, screenshot: Screenshot, width: int
    ) -> None:
        page = open_page(width)
        visits.enter(page, site.url)
        visits.draw(page)
        assert visits.ink(page) > 0.03
        said = visits.see_answers(page, set(site.api.deployments))
        assert said["cnn-baseline"] == "5"
        assert said["mlp-poor"] == "3"
        assert "mlp-small is not ready" in said["mlp-small"]
        expect(page.locator(".m-verdict h2")).to_have_text("4 of 5 say 5")
        visits.fits(page)
        screenshot(page, "try")

    def test_a_digit_drawn_while_models_are_trained_is_answered_by_the_first_that_is_ready(
        self, site: Site, open_page: OpenPage
    ) -> None:
        site.training.write_text("training 1 of 7: cnn-baseline\n")
        found = dict(site.api.deployments)
        site.api.deployments.clear()
        page = open_page(390)
        page.goto(site.url)
        page.locator("#asking canvas").wait_for()
        expect(page.locator("#alarm")).to_contain_text("Now training 1 of 7: cnn-baseline.")
        expect(page.locator("#answers")).to_contain_text("training 1 of 7: cnn-baseline")
        visits.fits(page)
        visits.draw(page)
        expect(page.locator("#answers")).to_contain_text("The first model that is ready answers.")
        site.training.write_text("training 2 of 7: cnn-fast\n")
        expect(page.locator("#alarm")).to_contain_text("2 of 7: cnn-fast")
        baseline = found["cnn-baseline"]
        starting = {"ready": False, "observed": {**baseline["observed"], "state": "starting"}}
        site.api.deployments["cnn-baseline"] = baseline | starting
        expect(page.locator("#chosen")).to_contain_text("cnn-baseline · starting")
        expect(page.locator("#answers")).to_contain_text("2 of 7: cnn-fast", timeout=10_000)
        assert site.api.predictions.asked == []
        site.api.deployments["cnn-baseline"] = baseline
        expect(visits.card(page, "cnn-baseline")).to_contain_text("5", timeout=10_000)
        assert visits.ink(page) > 0.03
        site.training.unlink()
        expect(page.locator("#alarm")).not_to_contain_text("training")

    def test_what_is_right_is_said_by_a_press_or_a_key_and_taken_back(self, site: Site, page: Page) -> None:
        visits.draw(page)
        page.get_by_role("button", name="7", exact=True).click()
        form = page.locator("form[data-right]")
        expect(form).to_contain_text("Labelled 7.")
        expect(form.get_by_role("button", name="7", exact=True)).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("5")
        expect(form).to_contain_text("Labelled 5.")
        [said] = site.api.labels.said.values()
        assert [one["label"] for one in said] == ["7", "5"]
        page.keyboard.press("u")
        expect(form).to_contain_text("Labelled 7.")
        assert [one["label"] for one in said] == ["7", "5", "7"]
        visits.clear(page)
        page.keyboard.press("3")
        assert len(said) == 3

    def test_a_first_label_is_taken_back_altogether(self, site: Site, page: Page) -> None:
        visits.draw(page)
        page.get_by_role("button", name="7", exact=True).click()
        form = page.locator("form[data-right]")
        form.get_by_role("button", name="Undo").click()
        expect(form).not_to_contain_text("Labelled")
        assert site.api.labels.said == {}
        visits.clear(page)

    def test_clear_takes_drawing_and_answers_away(self, site: Site, page: Page) -> None:
        visits.draw(page)
        page.locator(".m-vote").wait_for()
        visits.clear(page)

    def test_without_live_answers_only_the_button_asks(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        page.get_by_text("Answer on every change").click()
        visits.draw(page)
        page.wait_for_timeout(800)
        assert site.api.predictions.asked == []
        page.get_by_role("button", name="Predict", exact=True).click()
        page.locator(".m-vote").wait_for()
        assert site.api.predictions.asked == [[]]

    def test_only_the_chosen_deployments_are_asked(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        page.locator("#chosen").get_by_text("mlp-poor").click()
        visits.draw(page)
        page.locator(".m-vote").wait_for()
        assert sorted(site.api.predictions.asked[-1]) == sorted(set(site.api.deployments) - {"mlp-poor"})
        expect(visits.card(page, "mlp-poor")).to_have_count(0)

    def test_a_new_deployment_appears_and_is_chosen(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(1280)
        visits.enter(page, site.url)
        page.locator("#chosen").get_by_text("mlp-poor").click()
        expect(page.locator("#chosen").get_by_role("checkbox", name="mlp-poor")).not_to_be_checked()
        # A refresh that is on its way still carries the choice of before the click.
        before = refreshes(site)
        until(lambda: refreshes(site) >= before + 2, "the refresh under way has ended")
        site.api.deployments["cnn-new"] = site.api.deployments["cnn-baseline"] | {"name": "cnn-new"}
        expect(page.locator("#chosen").get_by_role("checkbox", name="cnn-new")).to_be_checked()
        expect(page.locator("#chosen").get_by_role("checkbox", name="mlp-poor")).not_to_be_checked()

    def test_a_choice_that_has_gone_is_passed_over(self, site: Site, page: Page) -> None:
        """Also before a refresh has told the page; what comes back is as it was chosen."""
        visits.clear(page)
        page.locator("#chosen").get_by_text("mlp-poor").click()
        gone = site.api.deployments.pop("cnn-fast")
        visits.draw(page)
        page.locator(".m-vote").wait_for()
        assert "mlp-poor" not in site.api.predictions.asked[-1]
        expect(visits.card(page, "cnn-fast")).to_have_count(0)
        poor = site.api.deployments.pop("mlp-poor")
        expect(page.locator("#chosen").get_by_role("checkbox")).to_have_count(len(site.api.deployments))
        site.api.deployments |= {"cnn-fast": gone, "mlp-poor": poor}
        expect(page.locator("#chosen").get_by_role("checkbox", name="cnn-fast")).to_be_checked()
        expect(page.locator("#chosen").get_by_role("checkbox", name="mlp-poor")).not_to_be_checked()
        page.locator("#chosen").get_by_text("mlp-poor").click()

    def test_no_answer_stands_beside_another_image(self, site: Site, page: Page) -> None:
        visits.clear(page)
        visits.draw(page)
        expect(page.locator(".m-vote")).to_be_visible()
        site.api.predictions.held = True
        visits.draw(page, [(0.2, 0.9), (0.8, 0.9)])
        expect(page.locator(".m-vote")).not_to_be_visible()
        page.wait_for_timeout(700)
        expect(page.locator(".m-vote")).not_to_be_visible()
        site.api.predictions.held = False
        expect(page.locator(".m-vote")).to_be_visible()
        page.get_by_text("Answer on every change").click()
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".m-vote")).not_to_be_visible()
        page.get_by_text("Answer on every change").click()
        expect(page.locator(".m-vote")).to_be_visible()

    def test_after_an_outage_the_last_image_is_asked_again(self, site: Site, page: Page) -> None:
        visits.clear(page)
        site.api.away = True
        visits.draw(page)
        expect(page.locator("#answers .m-note.bad")).to_contain_text("The database does not answer.")
        site.api.away = False
        expect(page.locator(".m-vote")).to_be_visible(timeout=20_000)

    def test_a_small_drawing_is_sent_with_a_pen_that_fits_it(self, site: Site, page: Page) -> None:
        shares = []
        for size in (1.0, 0.15):
            visits.clear(page)
            visits.draw(page, [(0.5 + (x - 0.5) * size, 0.5 + (y - 0.5) * size) for x, y in visits.FIVE])
            page.locator(".m-vote").wait_for()
            sent = (
                Image.open(io.BytesIO(site.api.predictions.images[-1]))
                .convert("L")
                .point(lambda level: 255 - level)
            )
            left, top, right, bottom = sent.getbbox() or (0, 0, 0, 0)
            assert 270 < max(right - left, bottom - top) < 290
            shares.append(sent.histogram()[128:])
        large, small = (sum(levels) for levels in shares)
        assert abs(large - small) < 0.05 * large

    def test_a_tap_is_a_dot(self, site: Site, page: Page) -> None:
        visits.clear(page)
        page.locator("#asking canvas").click()
        page.locator(".m-vote").wait_for()
        assert visits.ink(page) > 0.002
        sent = (
            Image.open(io.BytesIO(site.api.predictions.images[-1]))
            .convert("L")
            .point(lambda level: 255 - level)
        )
        left, top, right, bottom = sent.getbbox() or (0, 0, 0, 0)
        assert 28 <= right - left <= 32 >= bottom - top

    def test_two_fingers_and_palms_paint_nothing(self, site: Site, page: Page) -> None:
        visits.clear(page)
        asked = len(site.api.predictions.asked)
        touch = visits.Touch(page)
        touch.send("touchStart", (0.3, 0.3))
        touch.send("touchMove", (0.35, 0.4))
        touch.send("touchStart", (0.35, 0.4), (0.7, 0.7))
        touch.send("touchMove", (0.4, 0.5), (0.6, 0.6))
        touch.send("touchEnd")
        touch.send("touchStart", (0.5, 0.5), radius=45)
        touch.send("touchMove", (0.6, 0.6), radius=45)
        touch.send("touchEnd")
        assert visits.ink(page) == 0
        touch.send("touchStart", (0.3, 0.3))
        touch.send("touchMove", (0.3, 0.7))
        touch.send("touchEnd")
        assert visits.ink(page) > 0.01
        page.locator(".m-vote").wait_for()
        assert len(site.api.predictions.asked) == asked + 1

    def test_an_example_is_one_press_away(self, site: Site, page: Page) -> None:
        visits.clear(page)
        page.get_by_role("button", name="Example: a 7").click()
        page.locator(".m-vote").wait_for()
        assert visits.ink(page) > 0.01

    def test_a_picture_can_be_uploaded(self, site: Site, page: Page, tmp_path: Path) -> None:
        visits.clear(page)
        photo = tmp_path / "photo.png"
        Image.new("RGB", (3000, 2000), "white").save(photo)
        page.locator("#asking input[type=file]").set_input_files(photo)
        page.locator(".m-vote").wait_for()

    def test_a_file_that_is_no_picture_is_refused_in_words(
        self, site: Site, page: Page, tmp_path: Path
    ) -> None:
        visits.clear(page)
        text = tmp_path / "notes.png"
        text.write_text("not an image")
        page.locator("#asking input[type=file]").set_input_files(text)
        expect(page.locator(".m-pad-note")).to_contain_text("not an image that can be read")
        assert site.api.predictions.asked == []
