"""Stored inputs."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from metadata_api import deletions
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.predicting import images
from metadata_api.routes.dependencies import ComponentsDep, ConsentDep, SessionDep
from metadata_api.schemas.deletions import Deletion
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/inputs", tags=["inputs"])
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="sha256 of the file, in hexadecimal.")]


@router.get(
    "/{sha256}",
    dependencies=[needs(Role.VIEWER)],
    responses={200: {"content": {"image/png": {}, "image/jpeg": {}}}, **responses(404)},
    response_class=Response,
)
def show(sha256: Digest, of: ComponentsDep) -> Response:
    """What was asked about: its pixels as PNG, or a photo as JPEG, without metadata."""
    file = images.read(of.sessions, of.inputs, sha256)
    kind = "png" if images.is_png(file) else "jpeg"
    # The name is a hash of the content, so the content never changes.
    headers = {
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'inline; filename="{sha256}.{kind}"',
    }
    return Response(file, media_type=f"image/{kind}", headers=headers)


@router.delete("/{sha256}", dependencies=[needs(Role.ADMIN)], responses=responses(404, 409))
def delete_input(sha256: Digest, session: SessionDep, consent: ConsentDep) -> Deletion:
    """Delete an input, with `cascade` also the predictions about it."""
    return deletions.delete_input(session, sha256, consent)
