"""The page Evidence before the real API: a challenger is watched, refused, promoted, and taken back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from metadata_api.app import create_app as create_api
from metadata_api.database.session import Sessions
from model_ui.evidence_types import Step
from model_ui.metadata_client import MetadataClient
from model_ui.pages import evidence
from model_ui.settings import Settings
from tests.asgi import Server
from tests.databases import own_database
from tests.metadata_api.evidence.duelling import make_duel, make_pairs
from tests.metadata_api.making import open_settings
from tests.metadata_api.servers import Front, V2Server, running
from tests.ui.apps import create_app
from tests.waiting import until

pytestmark = pytest.mark.browser
WIN, LOSS, TIE = (True, False), (False, True), (True, True)


@dataclass(frozen=True)
class Duel:
    """The page's address, and the database behind it."""

    url: str
    api: httpx.Client
    sessions: Sessions


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    with own_database(postgres_url) as engine:
        yield engine


@pytest.fixture(scope="module")
def duel(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duel]:
    """`champion` points at `old`; `new` and `poor` are ready beside it. There are no labels yet."""
    sessions = sessionmaker(engine, expire_on_commit=False)
    make_duel(engine, sessions, "poor")
    front = Front(tmp_path_factory.mktemp("evidence") / "models.json")
    with V2Server() as serving:
        serving.status = front.status
        settings = open_settings(engine, front.models_file.parent, serving.url)
        with running(create_api(settings)) as address, httpx.Client(base_url=address, timeout=30) as client:
            for name in ("old", "new", "poor"):
                url = f"/v1/deployments/{name}"
                until(lambda url=url: client.get(url).json()["ready"], f"{name} is ready")  # type: ignore[misc]
            ui = create_app(Settings(api_url=address, public_api_url=address), MetadataClient(address))
            with Server(ui) as site:
                yield Duel(f"{site.url}/evidence", client, sessions)


def test_it_is_watched_refused_promoted_and_taken_back(
    duel: Duel, open_page: Callable[[int], Page], screenshot: Callable[[Page, str], None]
) -> None:
    page = open_page(1280)
    page.goto(duel.url)
    expect(page.get_by_role("row", name="new")).to_contain_text("30 labels missing")
    page.get_by_role("link", name="new", exact=True).click()
    expect(page.get_by_role("img", name="After 0 labels the evidence is 1")).to_be_visible()
    expect(page.get_by_text("Promote against the rules")).to_be_visible()

    make_pairs(duel.sessions, [WIN, LOSS], labelled=False)
    make_pairs(duel.sessions, [TIE] * 20 + [WIN] * 5 + [LOSS] * 2, truth="3")
    page.reload()
    expect(page.get_by_role("img", name="After 27 labels")).to_be_visible()
    expect(page.get_by_text("Labels of these inputs would decide most")).to_be_visible()
    screenshot(page, "refused")

    make_pairs(duel.sessions, [TIE] * 10 + [WIN] * 14)
    expect(page.get_by_text("can be promoted")).to_be_visible()  # without a reload: the page follows
    screenshot(page, "promotable")
    page.get_by_text("Promote new").click()
    expect(page.get_by_text("19 answers become right and 2 wrong")).to_be_visible()
    page.get_by_label("Reason").fill("it wins")
    page.get_by_role("button", name="Promote", exact=True).click()
    expect(page.get_by_text("champion points at new, version 1, now.")).to_be_visible()
    event = duel.api.get("/v1/aliases/champion/events").json()["items"][0]
    assert (event["kind"], event["reason"], event["evidence"]["wins"]) == ("promote", "it wins", 19)

    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("champion points at old, version 1, again.")).to_be_visible()


def test_it_fits_a_phone_in_the_dark(
    duel: Duel, open_page: Callable[[int], Page], screenshot: Callable[[Page, str], None]
) -> None:
    page = open_page(390)
    page.emulate_media(color_scheme="dark")
    for address, name in ((duel.url, "all"), (f"{duel.url}?alias=champion&challenger=new", "one")):
        page.goto(address)
        expect(page.get_by_role("heading", name="Evidence", exact=True)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        screenshot(page, name)


def test_a_challenger_that_is_not_there_is_told_in_the_frame(
    duel: Duel, open_page: Callable[[int], Page]
) -> None:
    page = open_page(1280)
    page.goto(f"{duel.url}?alias=champion&challenger=nobody")
    expect(page.get_by_text("There is no deployment nobody")).to_be_visible()


def test_a_plot_keeps_within_its_frame() -> None:
    steps = [Step(labels=n, wins=n, losses=0, log_e=0.6 * n) for n in range(1, 200)]
    drawn = evidence.plot(steps, 3.0)
    points = [tuple(map(float, point.split(","))) for point in drawn.line.split()]
    assert len(points) == 200
    assert all(0 <= x <= evidence.WIDTH and 0 <= y <= evidence.HEIGHT for x, y in points)
    assert points[-1] == drawn.end
    assert len(drawn.marks) <= 8


def test_it_says_in_words_what_is_not_met(duel: Duel) -> None:
    page = httpx.get(f"{duel.url}?alias=champion&challenger=poor", timeout=30).text
    assert "It cannot be promoted yet. Not met: " in page
    assert "reaches with a chance of at most 5" in page
    assert "docs/evidence.md" not in page
