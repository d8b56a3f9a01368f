"""Upload, list and show the versions of an experiment."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect

from metadata_api import deletions, versions
from metadata_api.auth.access import needs
from metadata_api.auth.layer import address_of
from metadata_api.database.session import Sessions
from metadata_api.errors import Invalid, TooLarge, responses
from metadata_api.limits import max_body
from metadata_api.routes.dependencies import CallerDep, Components, ComponentsDep, ConsentDep, SessionDep
from metadata_api.schemas.deletions import Deletion
from metadata_api.schemas.fields import MAX_INT, NameInPath, NumberInPath
from metadata_api.schemas.versions import Version, VersionPage
from metadata_api.signatures import HOW, MAX_BYTES
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/experiments/{name}/versions", tags=["versions"])
BUFFER_BYTES = 1024 * 1024
BINARY = {"type": "string", "format": "binary"}
ARCHIVE: dict[str, Any] = {
    "content": {
        "application/octet-stream": {"schema": BINARY},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": BINARY, "signature": BINARY},
                "required": ["file"],
                "additionalProperties": False,
            }
        },
    }
}


@router.post(
    "",
    dependencies=[needs(Role.PUBLISHER)],
    status_code=201,
    responses={
        200: {"model": Version, "description": "These bytes are a version already."},
        **responses(400, 404, 409, 413, 507),
    },
    openapi_extra={"requestBody": {"required": True, **ARCHIVE}},
)
@max_body(lambda largest: largest.mar_bytes)
async def upload_version(
    request: Request,
    of: ComponentsDep,
    caller: CallerDep,
    name: NameInPath,
    response: Response,
    create: Annotated[bool, Query(description="Make the experiment with its first version.")] = False,
) -> Version:
    """Upload a `.mar`: it is checked, rewritten canonically and becomes the next version.

    It is the body, or the field `file` of a form; in a form it may have a `signature`, as `model_signing sign key`
    writes it. With `create`, an experiment that is new is made with the version; a rejected archive leaves neither.
    """
    if not create:
        await run_in_threadpool(_require_experiment, of.sessions, name)
    with of.artifacts.temporary() as path:
        digest, signature = await _receive(request, path, of)
        upload = versions.Upload(path, digest, caller.subject, address_of(request.scope), signature, create)
        quota = of.settings.retention.archives_bytes
        version, new = await run_in_threadpool(
            versions.publish, of.sessions, of.artifacts, of.signatures, of.environments, name, upload, quota
        )
    response.status_code = 201 if new else 200
    return version


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def list_versions(
    session: SessionDep,
    name: NameInPath,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_INT)] = None,
) -> VersionPage:
    """Versions of an experiment, newest first."""
    return versions.list_page(session, name, limit=limit, before=cursor)


@router.get("/{number}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_version(session: SessionDep, name: NameInPath, number: NumberInPath) -> Version:
    """One version."""
    return versions.show(session, name, number)


@router.delete("/{number}", dependencies=[needs(Role.ADMIN)], responses=responses(404, 409))
def delete_version(
    session: SessionDep, name: NameInPath, number: NumberInPath, consent: ConsentDep
) -> Deletion:
    """Delete a version; its number is never given again, and predictions of it stay as records."""
    return deletions.delete_version(session, name, number, consent)


def _require_experiment(sessions: Sessions, name: str) -> None:
    with sessions() as session:
        versions.require_experiment(session, name)


async def _receive(request: Request, path: Path, of: Components) -> tuple[str, bytes | None]:
    """Write the archive to a file, while there is room; returns its sha256, and its signature if there is one."""
    require_room = partial(of.artifacts.require_room, incoming=True)
    try:
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return await _receive_form(request, path, require_room)
        # Before a body that would be for nothing.
        of.signatures.require(None)
        return await _receive_body(request, path, require_room), None
    except ClientDisconnect as error:
        raise Invalid("body_incomplete", "The body ended before it was complete. Send it again.") from error


async def _receive_form(
    request: Request, path: Path, require_room: Callable[[], None]
) -> tuple[str, bytes | None]:
    try:
        async with request.form(max_files=2, max_fields=2, max_part_size=MAX_BYTES) as form:
            file = _archive_of(form)
            signature = await _signature_of(form)
            return await run_in_threadpool(_copy, file.file, path, require_room), signature
    except UnicodeError as error:
        raise Invalid("form_unreadable", "The form's charset is not one that is read. Use UTF-8.") from error


def _archive_of(form: FormData) -> UploadFile:
    """The field `file`. A field of another name would be a signature that nobody looks at."""
    names = [name for name, _ in form.multi_items()]
    if len(names) > len(set(names)) or set(names) - {"file", "signature"}:
        raise Invalid("form_unreadable", "The form may have the fields `file` and `signature`, each once.")
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Invalid("file_missing", "The form has no file named `file`. Send one, or the .mar as the body.")
    return file


async def _signature_of(form: FormData) -> bytes | None:
    sent = form.get("signature")
    if sent is None:
        return None
    content = sent.encode() if isinstance(sent, str) else await sent.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLarge("signature_too_large", f"The signature has more than {MAX_BYTES:,} bytes. {HOW}")
    return content


def _copy(source: BinaryIO, path: Path, require_room: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while part := source.read(BUFFER_BYTES):
            require_room()
            digest.update(part)
            file.write(part)
        if not file.tell():
            raise Invalid("body_empty", "The file is empty. Send the bytes of a .mar file.")
    return digest.hexdigest()


async def _receive_body(request: Request, path: Path, require_room: Callable[[], None]) -> str:
    """Write the body to a file while it arrives; returns its sha256."""
    digest, pending, size = hashlib.sha256(), bytearray(), 0
    with path.open("wb") as file:

        def flush() -> None:
            require_room()
            digest.update(pending)
            file.write(pending)
            pending.clear()

        async for chunk in request.stream():
            pending += chunk
            size += len(chunk)
            if len(pending) >= BUFFER_BYTES:
                await asyncio.to_thread(flush)
        await asyncio.to_thread(flush)
    if not size:
        raise Invalid("body_empty", "The body is empty. Send the bytes of a .mar file.")
    return digest.hexdigest()
