"""The page of the lineage of an answer: from the alias that was asked back to the data that was trained on."""

from starlette.responses import Response

from model_ui.lineage_types import Lineage
from model_ui.pages import prediction
from model_ui.pages.evidence import RULES, e_value
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit


async def show(visit: Visit) -> Response:
    """Everything that is known of one answer, and what is not."""
    item = await prediction.read(visit)
    found = await visit.api.call(Lineage, "GET", f"/v1/predictions/{item.prediction_id}/lineage")
    return await visit.render(
        "lineage.html", title="Lineage", seconds=0, item=item, lineage=found, rules=RULES, e_value=e_value
    )


PAGES = (Page("/lineage", show),)
