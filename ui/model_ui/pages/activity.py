"""The page Activity: who changed what, for admins, and the same as CSV."""

from starlette.responses import Response

from model_ui.api_types import AuditEntry, AuditPage
from model_ui.names import SHA256
from model_ui.render.changes import changes_of
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

ROWS = 50
CSV_ROWS = "10000"
SECONDS = 60.0
VERBS = {"POST": "create", "PUT": "set", "PATCH": "change", "DELETE": "delete"}
ACTIONS = {
    "confirm": "confirm",
    "promote": "promote",
    "rollback": "roll back",
    "start": "start",
    "stop": "stop",
}
# Digits of a hash that are shown.
DIGITS = 12


async def show(visit: Visit) -> Response:
    """The table; whoever is no admin is told so."""
    if not visit.me.may("admin"):
        return await visit.render("activity.html", title="Activity", page=None, subject="", pager=None)
    subject = visit.query("subject")
    page = await visit.api.call(
        AuditPage, "GET", "/v1/audit", params=page_query(visit, ROWS, subject=subject)
    )
    return await visit.render(
        "activity.html",
        title="Activity",
        page=page,
        subject=subject,
        changes_of=changes_of,
        request_words=request_words,
        pager=pager(visit, page.next),
    )


def request_words(entry: AuditEntry) -> str:
    """A request in words: `delete version 3 of experiment mine`; its path where it has none."""
    method, _, route = entry.route.partition(" ")
    names, values = route.split("/")[2:], entry.path.split("/")[2:]
    verb = VERBS.get(method)
    if verb is None or not names or len(names) != len(values):
        return f"{method} {entry.path}"
    if names[-1] in ACTIONS:
        verb, names = ACTIONS[names[-1]], names[:-1]
    things: list[str] = []
    for name, value in zip(names, values, strict=False):
        if not name.startswith("{"):
            things.insert(0, "alias" if name == "aliases" else name.removesuffix("s"))
        elif things:
            things[0] += f" {value[:DIGITS] if SHA256.fullmatch(value) else value}"
    return f"{verb} {' of '.join(things)}"


async def export(visit: Visit) -> Response:
    """The newest entries as CSV, with the visitor's own credential."""
    query = {"limit": CSV_ROWS, **({"subject": visit.query("subject")} if visit.query("subject") else {})}
    found = await visit.api.request("GET", "/v1/audit/export.csv", params=query, timeout=SECONDS)
    return visit.csv(found.content, "activity.csv")


PAGES = (Page("/activity", show), Page("/activity-csv", export))
