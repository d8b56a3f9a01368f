"""The `.mar` files themselves, at addresses that never change their bytes; serving pods fetch them here."""

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from metadata_api import versions
from metadata_api.db import SessionDep
from metadata_api.errors import NotFound, responses
from metadata_api.schemas.fields import NameInPath, NumberInPath

router = APIRouter(prefix="/artifacts", tags=["versions"])


@router.head("/{name}/{number}/{file}.mar", include_in_schema=False)
@router.get("/{name}/{number}/{file}.mar", response_class=FileResponse, responses=responses(404))
def download(
    request: Request, session: SessionDep, name: NameInPath, number: NumberInPath, file: NameInPath
) -> FileResponse:
    """The canonical archive of a version; the ETag is its sha256."""
    if file != name:
        raise NotFound("not_found", f"The file is called {name}.mar.")
    path, digest = versions.archive(session, request.app.state.artifacts, name, number)
    headers = {"ETag": f'"{digest}"', "Cache-Control": "public, max-age=31536000, immutable"}
    return FileResponse(path, media_type="application/octet-stream", filename=f"{name}.mar", headers=headers)
