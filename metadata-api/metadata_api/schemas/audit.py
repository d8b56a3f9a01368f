"""Bodies of the routes for the audit log."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class Entry(BaseModel):
    """One transaction that changed something: who, from where, by which request, and what."""

    id: int
    at: datetime
    subject: str
    kind: str
    role: str
    token_id: str | None
    route: str
    path: str
    changes: list[dict[str, Any]]
    address: str
    request_id: str


class AuditPage(BaseModel):
    """Entries, newest first; `rejected` counts requests that were answered 401 or 403 since this process started."""

    items: list[Entry]
    next: str | None
    rejected: dict[str, int]
