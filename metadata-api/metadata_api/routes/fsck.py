"""Checks of the store against the database, for admins."""

from fastapi import APIRouter

from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.objects import fsck
from metadata_api.routes.dependencies import CallerDep, SessionDep
from metadata_api.schemas.fsck import NewStoreCheck, StoreCheck
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/fsck", tags=["store"])


@router.post("", status_code=202, dependencies=[needs(Role.ADMIN)], responses=responses())
def request_check(session: SessionDep, caller: CallerDep, body: NewStoreCheck) -> StoreCheck:
    """Request a check of every object by its hash; one that is running already is returned."""
    return fsck.request(session, repair=body.repair, by=caller.subject)


@router.get("", dependencies=[needs(Role.ADMIN)], responses=responses(404))
def show_check(session: SessionDep) -> StoreCheck:
    """The newest check: how far it is and what it found."""
    return fsck.show(session)
