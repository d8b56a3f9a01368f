"""The page of one import: what came in, and what did not, grouped by reason and as CSV."""

from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.names import number
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit
from model_ui.version_types import Import


async def show(visit: Visit) -> Response:
    """The report."""
    found = await visit.api.call(Import, "GET", f"/v1/imports/{_number(visit)}")
    return await visit.render("import.html", title=f"Import {found.id}", seconds=0, report=found)


async def export(visit: Visit) -> Response:
    """The rows that were left out, as CSV."""
    wanted = _number(visit)
    found = await visit.api.request("GET", f"/v1/imports/{wanted}/rejected.csv")
    return visit.csv(found.content, f"import-{wanted}-rejected.csv")


def _number(visit: Visit) -> int:
    found = number(visit.query("number"))
    if found is None:
        raise ApiRejected(404, "import_unknown", "There is no such import.")
    return found


PAGES = (Page("/import", show), Page("/import-csv", export))
