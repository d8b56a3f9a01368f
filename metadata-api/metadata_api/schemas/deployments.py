"""Bodies of the routes for deployments."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from metadata_api.schemas.fields import MAX_INT, Body, Name
from metadata_api.schemas.resources import NewResources, Resources
from metadata_api.schemas.versions import ArchiveSettings, Tensor
from serving_runtime.contracts import (
    BATCH_DELAY_MS_BOUNDS,
    BATCH_SIZE_BOUNDS,
    RESPONSE_SECONDS_BOUNDS,
    STARTUP_SECONDS_BOUNDS,
    DeploymentState,
    Runtime,
)

Number = Annotated[int, Field(ge=1, le=MAX_INT)]
Replicas = Annotated[int, Field(ge=1, le=100, description="One machine always runs a single one.")]
RESOURCES = (
    "CPU and memory of each pod; null means the installation's default. Without effect on one machine."
)
StartupSeconds = Annotated[
    int,
    Field(
        ge=STARTUP_SECONDS_BOUNDS[0],
        le=STARTUP_SECONDS_BOUNDS[1],
        description="Longest time to load the model; null means the installation's default.",
    ),
]
ResponseSeconds = Annotated[
    int,
    Field(
        ge=RESPONSE_SECONDS_BOUNDS[0],
        le=RESPONSE_SECONDS_BOUNDS[1],
        description="Longest time to answer a request; null means the installation's default.",
    ),
]
ARCHIVE_OR_DEFAULT = "null means what the version's archive asks for, or the installation's default."
BatchSize = Annotated[
    int,
    Field(
        ge=BATCH_SIZE_BOUNDS[0],
        le=BATCH_SIZE_BOUNDS[1],
        description=f"Most rows of concurrent requests in one call of the model; {ARCHIVE_OR_DEFAULT}",
    ),
]
BatchDelay = Annotated[
    int,
    Field(
        ge=BATCH_DELAY_MS_BOUNDS[0],
        le=BATCH_DELAY_MS_BOUNDS[1],
        description="How long a request waits for others to share its call, in milliseconds, at most half of the time "
        f"to answer; {ARCHIVE_OR_DEFAULT}",
    ),
]
OPTIONS = ("startup_seconds", "response_seconds", "batch_size", "batch_delay_ms")
"""How a deployment's model is served; each may be null."""


class NewDeployment(Body):
    """What to serve; the name defaults to the experiment's, the version to its latest."""

    name: Name | None = None
    experiment: Name
    version: Number | None = None
    runtime: Runtime = "torchserve"
    replicas: Replicas = 1
    resources: NewResources | None = Field(default=None, description=RESOURCES)
    startup_seconds: StartupSeconds | None = None
    response_seconds: ResponseSeconds | None = None
    batch_size: BatchSize | None = None
    batch_delay_ms: BatchDelay | None = None


class DeploymentChange(Body):
    """What to serve from now on; what is left out stays as it is."""

    version: Number | None = None
    runtime: Runtime | None = None
    replicas: Replicas | None = None
    resources: NewResources | None = Field(default=None, description=RESOURCES)
    """As a whole, and null, when it is given, returns to the installation's default."""
    startup_seconds: StartupSeconds | None = None
    response_seconds: ResponseSeconds | None = None
    batch_size: BatchSize | None = None
    batch_delay_ms: BatchDelay | None = None
    """Null, when it is given, returns to the installation's default; so it does above."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_dump(exclude_none=True) and not self.changes_resources and not self.options:
            raise ValueError(
                "name a version, a runtime, a number of replicas, resources, timeouts or batches"
            )
        return self

    @property
    def changes_resources(self) -> bool:
        """Whether `resources` is given, if only as null."""
        return "resources" in self.model_fields_set

    @property
    def options(self) -> dict[str, int | None]:
        """Those that are given, if only as null."""
        return {key: getattr(self, key) for key in OPTIONS if key in self.model_fields_set}


class Observed(BaseModel):
    """What the serving side was last observed doing; `version` is the one that answers."""

    state: DeploymentState
    version: int | None
    reason: str | None
    containment: dict[str, Any] | None
    """The measures that hold the model's worker back, as its server reports them; null means off, or not known yet."""
    since: datetime | None


class Deployment(BaseModel):
    """Desired and observed state of one deployment."""

    name: str
    experiment: str
    version: int
    runtime: str
    replicas: int
    resources: Resources | None
    """CPU and memory of each pod; null means the installation's default. Without effect on one machine."""
    startup_seconds: int | None
    """Longest time to load the model; null means the installation's default."""
    response_seconds: int | None
    """Longest time to answer a request; null means the installation's default."""
    batch_size: int | None
    """Most rows of concurrent requests in one call; null means what the archive asks for, or the default."""
    batch_delay_ms: int | None
    """How long a request waits for others to share its call; null as above."""
    owner: Literal["api", "helm"]
    """Who may change it: requests to this API, or the values of a Helm release."""
    desired: Literal["running", "stopped"]
    observed: Observed
    ready: bool
    """The desired version was observed answering."""
    previous_version: int | None
    archive_settings: ArchiveSettings | None
    """Defaults that the version's archive brings, and what of its configuration file has no effect."""
    url: str
    task: str
    """What the version that shall be served takes and gives, as in the version."""
    inputs: list[Tensor]
    outputs: list[Tensor]
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


class LogPart(BaseModel):
    """The last lines of one process that serves, oldest first; a model's are `TIME vVERSION [REQUEST,...] TEXT`."""

    pod: str | None
    """Null on one machine."""
    lines: list[str]


class DeploymentLog(BaseModel):
    """What the processes of one deployment logged last, those of the newest pod first."""

    deployment: str
    parts: list[LogPart]


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
