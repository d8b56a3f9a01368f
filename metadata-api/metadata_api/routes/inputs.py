"""Stored inputs."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from metadata_api import deletions
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.predicting import stored_inputs
from metadata_api.routes.dependencies import ComponentsDep, ConsentDep, SessionDep
from metadata_api.schemas.deletions import Deletion
from metadata_api.schemas.fields import SHA256
from metadata_api.schemas.predictions import InputPage
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/inputs", tags=["inputs"])
Digest = Annotated[str, Path(pattern=SHA256, description="sha256 of the bytes, in hexadecimal.")]
CONTENT: dict[str, dict[str, str]] = {
    name: {} for name in ("image/png", "image/jpeg", "application/json", "text/plain")
}


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def list_inputs(
    session: SessionDep,
    kind: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[str | None, Query(pattern=SHA256)] = None,
) -> InputPage:
    """What models were asked about, newest first."""
    return stored_inputs.list_page(session, kind=kind, limit=limit, before=cursor)


@router.get(
    "/{sha256}",
    dependencies=[needs(Role.VIEWER)],
    responses={200: {"content": CONTENT}, **responses(404)},
    response_class=Response,
)
def show(sha256: Digest, of: ComponentsDep) -> Response:
    """What was asked about: the pixels of an image as PNG, or a photo as JPEG, without metadata; a text; JSON."""
    file, media_type, ending = stored_inputs.read(of.sessions, of.inputs, sha256)
    # The name is a hash of the content, so the content never changes.
    headers = {
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'inline; filename="{sha256}.{ending}"',
    }
    return Response(file, media_type=media_type, headers=headers)


@router.delete("/{sha256}", dependencies=[needs(Role.ADMIN)], responses=responses(404, 409))
def delete_input(sha256: Digest, session: SessionDep, consent: ConsentDep) -> Deletion:
    """Delete an input, with `cascade` also the predictions and labels about it."""
    return deletions.delete_input(session, sha256, consent)
