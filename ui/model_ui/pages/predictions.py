"""The page Predictions: what was asked and answered, newest first, by what one looks for; and inputs as they are."""

import re

from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.names import input_segment
from model_ui.prediction_types import RecordedPage
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

ROWS = 20
FIELDS = (
    "deployment",
    "alias",
    "experiment",
    "label",
    "status",
    "disagree",
    "source",
    "input",
    "since",
    "until",
)
DAY = re.compile(r"\d{4}-\d\d-\d\d")
# New ones come at any time; a second page is history.
SECONDS = 5.0
# What a browser may show of what was sent by anybody.
SHOWN = ("image/png", "image/jpeg")


async def show(visit: Visit) -> Response:
    """The table."""
    query = {name: visit.query(name) for name in FIELDS}
    wrong = ""
    try:
        page = await visit.api.call(RecordedPage, "GET", "/v1/predictions", params=asked(visit, query))
    except ApiRejected as error:
        if error.status != 422:
            raise
        page, wrong = RecordedPage(items=()), error.detail
    return await visit.render(
        "predictions.html",
        title="Predictions",
        seconds=0 if visit.query("cursor") else SECONDS,
        page=page,
        wrong=wrong,
        query=query,
        pager=pager(visit, page.next),
        narrowed=any(query.values()),
    )


def asked(visit: Visit, query: dict[str, str]) -> dict[str, str]:
    """The query of the API that the page's own query means; a day is one of UTC, the last one included."""
    found = {name: value for name, value in query.items() if value}
    if "disagree" in found:
        found["disagree"] = "true"
    for name, time in (("since", "00:00:00"), ("until", "23:59:59.999999")):
        if DAY.fullmatch(found.get(name, "")):
            found[name] = f"{found[name]}T{time}Z"
    return page_query(visit, ROWS, **found)


async def show_input(visit: Visit) -> Response:
    """An image that was asked about; other inputs are shown in the page, as text."""
    found = await visit.api.request("GET", f"/v1/inputs/{input_segment(visit.query('sha256'))}")
    kind = found.headers.get("content-type", "").partition(";")[0]
    if kind not in SHOWN:
        raise ApiRejected(404, "input_unknown", "This input is no image.")
    headers = {"cache-control": "private, max-age=31536000, immutable"}
    return Response(found.content, media_type=kind, headers=headers)


PAGES = (Page("/predictions", show), Page("/input", show_input))
