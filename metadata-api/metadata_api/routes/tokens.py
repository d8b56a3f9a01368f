"""API tokens: issue, list and revoke them; and who the caller is."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from metadata_api.auth import tokens
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.routes.dependencies import CallerDep, ComponentsDep, SessionDep
from metadata_api.schemas.tokens import Caller, IssuedToken, NewToken, TokenPage
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1", tags=["tokens"])
ID = "^[0-9a-f]{12}$"


@router.get("/me", dependencies=[needs(Role.VIEWER)], responses=responses())
async def show_caller(of: ComponentsDep, request: Request) -> Caller:
    """Who the API takes you for, and what you may do."""
    caller, verified_by = await of.callers.verified(request.headers.raw)
    return Caller(
        subject=caller.subject,
        role=caller.role,
        kind=caller.kind,
        expires_at=caller.expires_at,
        deployments=sorted(caller.deployments) if caller.deployments is not None else None,
        verified_by=verified_by,
    )


@router.post("/tokens", status_code=201, dependencies=[needs(Role.ADMIN)], responses=responses())
def issue_token(session: SessionDep, caller: CallerDep, body: NewToken) -> IssuedToken:
    """Issue an API token; its text is in this response and is never shown again."""
    return tokens.issue(session, body, created_by=caller.subject)


@router.get("/tokens", dependencies=[needs(Role.ADMIN)], responses=responses())
def list_tokens(
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    cursor: Annotated[str | None, Query(pattern=ID)] = None,
) -> TokenPage:
    """Tokens by id, revoked and expired ones too."""
    return tokens.list_page(session, limit=limit, after=cursor)


@router.delete(
    "/tokens/{token_id}", status_code=204, dependencies=[needs(Role.ADMIN)], responses=responses(404)
)
def revoke_token(session: SessionDep, token_id: str) -> None:
    """Revoke a token: within seconds no part of the system takes it any more."""
    tokens.revoke(session, token_id)
