"""The answers of the metadata API, as far as the pages show them; unknown fields are ignored."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from model_ui.spec_types import ApiModel, Tensor

Role = Literal["viewer", "annotator", "deployer", "publisher", "admin"]
# Each role may do what those before it may.
ROLES: tuple[Role, ...] = ("viewer", "annotator", "deployer", "publisher", "admin")
# A token may also be one that only fetches archives; nobody visits pages with it.
TOKEN_ROLES = ("fetcher", *ROLES)


class Me(ApiModel):
    """Whom the API takes a credential for; kind `none` where it wants no credential.

    `deployments` names those that the credential is limited to; None means all. As long as somebody of the same kind is
    told the same `verified_by`, this credential is not revoked; None where only asking for itself tells.
    """

    subject: str
    role: Role
    kind: str
    expires_at: AwareDatetime | None = None
    deployments: tuple[str, ...] | None = None
    verified_by: str | None = None

    def may(self, role: Role, deployment: str | None = None) -> bool:
        """Whether this credential has at least a role, and covers a deployment if one is named."""
        covered = self.deployments is None or deployment is None or deployment in self.deployments
        return covered and ROLES.index(self.role) >= ROLES.index(role)

    def may_all(self, role: Role) -> bool:
        """Whether this credential has at least a role, and is limited to no deployments."""
        return self.deployments is None and self.may(role)


class Metric(ApiModel):
    """One recorded metric: the last value, and the best one with its step."""

    final: float | None = None
    best: float | None = None
    best_step: float | None = None
    points: int = 0
    direction: str = ""
    """`min` or `max`: which values are better."""


class Experiment(ApiModel):
    """One training effort; `latest_version` is None when no model was uploaded."""

    name: str
    display_name: str | None = None
    description: str | None = None
    parameters: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    tags: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    metrics: dict[str, Metric] = Field(default_factory=dict)
    source: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    state: str = "finished"
    notes: str = ""
    key_metric: str | None = None
    task: str | None = None
    """Of its newest version; None as long as it has none."""
    latest_version: int | None = None
    deployments: tuple[str, ...] = ()


class ExperimentPage(ApiModel):
    """Experiments of a search, how many there are in all, and the cursor of what follows."""

    items: tuple[Experiment, ...]
    total: int
    total_is_exact: bool = True
    next: str | None = None


class MetricNames(ApiModel):
    """The names of all metrics that any experiment has recorded."""

    items: tuple[str, ...]


class Tasks(ApiModel):
    """The tasks that experiments have by their newest versions."""

    items: tuple[str, ...]


class NonFinite(ApiModel):
    """A point of a curve that is not a number one can draw."""

    step: float
    value: str
    time: float | None = None


class Curve(ApiModel):
    """One curve, downsampled by the API; `points` is how many were recorded."""

    experiment: str
    display_name: str | None = None
    steps: tuple[float, ...]
    values: tuple[float | None, ...]
    times: tuple[float, ...] = ()
    points: int = 0
    non_finite: tuple[NonFinite, ...] = ()


class Curves(ApiModel):
    """One metric of several experiments."""

    metric: str
    curves: tuple[Curve, ...]


class Containment(ApiModel):
    """The measures that hold a model's worker back, as its server reports them."""

    own_uid: int | None = None
    landlock: int | None = None
    namespaces: bool = False
    network: str = "open"


class Observed(ApiModel):
    """What the serving side was last seen doing."""

    state: str = "unknown"
    version: int | None = None
    reason: str | None = None
    containment: Containment | None = None
    since: datetime | None = None


class Deployment(ApiModel):
    """What is desired of one deployment, and what is observed of it."""

    name: str
    experiment: str
    version: int
    runtime: str = ""
    replicas: int = 1
    resources: dict[str, str | None] | None = None
    startup_seconds: int | None = None
    response_seconds: int | None = None
    batch_size: int | None = None
    batch_delay_ms: int | None = None
    owner: str = "api"
    desired: Literal["running", "stopped"] = "running"
    observed: Observed = Observed()
    ready: bool = False
    previous_version: int | None = None
    url: str = ""
    updated_at: str = ""
    """When somebody changed it last, as the API wrote it."""
    task: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether another version answers than the desired one."""
        return self.desired == "running" and self.observed.version not in (None, self.version)


class LogPart(ApiModel):
    """The last lines of one process that serves; `pod` is None on one machine."""

    pod: str | None = None
    lines: tuple[str, ...] = ()


class DeploymentLog(ApiModel):
    """What the processes of a deployment logged last."""

    parts: tuple[LogPart, ...] = ()


class Unregistered(ApiModel):
    """A deployment of a Helm release that the API knows nothing about."""

    name: str
    storage_uri: str = ""
    state: str = "unknown"
    reason: str | None = None


class DeploymentPage(ApiModel):
    """One page of deployments; `next` is the cursor of the following one."""

    items: tuple[Deployment, ...]
    next: str | None = None
    unregistered: tuple[Unregistered, ...] = ()
    runtimes: tuple[str, ...] = ()


class Fault(ApiModel):
    """A typed error: a stable code and a text for people."""

    error: str = ""
    detail: str = ""


class Problem(ApiModel):
    """Why one row of a CSV was rejected; `line` counts as text editors do."""

    line: int
    column: str | None = None
    reason: str


class ImportReport(ApiModel):
    """What became of a CSV."""

    filename: str | None = None
    dry_run: bool = False
    accepted: int = 0
    unchanged: int = 0
    rejected: int = 0
    problems: tuple[Problem, ...] = ()
    experiments: tuple[str, ...] = ()


class Change(ApiModel):
    """What became of one row; a statement over many rows has only its kind, and `more` counts rows left out."""

    table: str = ""
    key: str = ""
    before: dict[str, JsonValue] = Field(default_factory=dict)
    after: dict[str, JsonValue] = Field(default_factory=dict)
    statement: str = ""
    more: int = 0


class AuditEntry(ApiModel):
    """One transaction that changed something: who, from where, by which request, and what."""

    id: int
    at: AwareDatetime
    subject: str
    kind: str
    role: str
    token_id: str | None = None
    route: str
    path: str
    changes: tuple[Change, ...] = ()
    address: str = ""
    request_id: str = ""


class AuditPage(ApiModel):
    """Entries, newest first; `rejected` counts requests by status since the API's process started."""

    items: tuple[AuditEntry, ...]
    next: str | None = None
    rejected: dict[str, int] = Field(default_factory=dict)


class Token(ApiModel):
    """An API token without its text; no `deployments` means all."""

    id: str
    name: str
    role: str
    deployments: tuple[str, ...] | None = None
    created_by: str = ""
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None


class IssuedToken(Token):
    """A token that was just issued, with its text `token`."""

    token: str


class TokenPage(ApiModel):
    """One page of tokens; `next` is the cursor of the following one."""

    items: tuple[Token, ...]
    next: str | None = None
