"""Imports of experiments and their reports."""

import shutil
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from metadata_api import deletions, importing
from metadata_api.auth.access import needs
from metadata_api.errors import Invalid, responses
from metadata_api.limits import max_body
from metadata_api.routes.dependencies import ComponentsDep, SessionDep
from metadata_api.schemas.deletions import Deletion
from metadata_api.schemas.fields import MAX_INT, NumberInPath, ShortText
from metadata_api.schemas.imports import ImportPage, ImportReport
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/imports", tags=["imports"])
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@router.post(
    "",
    dependencies=[needs(Role.PUBLISHER)],
    status_code=201,
    responses={200: {"model": ImportReport}, **responses(400, 409, 413, 507)},
    openapi_extra=BODY,
)
@max_body(lambda largest: largest.csv_bytes)
async def import_file(
    request: Request,
    of: ComponentsDep,
    response: Response,
    session: SessionDep,
    dry_run: Annotated[bool, Query(description="Report only, store nothing.")] = False,
    filename: Annotated[ShortText, Query()] = "",
) -> ImportReport:
    """Import a CSV: the body itself, or the field `file` of a form. 201 when something was new, else 200."""
    of.artifacts.require_room()
    with of.artifacts.temporary() as path:
        sent = await _receive(request, path)
        report = await run_in_threadpool(
            importing.import_experiments,
            session,
            path,
            filename=filename or sent,
            dry_run=dry_run,
            folder=path.parent,
        )
    if not dry_run:
        rows = {"accepted": report.accepted, "unchanged": report.unchanged, "rejected": report.rejected}
        of.metrics.count_import(**rows)
    response.status_code = 201 if report.accepted and not dry_run else 200
    return report


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_imports(
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_INT)] = None,
) -> ImportPage:
    """Reports of imports, newest first."""
    return importing.list_page(session, limit=limit, before=cursor)


@router.get("/{number}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_import(number: NumberInPath, session: SessionDep) -> ImportReport:
    """One report."""
    return importing.show(session, number)


@router.get(
    "/{number}/rejected.csv",
    dependencies=[needs(Role.VIEWER)],
    responses={200: {"content": {"text/csv": {}}}, **responses(404)},
    response_class=Response,
)
def export_rejected_rows(number: NumberInPath, session: SessionDep) -> Response:
    """The rows that were left out, as CSV with line, column and reason; the first 1,000."""
    text = importing.rejected_as_csv(session, number)
    headers = {"Content-Disposition": f'attachment; filename="import-{number}-rejected.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@router.delete("/{number}", dependencies=[needs(Role.ADMIN)], responses=responses(404))
def delete_import(number: NumberInPath, session: SessionDep) -> Deletion:
    """Delete a report; the experiments that it lists stay."""
    return deletions.delete_import(session, number)


async def _receive(request: Request, path: Path) -> str:
    """Write the CSV to a file as it arrives; the name under which it was sent, if any."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await _receive_form(request, path)
    with path.open("wb") as file:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
    return ""


async def _receive_form(request: Request, path: Path) -> str:
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            sent = form.get("file")
            if not isinstance(sent, UploadFile):
                raise Invalid(
                    "file_missing", "The form has no file named `file`. Send one, or the CSV as the body."
                )
            with path.open("wb") as file:
                await run_in_threadpool(shutil.copyfileobj, sent.file, file)
            name = (sent.filename or "").replace("\x00", "")
    except UnicodeError as error:
        raise Invalid("form_unreadable", "The form's charset is not one that is read. Use UTF-8.") from error
    # Some charsets give half a surrogate pair, which no database takes.
    return name.encode(errors="replace").decode()[:200]
