"""The page behind the key `/`: whatever has a name, found by a part of it."""

from typing import NamedTuple

from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.api_types import ExperimentPage
from model_ui.deployment_types import AliasPage
from model_ui.shell.navigation import ENTRIES
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

MOST = 8
LONGEST = 100


class Found(NamedTuple):
    """One thing that can be gone to."""

    name: str
    href: str
    about: str = ""


async def show(visit: Visit) -> Response:
    """What has the text of `q` in its name, by kind; without a text the pages."""
    text = visit.query("q")[:LONGEST].lower()
    groups = [("Pages", _pages(visit, text))]
    if text:
        groups += [("Experiments", await _experiments(visit, text))]
        groups += [("Deployments", await _deployments(visit, text)), ("Aliases", await _aliases(visit, text))]
    found = [(kind, items) for kind, items in groups if items]
    return await visit.render("go.html", title="Go to anything", q=text, groups=found, seconds=0)


def _pages(visit: Visit, text: str) -> list[Found]:
    extra = (("Settings", "/settings"), ("Help", "/help"), ("Compare", "/compare"), ("Imports", "/imports"))
    known = (*[entry[:2] for entry in ENTRIES], *extra)
    return [Found(label, visit.link(path)) for label, path in known if text in label.lower()]


async def _experiments(visit: Visit, text: str) -> list[Found]:
    params = {"search": text, "limit": str(MOST)}
    page = await visit.api.call(ExperimentPage, "GET", "/v1/experiments", params=params)
    return [
        Found(
            item.display_name or item.name, visit.link("/experiment", name=item.name), item.description or ""
        )
        for item in page.items
    ]


async def _deployments(visit: Visit, text: str) -> list[Found]:
    found = [item for item in await visit.api.deployments() if text in item.name]
    return [
        Found(item.name, visit.link("/deployment", name=item.name), f"{item.experiment} v{item.version}")
        for item in found[:MOST]
    ]


async def _aliases(visit: Visit, text: str) -> list[Found]:
    try:
        page = await visit.api.call(AliasPage, "GET", "/v1/aliases")
    except ApiRejected:
        return []
    found = [item for item in page.items if text in item.name][:MOST]
    return [Found(item.name, visit.link("/alias", name=item.name), item.experiment) for item in found]


PAGES = (Page("/go", show),)
