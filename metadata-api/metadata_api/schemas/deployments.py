"""Bodies of the routes for deployments."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from metadata_api.schemas.fields import MAX_INT, Body, Name, ShortText, Text
from metadata_api.schemas.recording import NewRecording, Recording
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
State = Literal["failed", "unknown", "changing", "ready", "stopped"]
"""Desired and observed state in one word, as a list by state has them: `changing` is all that is not yet as desired."""
Sort = Literal["name", "-name", "state", "-state", "since", "-since", "experiment", "-experiment"]
Minutes = Annotated[int, Field(ge=1, le=1440)]
OPTIONS = ("startup_seconds", "response_seconds", "batch_size", "batch_delay_ms")
"""How a deployment's model is served; each may be null."""


class ChangeReason(Body):
    """Why a deployment is changed, as the caller says it; who it is, is known. Both are kept in its events."""

    reason: Text = ""


class NewDeployment(ChangeReason):
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
    recording: NewRecording | None = None


class DeploymentChange(ChangeReason):
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
    recording: NewRecording | None = None
    """As a whole, and null, when it is given, records nothing."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if (
            not self.model_dump(exclude_none=True, exclude={"reason"})
            and not self.changes_resources
            and not self.changes_recording
            and not self.options
        ):
            raise ValueError(
                "name a version, a runtime, a number of replicas, resources, timeouts, batches or a recording"
            )
        return self

    @property
    def changes_recording(self) -> bool:
        """Whether `recording` is given, if only as null."""
        return "recording" in self.model_fields_set

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


class Traffic(BaseModel):
    """Predictions by one deployment in the last minutes, of the newest 1,000; latencies are of those that were ok.

    Only what came by `POST /v1/predictions` is recorded, and so counted.
    """

    minutes: int
    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    """Null where nothing was answered."""


class Deployment(BaseModel):
    """Desired and observed state of one deployment."""

    name: str
    experiment: str
    version: int
    runtime: str
    environment: str
    """The environment that the version runs in."""
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
    recording: Recording
    owner: Literal["api", "helm"]
    """Who may change it: requests to this API, or the values of a Helm release."""
    desired: Literal["running", "stopped"]
    observed: Observed
    state: State
    """Desired and observed state in one word; `changing` is all that is not yet as desired."""
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
    traffic: Traffic | None = None
    """Null where it was not asked for, by `traffic_minutes`."""
    created_at: datetime
    updated_at: datetime


class DeploymentEvent(BaseModel):
    """One change: a verb (`create`, `change`, `stop`, ...) was asked for, a state (`ready`, ...) was seen."""

    at: datetime
    kind: str
    version: int | None
    """The one that was asked for, is on its way (`pending`, `starting`), failed, or answers (`ready`)."""
    detail: str
    actor: str
    """The verified caller; empty for what happened by itself, and from before it was recorded."""
    reason: str
    """Why, as the caller said it."""


class DeploymentEventPage(BaseModel):
    """The events of one name, newest first."""

    items: list[DeploymentEvent]
    total: int
    next: str | None


class DeploymentQuery(BaseModel):
    """Which deployments a list has, and in which order."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str | None, Field(max_length=500)] = None
    q: Annotated[ShortText, Field(description="Part of the name of the deployment or of its experiment.")] = (
        ""
    )
    state: State | None = None
    experiment: Name | None = None
    sort: Annotated[
        Sort, Field(description="By state: failed and changing ones first. With - the other way round.")
    ] = "name"
    traffic_minutes: Annotated[
        Minutes | None, Field(description="Say also how much each was asked in the last minutes.")
    ] = None


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
    """Deployments that match."""

    items: list[Deployment]
    total: int
    counts: dict[State, int]
    """How many there are of each state, whichever state was asked for."""
    next: str | None
    unregistered: list[Unregistered]
    """On the first page only; they answer under v2, but nothing is known about them here."""
    runtimes: list[Runtime]
    """What a deployment may name, the usual one first."""
