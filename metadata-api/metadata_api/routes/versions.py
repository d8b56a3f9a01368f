"""Upload, list and show the versions of an experiment."""

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from metadata_api import versions
from metadata_api.auth.access import needs
from metadata_api.auth.layer import address_of
from metadata_api.database.session import Sessions
from metadata_api.errors import Invalid, responses
from metadata_api.limits import max_body
from metadata_api.routes.dependencies import CallerDep, ComponentsDep, SessionDep
from metadata_api.schemas.fields import MAX_INT, NameInPath, NumberInPath
from metadata_api.schemas.versions import Version, VersionPage
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/experiments/{name}/versions", tags=["versions"])
BUFFER_BYTES = 1024 * 1024
ARCHIVE: dict[str, Any] = {
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
}


@router.post(
    "",
    dependencies=[needs(Role.PUBLISHER)],
    status_code=201,
    responses={
        200: {"model": Version, "description": "These bytes are a version already."},
        **responses(400, 404, 413, 507),
    },
    openapi_extra={"requestBody": {"required": True, **ARCHIVE}},
)
@max_body(lambda largest: largest.mar_bytes)
async def upload_version(
    request: Request, of: ComponentsDep, caller: CallerDep, name: NameInPath, response: Response
) -> Version:
    """Upload a `.mar` as the body; it is checked, rewritten canonically and becomes the next version."""
    await run_in_threadpool(_require_experiment, of.sessions, name)
    with of.artifacts.temporary() as path:
        digest = await _receive(request, path)
        upload = versions.Upload(path, digest, by=caller.subject, address=address_of(request.scope))
        version, new = await run_in_threadpool(versions.publish, of.sessions, of.artifacts, name, upload)
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


def _require_experiment(sessions: Sessions, name: str) -> None:
    with sessions() as session:
        versions.require_experiment(session, name)


async def _receive(request: Request, path: Path) -> str:
    """Write the body to a file while it arrives; returns its sha256."""
    digest, pending, size = hashlib.sha256(), bytearray(), 0
    with path.open("wb") as file:

        def flush() -> None:
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
