"""The page Imports: the reports of all imports, and a file that is imported or only checked."""

from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit
from model_ui.version_types import Import, ImportPage

ROWS = 20
# A CSV of the largest size is parsed and stored in one call.
SECONDS = 120.0
# The API has the last word on how large a CSV may be.
MOST_BYTES = 300_000_000


async def show(visit: Visit) -> Response:
    """The table and the form."""
    return await _page(visit, None)


async def upload(visit: Visit, form: FormData) -> Response:
    """Import a file, or only check it: then the report is shown, and nothing is stored."""
    sent = form.get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return visit.failed("Choose a CSV first.")
    check = form.get("check") is not None
    query = {"dry_run": "true" if check else "false", "filename": sent.filename[:200]}
    files = {"file": (sent.filename, sent.file, "text/csv")}
    found = await visit.api.call(Import, "POST", "/v1/imports", params=query, files=files, timeout=SECONDS)
    if check:
        return await _page(visit, found)
    counts = f"{found.accepted:,} imported, {found.unchanged:,} unchanged, {found.rejected:,} rejected"
    return visit.done(
        f"{sent.filename[:80]}: {counts}.",
        kind="warn" if found.rejected else "ok",
        to=f"/import?number={found.id}",
    )


async def _page(visit: Visit, checked: Import | None) -> Response:
    query = page_query(visit, ROWS)
    page = await visit.api.call(ImportPage, "GET", "/v1/imports", params=query)
    return await visit.render(
        "imports.html",
        title="Imports",
        seconds=0,
        page=page,
        report=checked,
        pager=pager(visit, page.next),
    )


PAGES = (Page("/imports", show, {"upload": upload}, most_bytes=MOST_BYTES),)
