"""The UI before the real API on a database of its own: two deployments, of which one fails, and an alias."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine

from model_ui.settings import Settings as UiSettings
from tests.asgi import Server
from tests.metadata_api.making import make_deployment, make_version, open_settings
from tests.metadata_api.pages.forms import Send
from tests.metadata_api.servers import V2Server, answers, rejects, standing_still
from tests.ui.apps import create_app


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def address(engine: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("operators")
    settings = open_settings(engine, folder, serving.url)
    with standing_still(settings) as address:
        yield address


@pytest.fixture
def site(api: httpx.Client, engine: Engine, serving: V2Server) -> None:
    """Deployments a and b, of which b fails, and an alias."""
    for name in ("a", "b"):
        make_deployment(engine, name)
        make_version(engine, 2, experiment=name)
    serving.models |= {"a": answers("5"), "b": rejects(500, "<b>broken</b>")}
    api.put("/v1/aliases/champion", json={"deployment": "a", "reason": "the first"}).raise_for_status()


@pytest.fixture(scope="module")
def pages(address: str) -> Iterator[str]:
    """Where the UI answers, below /behind."""
    settings = UiSettings(api_url=address, root_path="/behind")
    with Server(create_app(settings)) as server:
        yield server.url


@pytest.fixture
def send(pages: str, site: None) -> Iterator[Send]:
    """One request of a browser to the UI; redirects are told, not followed."""
    headers = {"accept": "text/html", "origin": pages}
    with httpx.Client(base_url=f"{pages}/behind", headers=headers, timeout=30) as client:
        yield client.request
