"""The page Activity: who changed what, for admins, and the same as CSV."""

from starlette.responses import Response

from model_ui.api_types import AuditPage
from model_ui.render.changes import changes_of
from model_ui.shell.lists import pager
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

ROWS = 50
CSV_ROWS = "10000"
SECONDS = 60.0


async def show(visit: Visit) -> Response:
    """The table; whoever is no admin is told so."""
    if not visit.me.may("admin"):
        return await visit.render(
            "activity.html", title="Activity", page=None, subject="", changes_of=changes_of, pager=None
        )
    subject = visit.query("subject")
    query = {"limit": str(ROWS), "subject": subject, "cursor": visit.query("cursor")}
    page = await visit.api.call(
        AuditPage, "GET", "/v1/audit", params={name: value for name, value in query.items() if value}
    )
    return await visit.render(
        "activity.html",
        title="Activity",
        page=page,
        subject=subject,
        changes_of=changes_of,
        pager=pager(visit, page.next),
    )


async def export(visit: Visit) -> Response:
    """The newest entries as CSV, with the visitor's own credential."""
    query = {"limit": CSV_ROWS, **({"subject": visit.query("subject")} if visit.query("subject") else {})}
    found = await visit.api.request("GET", "/v1/audit/export.csv", params=query, timeout=SECONDS)
    headers = {"content-disposition": 'attachment; filename="activity.csv"', "cache-control": "no-store"}
    return Response(found.content, media_type="text/csv; charset=utf-8", headers=headers)


PAGES = (Page("/activity", show), Page("/activity-csv", export))
