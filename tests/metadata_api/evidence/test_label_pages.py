"""The pages Label and Scores on the real API: asked, labelled, corrected, skipped, scored."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from model_ui.settings import Settings as UiSettings
from tests.asgi import Server
from tests.metadata_api.making import make_deployment, make_image, open_settings
from tests.metadata_api.servers import V2Server, answers, standing_still
from tests.ui.apps import create_app


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def address(engine: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("labels")
    settings = open_settings(engine, folder, serving.url)
    with standing_still(settings) as address:
        yield address


@pytest.fixture
def ui(api: httpx.Client, engine: Engine, serving: V2Server, address: str) -> Iterator[httpx.Client]:
    """The UI, before two deployments that were asked about three images and say 5 and 3."""
    for name, digit in (("a", "5"), ("b", "3")):
        make_deployment(engine, name)
        serving.models[name] = answers(digit)
    for shade in (10, 20, 30):
        files = {"image": ("image", make_image(shade), "image/png")}
        api.post("/v1/predictions", files=files).raise_for_status()
    with Server(create_app(UiSettings(api_url=address))) as server:
        headers = {"accept": "text/html", "origin": server.url.rstrip("/")}
        with httpx.Client(base_url=server.url, headers=headers, timeout=30, follow_redirects=True) as client:
            yield client


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the form that labels."""
    form = page[page.index("data-label") :]
    return dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[: form.index("</form>")])
    )


def test_the_whole_way(ui: httpx.Client, api: httpx.Client) -> None:
    page = ui.get("/label").text
    assert "Versions that are served answer differently." in page or "Drawn at random" in page
    first = fields(page)
    image = ui.get("/input", params={"sha256": first["sha256"]})
    assert image.headers["content-type"] == "image/png"
    page = ui.post("/label", params={"task": first["task"]}, data={**first, "value": "5"}).text
    assert "<b>1</b> labelled" in page
    assert fields(page)["sha256"] != first["sha256"]
    again = ui.get("/label", params={"task": first["task"], "input": first["sha256"], "reveal": "1"}).text
    assert "It has a label: 5." in again
    assert "<b>b</b> v1: 3" in again
    ui.post("/label", params={"task": first["task"]}, data={**fields(again), "value": "3"})
    history = api.get(f"/v1/inputs/{first['sha256']}/labels").json()["items"]
    assert [one["label"] for one in history] == ["3", "5"]
    second = fields(page)
    skipped = ui.post("/label", params={"task": first["task"]}, data={**second, "do": "skip"}).text
    assert fields(skipped)["sha256"] not in (first["sha256"], second["sha256"])
    ui.post("/label", params={"task": first["task"]}, data={**fields(skipped), "value": "3"})
    scores = ui.get("/scores").text
    assert "2 of 2" in scores
    assert "0 of 2" in scores
