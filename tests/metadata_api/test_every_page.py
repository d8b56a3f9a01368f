"""The gate of all pages that there are: on the real API, wide and narrow, light and dark, nobody is kept out of one.

The list is held against the pages that the UI has: a new page fails here until an address of it is named.
"""

import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine

from model_ui.pages import PATHS
from model_ui.settings import Settings as UiSettings
from tests.asgi import Server
from tests.metadata_api.making import make_deployment, make_image, make_version, open_settings
from tests.metadata_api.servers import V2Server, answers, rejects, standing_still
from tests.ui import browsers, visits
from tests.ui.accessibility import see_no_barrier
from tests.ui.apps import create_app
from tests.ui.conftest import SCREENSHOTS

ADDRESSES = {
    "/activity": "activity",
    "/alias": "alias?name=champion",
    "/aliases": "aliases",
    "/compare": "compare?experiments=net,other,third",
    "/deployment": "deployment?name=a&log=1",
    "/deployments": "deployments?ask=remove&pick=a,b",
    "/evidence": "evidence?alias=champion&challenger=b",
    "/experiment": "experiment?name=net",
    "/experiments": "experiments?pick=net",
    "/go": "go?q=a",
    "/help": "help",
    "/import": "import?number={import}",
    "/imports": "imports",
    "/label": "label?task={task}",
    "/lineage": "lineage?id={prediction}",
    "/models": "models",
    "/prediction": "prediction?id={prediction}",
    "/predictions": "predictions",
    "/replay": "replay?number={replay}",
    "/replays": "replays?pick=a,b",
    "/scores": "scores?deployment=a&deployment=b",
    "/settings": "settings",
    "/version": "version?experiment=a&number=1",
    # The last: Gradio's scripts complain when they are left while they load.
    "/": "?task={task}",
}
FILES = {
    "/activity-csv": "activity-csv",
    "/experiments.csv": "experiments.csv",
    "/import-csv": "import-csv?number={import}",
    "/input": "input?sha256={input}",
    "/pulse": "pulse",
    "/right": "right",
}
"""What the UI has under an address of its own and no browser shows as a page."""
ROWS = b"Experiment Name,Learning Rate,Momentum,Loss\nb,x,0.9,0.1\nc,y,0.9,0.1\n"


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def address(engine: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = open_settings(engine, tmp_path_factory.mktemp("pages"), serving.url)
    with standing_still(settings) as address:
        yield address


@pytest.fixture(scope="module")
def ui(address: str) -> Iterator[str]:
    with Server(create_app(UiSettings(api_url=address, public_api_url=address))) as server:
        yield server.url


@pytest.fixture
def ids(api: httpx.Client, engine: Engine, serving: V2Server) -> dict[str, Any]:
    """Something of every kind; the ids that addresses name."""
    for number, name in enumerate(("net", "other", "third")):
        values = [2.3 * math.exp(-step / (10 + 5 * number)) for step in range(60)]
        curves = {
            "loss": {"steps": list(range(60)), "values": values},
            "test_accuracy": {"steps": [1, 2], "values": [0.9, 0.95 + number / 100]},
        }
        parameters = {"lr": 0.01 * 10**number, "network": name, "momentum": 0.9}
        body = {"name": name, "curves": curves, "parameters": parameters, "tags": {"team": "vision"}}
        api.post("/v1/experiments", json=body).raise_for_status()
    for name in ("a", "b"):
        make_deployment(engine, name)
        make_version(engine, 2, experiment=name)
    serving.models |= {"a": answers("5"), "b": answers("3")}
    api.patch("/v1/deployments/a", json={"version": 2, "reason": "better"}).raise_for_status()
    api.put("/v1/aliases/champion", json={"deployment": "a", "reason": "the first"}).raise_for_status()
    for shade in (10, 20, 30):
        files = {"image": ("d.png", make_image(shade))}
        told = api.post("/v1/predictions", files=files).raise_for_status().json()
    result = told["results"][0]
    said = {"task": result["task"], "label": "5", "note": "a five"}
    api.post(f"/v1/inputs/{told['input']['sha256']}/labels", json=said).raise_for_status()
    serving.models["b"] = rejects(500, "<b>broken</b>")
    api.post("/v1/predictions", files=files).raise_for_status()
    replay = {"deployments": ["a", "b"], "limit": 10}
    return {
        "replay": api.post("/v1/replays", json=replay).raise_for_status().json()["id"],
        "task": result["task"],
        "prediction": result["prediction_id"],
        "input": told["input"]["sha256"],
        "import": api.post("/v1/imports", content=ROWS).raise_for_status().json()["id"],
    }


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.running() as browser:
        yield browser


def test_every_page_that_there_is_is_in_the_list() -> None:
    assert ADDRESSES.keys() | FILES.keys() == PATHS | {"/"}
    assert not ADDRESSES.keys() & FILES.keys()


def test_what_is_in_the_list_of_files_is_no_page(ui: str, ids: dict[str, Any]) -> None:
    for path, address in FILES.items():
        answer = httpx.get(f"{ui}/{address.format(**ids)}", headers={"accept": "text/html"})
        assert answer.status_code in (200, 303), path
        assert not answer.headers.get("content-type", "").startswith("text/html"), path


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nobody_is_kept_out_of_a_page_and_none_is_wider_than_the_window(
    chromium: Browser, ui: str, ids: dict[str, Any], width: int, scheme: Any
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for path, address in ADDRESSES.items():
        answer = page.goto(f"{ui}/{address.format(**ids)}")
        if answer is None or answer.status != 200:
            wrong.append(f"{path} answers {answer and answer.status}")
        if path == "/":
            visits.enter(page, f"{ui}/{address.format(**ids)}")
        try:
            see_no_barrier(page)
        except AssertionError as barrier:
            wrong.append(str(barrier))
        _keep(page, f"{path[1:] or 'try'}-{scheme}-{width}")
    page.close()
    assert wrong == []


def _keep(page: Page, name: str) -> None:
    """A screenshot as an artefact of the test run, which git does not see."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS.parent / ".gitignore").write_text("*\n")
    page.screenshot(path=SCREENSHOTS / f"every-{name}.png", full_page=True)
