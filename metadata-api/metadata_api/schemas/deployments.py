"""Bodies of the routes for deployments."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from metadata_api.schemas.fields import MAX_INT, Body, Name

Number = Annotated[int, Field(ge=1, le=MAX_INT)]


class NewDeployment(Body):
    """What to serve; the name defaults to the experiment's, the version to its latest."""

    name: Name | None = None
    experiment: Name
    version: Number | None = None
    runtime: Literal["torchserve"] = "torchserve"
    replicas: Annotated[int, Field(ge=1, le=100, description="One machine always runs a single one.")] = 1


class DeploymentChange(Body):
    """The version to serve from now on."""

    version: Number


class Observed(BaseModel):
    """What the serving side was last seen doing; `version` is the one that answers."""

    state: Literal["pending", "starting", "ready", "failed", "stopped", "unknown"]
    version: int | None
    reason: str | None
    since: datetime | None


class Deployment(BaseModel):
    """What is wanted of one deployment, and what is seen of it."""

    name: str
    experiment: str
    version: int
    runtime: str
    replicas: int
    wanted: Literal["running", "stopped"]
    observed: Observed
    ready: bool
    """The wanted version was seen answering."""
    previous_version: int | None
    url: str
    labels: list[str]
    created_at: datetime
    updated_at: datetime


class DeploymentEvent(BaseModel):
    """One change: a verb (`create`, `change`, `stop`, ...) was asked for, a state (`ready`, ...) was seen."""

    at: datetime
    kind: str
    version: int | None
    detail: str


class DeploymentDetail(Deployment):
    """One deployment with its latest events, newest first."""

    events: list[DeploymentEvent]


class DeploymentPage(BaseModel):
    """Deployments by name."""

    items: list[Deployment]
    total: int
    next: str | None
