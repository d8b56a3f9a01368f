"""The audit log, for admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from metadata_api import audit
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.routes.dependencies import ComponentsDep, SessionDep
from metadata_api.schemas.audit import AuditPage
from metadata_api.schemas.fields import ShortText
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/audit", tags=["audit"])
Subject = Annotated[ShortText | None, Query(description="Only what this caller did.")]


@router.get("", dependencies=[needs(Role.ADMIN)], responses=responses())
def list_audit_entries(
    session: SessionDep,
    of: ComponentsDep,
    subject: Subject = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> AuditPage:
    """Who changed what, newest first."""
    return audit.list_page(session, subject=subject, limit=limit, before=cursor, rejected=of.rejected)


@router.get(
    "/export.csv",
    dependencies=[needs(Role.ADMIN)],
    responses={200: {"content": {"text/csv": {}}}, **responses()},
    response_class=Response,
)
def export_audit_entries(
    session: SessionDep,
    subject: Subject = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 10_000,
) -> Response:
    """The newest entries as CSV."""
    text = audit.as_csv(session, subject=subject, limit=limit)
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
