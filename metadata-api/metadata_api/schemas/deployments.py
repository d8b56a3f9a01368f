"""Bodies of the routes for deployments."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from metadata_api.schemas.fields import MAX_INT, Body, Name
from serving_runtime.contracts import DeploymentState, Runtime

Number = Annotated[int, Field(ge=1, le=MAX_INT)]
Replicas = Annotated[int, Field(ge=1, le=100, description="One machine always runs a single one.")]


class NewDeployment(Body):
    """What to serve; the name defaults to the experiment's, the version to its latest."""

    name: Name | None = None
    experiment: Name
    version: Number | None = None
    runtime: Runtime = "torchserve"
    replicas: Replicas = 1


class DeploymentChange(Body):
    """What to serve from now on; what is left out stays as it is."""

    version: Number | None = None
    runtime: Runtime | None = None
    replicas: Replicas | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("name a version, a runtime or a number of replicas")
        return self


class Observed(BaseModel):
    """What the serving side was last observed doing; `version` is the one that answers."""

    state: DeploymentState
    version: int | None
    reason: str | None
    since: datetime | None


class Deployment(BaseModel):
    """Desired and observed state of one deployment."""

    name: str
    experiment: str
    version: int
    runtime: str
    replicas: int
    owner: Literal["api", "helm"]
    """Who may change it: requests to this API, or the values of a Helm release."""
    desired: Literal["running", "stopped"]
    observed: Observed
    ready: bool
    """The desired version was observed answering."""
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


class Unregistered(BaseModel):
    """A deployment in a Helm release's values whose experiment or version this API does not know."""

    name: str
    storage_uri: str
    state: DeploymentState
    reason: str | None


class DeploymentPage(BaseModel):
    """Deployments by name."""

    items: list[Deployment]
    total: int
    next: str | None
    unregistered: list[Unregistered]
    """On the first page only; they answer under v2, but nothing is known about them here."""
    runtimes: list[Runtime]
    """What a deployment may name, the usual one first."""
