"""Imports of experiments and their reports."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from metadata_api.db import SessionDep
from metadata_api.errors import Invalid, NotFound, responses
from metadata_api.importing import import_experiments, report_of
from metadata_api.schemas.fields import MAX_INT, Line, NumberInPath
from metadata_api.schemas.imports import ImportPage, ImportReport
from metadata_api.tables import Import

router = APIRouter(prefix="/v1/imports", tags=["imports"])
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    responses={200: {"model": ImportReport}, **responses(400, 409, 413, 507)},
    openapi_extra=BODY,
)
async def import_file(
    request: Request,
    response: Response,
    session: SessionDep,
    dry_run: Annotated[bool, Query(description="Report only, store nothing.")] = False,
    filename: Annotated[Line, Query()] = "",
) -> ImportReport:
    """Import a CSV: the body itself, or the field `file` of a form. 201 when something was new, else 200."""
    with tempfile.TemporaryDirectory(prefix="import-") as folder:
        path = Path(folder) / "file.csv"
        sent = await _receive(request, path)
        name = filename or sent
        report = await run_in_threadpool(import_experiments, session, path, filename=name, dry_run=dry_run)
    response.status_code = 201 if report.accepted and not dry_run else 200
    return report


@router.get("", responses=responses())
def list_imports(
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_INT)] = None,
) -> ImportPage:
    """Reports of imports, newest first."""
    query = select(Import).order_by(Import.id.desc()).limit(limit + 1)
    rows = session.scalars(query if cursor is None else query.where(Import.id < cursor)).all()
    total = session.scalar(select(func.count()).select_from(Import)) or 0
    following = str(rows[limit - 1].id) if len(rows) > limit else None
    return ImportPage(items=[report_of(row) for row in rows[:limit]], total=total, next=following)


@router.get("/{number}", responses=responses(404))
def show_import(number: NumberInPath, session: SessionDep) -> ImportReport:
    """One report."""
    return report_of(_found(session, number))


def _found(session: Session, number: int) -> Import:
    row = session.get(Import, number)
    if row is None:
        raise NotFound("import_unknown", f"There is no import {number}. See /v1/imports.")
    return row


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
