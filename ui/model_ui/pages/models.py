"""The page Models: the versions of all experiments, newest first, and the upload of an archive."""

from starlette.responses import Response

from model_ui.api_types import ExperimentPage
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit
from model_ui.version_types import VersionList

ROWS = 20
OFFERED = 200


async def show(visit: Visit) -> Response:
    """The table and the form."""
    query = page_query(visit, ROWS, q=visit.query("q"))
    page = await visit.api.call(VersionList, "GET", "/v1/versions", params=query)
    offered: tuple[tuple[str, int], ...] = ()
    if visit.me.may("publisher"):
        found = await visit.api.call(ExperimentPage, "GET", "/v1/experiments", params={"limit": str(OFFERED)})
        offered = tuple((item.name, item.latest_version or 0) for item in found.items)
    return await visit.render(
        "models.html",
        title="Models",
        page=page,
        q=visit.query("q"),
        offered=offered,
        most=visit.frame.archive_bytes,
        pager=pager(visit, page.next),
    )


PAGES = (Page("/models", show),)
