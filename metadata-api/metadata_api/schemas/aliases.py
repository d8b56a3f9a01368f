"""Bodies of the routes for aliases."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from metadata_api.schemas.deployments import Number
from metadata_api.schemas.fields import Body, Name, Text


class AliasChange(Body):
    """Why an alias is changed, as the caller says it; who it is, is known. Both are kept in its log."""

    reason: Text = ""


class AliasTarget(AliasChange):
    """Where an alias shall point; without a version it is the one that the deployment serves."""

    deployment: Name
    version: Annotated[Number | None, Field(description="Only the one that the deployment is to serve.")] = (
        None
    )


class Alias(BaseModel):
    """A name, and the one version of one deployment that it points at."""

    name: str
    deployment: str
    experiment: str
    version: int
    live: bool
    """Its version was observed answering, so that requests for the alias are answered by it."""
    reason: str | None
    """Why it is not live, and what to do about it."""
    url: str
    """Where it is asked by the v2 protocol: under this API."""
    created_at: datetime
    updated_at: datetime


class RollbackUnderWay(BaseModel):
    """What an alias waits for before it is rolled back."""

    deployment: str
    """It was started, or deployed again, and has not passed its self-test yet."""
    version: int
    state: str
    reason: str | None
    detail: str


class AliasPage(BaseModel):
    """Aliases by name."""

    items: list[Alias]
    total: int
    next: str | None


class AliasEvent(BaseModel):
    """One change of an alias, and where it pointed from then on; a deleted one pointed there until then."""

    id: int
    at: datetime
    kind: Literal["create", "move", "promote", "rollback", "delete"]
    deployment: str
    experiment: str | None
    """Null, as `mar_sha256`, in events from before they were recorded."""
    version: int
    mar_sha256: str | None
    """Of the version's archive."""
    actor: str
    """The verified caller."""
    reason: str
    evidence: dict[str, Any] | None
    """What a promotion was decided by, with the policy that it was judged by; null for any other change."""


class AliasThen(BaseModel):
    """Where a name led at a moment."""

    name: str
    at: datetime
    """The moment that was asked for."""
    deployment: str
    experiment: str | None
    version: int
    mar_sha256: str | None
    since: datetime
    until: datetime | None
    """When it was changed next; null while it has not been."""
    event: AliasEvent
    """The change that made it point there."""


class AliasEventPage(BaseModel):
    """The log of one name, newest first."""

    items: list[AliasEvent]
    total: int
    next: str | None
