"""The versions of all experiments."""

from typing import Annotated

from fastapi import APIRouter, Query

from metadata_api import versions
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.routes.dependencies import SessionDep
from metadata_api.schemas.fields import ShortText
from metadata_api.schemas.versions import VersionPage
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/versions", tags=["versions"])


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_all_versions(
    session: SessionDep,
    q: Annotated[ShortText, Query(description="Part of the experiment's name.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> VersionPage:
    """Versions of all experiments, newest first."""
    return versions.list_all(session, search=q, limit=limit, before=cursor)
