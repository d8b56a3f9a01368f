"""A restore of the database waits for an admin's word before anything that serves is taken away."""

from fastapi import APIRouter

from metadata_api.auth.access import needs
from metadata_api.deploying import restores
from metadata_api.errors import responses
from metadata_api.routes.dependencies import CallerDep, SessionDep
from metadata_api.schemas.restores import Restore
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/restore", tags=["store"])


@router.get("", dependencies=[needs(Role.ADMIN)], responses=responses(404))
def show_restore(session: SessionDep) -> Restore:
    """The newest restore, and what would be removed or changed if it was confirmed."""
    return restores.show(session)


@router.post("/confirm", dependencies=[needs(Role.ADMIN)], responses=responses(404))
def confirm_restore(session: SessionDep, caller: CallerDep) -> Restore:
    """Confirm it: the rows decide again what is deployed, and bytes that no row needs are deleted."""
    return restores.confirm(session, caller.subject)
