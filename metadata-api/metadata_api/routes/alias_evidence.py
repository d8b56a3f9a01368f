"""Promote a candidate by the evidence, look at how it stands, and set what it needs."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from metadata_api import aliases
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.evidence import policies, promotions
from metadata_api.routes.dependencies import CallerDep, SessionDep
from metadata_api.schemas.fields import NameInPath
from metadata_api.schemas.policies import AliasPolicy, Policy, Preview, Promoted, Promotion, Refusal
from serving_runtime.contracts import NAME_PATTERN, Role

router = APIRouter(prefix="/v1/aliases/{name}", tags=["evidence"])
REFUSED: dict[int | str, dict[str, Any]] = {
    409: {"model": Refusal, "description": "The policy says no, or the candidate cannot be promoted at all."}
}


@router.get("/policy", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_policy(session: SessionDep, name: NameInPath) -> AliasPolicy:
    """What a candidate needs to take an alias."""
    return policies.show(session, name)


@router.put("/policy", dependencies=[needs(Role.PUBLISHER)], responses=responses(404))
def set_policy(session: SessionDep, caller: CallerDep, name: NameInPath, body: Policy) -> AliasPolicy:
    """Say what a candidate needs; from then on only an admin moves the alias without evidence."""
    return policies.put(session, name, body, caller.subject)


@router.delete("/policy", dependencies=[needs(Role.PUBLISHER)], status_code=204, responses=responses(404))
def delete_policy(session: SessionDep, name: NameInPath) -> None:
    """Let the default policy hold again."""
    policies.delete(session, name)


@router.get("/evidence", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_evidence(
    session: SessionDep, name: NameInPath, candidate: Annotated[str, Query(pattern=NAME_PATTERN)]
) -> Preview:
    """How a candidate stands against the champion: rules, evidence, flips, and the inputs that would decide."""
    return promotions.preview(session, name, candidate)


@router.post("/promote", dependencies=[needs(Role.DEPLOYER)], responses={**responses(400, 404), **REFUSED})
def promote(
    session: SessionDep,
    caller: CallerDep,
    name: NameInPath,
    body: Promotion,
    dry_run: Annotated[bool, Query(description="Only say how the candidate stands.")] = False,
) -> Promoted:
    """Let a candidate take the alias if every rule of the policy is passed; the evidence is stored with the move."""
    if dry_run:
        standing = promotions.preview(session, name, body.candidate)
    else:
        standing = promotions.promote(session, name, body, caller)
    forced = body.force and not dry_run and not standing.promotable
    return Promoted(promoted=not dry_run, forced=forced, alias=aliases.show(session, name), standing=standing)
