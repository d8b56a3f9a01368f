"""The page Help: the words that the pages use, the keys, and the grammar of filters."""

from starlette.responses import Response

from model_ui.shell.page import Page
from model_ui.shell.visit import Visit


async def show(visit: Visit) -> Response:
    """The page."""
    return await visit.render("help.html", title="Help", seconds=0)


PAGES = (Page("/help", show),)
