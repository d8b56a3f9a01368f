"""The `.mar` files themselves, at addresses that never change their bytes; serving pods fetch them here."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from metadata_api import versions
from metadata_api.auth.access import needs
from metadata_api.errors import NotFound, responses
from metadata_api.routes.dependencies import ComponentsDep
from metadata_api.schemas.fields import NameInPath, NumberInPath
from serving_runtime.contracts import Role

router = APIRouter(prefix="/artifacts", tags=["versions"])
# KServe's storage-initializer takes a file that it does not know only under this type.
OCTETS = "application/octet-stream"


@router.head("/{name}/{number}/{file}.mar", dependencies=[needs(Role.FETCHER)], include_in_schema=False)
@router.get(
    "/{name}/{number}/{file}.mar",
    dependencies=[needs(Role.FETCHER)],
    response_class=FileResponse,
    responses=responses(404),
)
def download(
    request: Request, of: ComponentsDep, name: NameInPath, number: NumberInPath, file: NameInPath
) -> Response:
    """The canonical archive of a version; the ETag is its sha256."""
    if file != name:
        raise NotFound("not_found", f"The file is called {name}.mar.")
    digest, size = versions.archive(of.sessions, of.artifacts, name, number)
    headers = {"ETag": f'"{digest}"', "Cache-Control": "private, max-age=31536000, immutable"}
    if path := of.artifacts.local(digest):
        return FileResponse(path, media_type=OCTETS, filename=f"{name}.mar", headers=headers)
    headers |= {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}.mar"'}
    if request.method == "HEAD":
        return Response(media_type=OCTETS, headers=headers)
    return StreamingResponse(of.artifacts.stream(digest), media_type=OCTETS, headers=headers)
