"""Replays: stored inputs through chosen deployments, in the background."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Path, Query

from metadata_api.auth.access import IN_BODY, needs
from metadata_api.errors import responses
from metadata_api.evidence import replays
from metadata_api.routes.dependencies import CallerDep, ComponentsDep, SessionDep, wake
from metadata_api.schemas.replays import NewReplay, Replay, ReplayPage
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/replays", tags=["evidence"])
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.post(
    "",
    dependencies=[needs(Role.DEPLOYER, deployment=IN_BODY)],
    status_code=202,
    responses=responses(404, 409),
)
def start_replay(
    of: ComponentsDep, session: SessionDep, caller: CallerDep, body: NewReplay, background: BackgroundTasks
) -> Replay:
    """Send stored inputs through deployments, one replay after the other; the answers are recorded as any others."""
    for name in body.deployments:
        caller.require_deployment(name)
    made = replays.create(session, body, caller.subject)
    background.add_task(wake, of.replayer.changed)
    return made


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_replays(
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> ReplayPage:
    """Replays, newest first."""
    return replays.list_page(session, limit=limit, before=cursor)


@router.get("/{number}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_replay(session: SessionDep, number: Number) -> Replay:
    """How far a replay is, and its report once it is done."""
    return replays.show(session, number)


@router.delete("/{number}", dependencies=[needs(Role.DEPLOYER)], responses=responses(404))
def cancel_replay(session: SessionDep, number: Number) -> Replay:
    """End a replay; answers that there are stay recorded."""
    return replays.cancel(session, number)
