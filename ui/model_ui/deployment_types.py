"""What the metadata API says of deployments and aliases, as their pages show it; unknown fields are ignored."""

from datetime import datetime

from pydantic import JsonValue

from model_ui.api_types import Deployment, Unregistered
from model_ui.spec_types import ApiModel

STATES = ("failed", "changing", "unknown", "ready", "stopped")


class Traffic(ApiModel):
    """How often a deployment was asked lately, and how fast it answered, in milliseconds."""

    minutes: int
    requests: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


class Recording(ApiModel):
    """Which share of its v2 traffic is recorded as predictions, and for how many days; None is the installation's."""

    rate: float = 0.0
    answers: bool = True
    retention_days: int | None = None


class ListedDeployment(Deployment):
    """A deployment with its state in one word."""

    state: str = "unknown"
    environment: str = ""
    traffic: Traffic | None = None
    recording: Recording = Recording()
    created_at: datetime | None = None


class DeploymentList(ApiModel):
    """A page of deployments, and how many there are of each state."""

    items: tuple[ListedDeployment, ...]
    total: int = 0
    counts: dict[str, int] = {}
    next: str | None = None
    unregistered: tuple[Unregistered, ...] = ()
    runtimes: tuple[str, ...] = ()


class DeploymentEvent(ApiModel):
    """What was asked for, by whom and why, or what was seen."""

    at: datetime
    kind: str
    version: int | None = None
    detail: str = ""
    actor: str = ""
    reason: str = ""


class DeploymentEvents(ApiModel):
    """A page of events, newest first."""

    items: tuple[DeploymentEvent, ...]
    total: int = 0
    next: str | None = None


class RollbackSide(ApiModel):
    """One of the two versions of a roll back."""

    version: int
    handler: str = ""
    environment: str = ""
    task: str = ""
    metrics: dict[str, JsonValue] | None = None
    uploaded_by: str | None = None
    created_at: datetime | None = None


class RollbackPreview(ApiModel):
    """What a roll back would change."""

    current: RollbackSide
    previous: RollbackSide
    differs: tuple[str, ...] = ()
    aliases_stale: tuple[str, ...] = ()
    aliases_live: tuple[str, ...] = ()


class Alias(ApiModel):
    """A name, and the version of a deployment that it points at; `reason` says why it is not live."""

    name: str
    deployment: str
    experiment: str
    version: int
    live: bool = False
    reason: str | None = None
    url: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


class AliasPage(ApiModel):
    """Aliases by name."""

    items: tuple[Alias, ...]
    total: int = 0
    next: str | None = None


class AliasEvent(ApiModel):
    """One change of an alias, and where it pointed from then on."""

    at: datetime
    kind: str
    deployment: str
    version: int
    actor: str = ""
    reason: str = ""


class AliasEvents(ApiModel):
    """The log of an alias, newest first."""

    items: tuple[AliasEvent, ...]
    total: int = 0
    next: str | None = None
