"""Names like `champion`: set, move, roll back and look at them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime
from starlette.concurrency import run_in_threadpool

from metadata_api import alias_changes, alias_events, alias_rollbacks, aliases
from metadata_api.auth.access import needs
from metadata_api.database.session import Sessions
from metadata_api.deployments.events import By
from metadata_api.errors import responses
from metadata_api.evidence import policies
from metadata_api.routes.dependencies import CallerDep, ComponentsDep, ReservedNames, SessionDep
from metadata_api.schemas.aliases import (
    Alias,
    AliasChange,
    AliasEventPage,
    AliasPage,
    AliasTarget,
    AliasThen,
    RollbackUnderWay,
)
from metadata_api.schemas.fields import NameInPath, Text
from serving_runtime.contracts import NAME_PATTERN, Role

router = APIRouter(prefix="/v1/aliases", tags=["aliases"])


@router.put(
    "/{name}",
    dependencies=[needs(Role.DEPLOYER)],
    responses={201: {"model": Alias, "description": "The alias is new."}, **responses(404, 409)},
)
def set_alias(
    session: SessionDep,
    reserved: ReservedNames,
    caller: CallerDep,
    name: NameInPath,
    body: AliasTarget,
    response: Response,
) -> Alias:
    """Set an alias, or move it in one step, to the version that a deployment is to serve.

    It stays at that version: when the deployment is moved to another one, the alias is not `live` any more and gets 409
    under /v2 until it or the deployment is moved. To change versions without a gap, deploy the new one under another
    name and move the alias once that is ready.
    """
    policies.require_free(session, name, caller)
    new = alias_changes.put(session, name, body, reserved, caller.subject)
    response.status_code = 201 if new else 200
    return aliases.show(session, name)


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_aliases(
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    deployment: Annotated[
        str | None, Query(pattern=NAME_PATTERN, description="Only those that point at it.")
    ] = None,
) -> AliasPage:
    """Aliases by name, with what answers for them."""
    return aliases.list_page(session, limit=limit, after=cursor, deployment=deployment)


@router.get("/{name}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_alias(
    session: SessionDep,
    name: NameInPath,
    at: Annotated[AwareDatetime | None, Query(description="Where it pointed then, from its log.")] = None,
) -> Alias | AliasThen:
    """One alias: where it points, and whether that answers; or where the name led at a time, deleted or not."""
    return aliases.show(session, name) if at is None else alias_events.at(session, name, at)


@router.get("/{name}/events", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def list_alias_events(
    session: SessionDep,
    name: NameInPath,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> AliasEventPage:
    """Every change of an alias, newest first; they stay when it is deleted."""
    return alias_events.list_page(session, name, limit=limit, before=cursor)


@router.post(
    "/{name}/rollback",
    dependencies=[needs(Role.DEPLOYER)],
    responses={
        202: {"model": RollbackUnderWay, "description": "The target is being woken; nothing is moved yet."},
        **responses(404, 409),
    },
)
async def roll_back_alias(
    of: ComponentsDep,
    caller: CallerDep,
    name: NameInPath,
    response: Response,
    body: AliasChange | None = None,
    wait_seconds: Annotated[
        float, Query(ge=0, le=120, description="For a target that is not ready; then 202 says how far it is.")
    ] = 30,
) -> Alias | RollbackUnderWay:
    """Point where it pointed before the last move; what is not served any more is started and self-tested first.

    Until then the present target answers. After a 202 the same request goes on.
    """
    by = By(caller.subject, (body or AliasChange()).reason)
    woken = alias_rollbacks.Dependencies(of.sessions, of.helm, of.deployer.changed.set)
    if waits := await alias_rollbacks.roll_back(woken, name, by, wait_seconds):
        response.status_code = 202
        return waits
    return await run_in_threadpool(_show, of.sessions, name)


@router.delete("/{name}", dependencies=[needs(Role.DEPLOYER)], status_code=204, responses=responses(404))
def delete_alias(
    session: SessionDep,
    caller: CallerDep,
    name: NameInPath,
    reason: Annotated[Text, Query()] = "",
) -> None:
    """Forget an alias; its events stay. One with a policy of its own is for admins to delete: the policy goes along."""
    policies.require_free(session, name, caller)
    alias_changes.delete(session, name, caller.subject, reason)


def _show(sessions: Sessions, name: str) -> Alias:
    with sessions() as session:
        return aliases.show(session, name)
