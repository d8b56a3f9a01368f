"""What the API says of the lineage of an answer, as its page shows it; unknown fields are ignored."""

from datetime import datetime

from pydantic import Field, JsonValue

from model_ui.evidence_types import Policy, ReplayOfBoth, Rule, Side
from model_ui.spec_types import ApiModel

Values = dict[str, JsonValue]


class Decision(ApiModel):
    """The evidence that a promotion was decided by, as it was stored with the move."""

    forced: bool = False
    task: str = ""
    champion: Side | None = None
    candidate: Side | None = None
    policy: Policy | None = None
    labels: int = 0
    wins: int = 0
    losses: int = 0
    ties: int = 0
    log_e: float | None = None
    log_threshold: float | None = None
    rules: tuple[Rule, ...] = ()
    replay: ReplayOfBoth | None = None


class Move(ApiModel):
    """A change of an alias, and where it pointed from then on."""

    at: datetime
    kind: str
    deployment: str
    experiment: str | None = None
    version: int
    mar_sha256: str | None = None
    actor: str = ""
    reason: str = ""
    evidence: Decision | None = None


class AliasThere(ApiModel):
    """The alias that was asked."""

    name: str
    event: Move | None = None


class DeploymentThere(ApiModel):
    """What was asked, and since when it was to serve this version."""

    name: str
    runtime: str | None = None
    desired_version: int | None = None
    since: datetime | None = None
    change: str | None = None
    present: bool = True


class EnvironmentThere(ApiModel):
    """What the code could import: the digests of its packages at the upload and now."""

    name: str
    sha256_at_upload: str | None = None
    sha256_now: str | None = None


class DataSet(ApiModel):
    """What was trained on."""

    name: str | None = None
    sha256: str | None = None


class VersionThere(ApiModel):
    """The archive that answered."""

    experiment: str
    version: int | None = None
    mar_sha256: str | None = None
    present: bool = True
    uploaded_sha256: str | None = None
    uploaded_by: str | None = None
    uploaded_from: str | None = None
    uploaded_at: datetime | None = None
    signed_by: str | None = None
    handler: str | None = None
    task: str | None = None
    inputs: tuple[Values, ...] = ()
    outputs: tuple[Values, ...] = ()
    labels: tuple[str, ...] = ()
    training_metrics: Values | None = None
    training_parameters: Values | None = None
    seed: int | None = None
    data_set: DataSet | None = None
    environment: EnvironmentThere | None = None


class CurveThere(ApiModel):
    """What a curve came to."""

    final: float | None = None
    best: float | None = None
    best_step: float | None = None
    points: int = 0


class ExperimentThere(ApiModel):
    """The training run."""

    name: str
    display_name: str = ""
    source: str = ""
    parameters: Values = Field(default_factory=dict)
    tags: Values = Field(default_factory=dict)
    metrics: dict[str, CurveThere] = Field(default_factory=dict)
    created_at: datetime | None = None


class InputThere(ApiModel):
    """What was asked about."""

    sha256: str
    kind: str


class Lineage(ApiModel):
    """How one answer came about; `gaps` says in sentences what is not known."""

    prediction_id: str
    created_at: datetime
    status: str = ""
    input: InputThere
    alias: AliasThere | None = None
    aliases_then: tuple[Move, ...] = ()
    deployment: DeploymentThere
    version: VersionThere
    experiment: ExperimentThere | None = None
    gaps: tuple[str, ...] = ()
