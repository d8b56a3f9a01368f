"""The tables of what models are: experiments, versions, deployments, aliases; imports. Predictions are beside them."""

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from metadata_api.database import columns
from metadata_api.database.columns import Json
from metadata_api.database.session import Base
from serving_runtime.contracts import DEPLOYMENT_STATES, NAME_PATTERN, RUNTIMES

EXPERIMENT_STATES = ("running", "finished", "failed", "stopped")


class Experiment(Base):
    """One named training effort: free-form parameters, tags and the summary of its curves."""

    __tablename__ = "experiments"

    id: Mapped[int] = columns.identity()
    name: Mapped[str] = mapped_column(Text, unique=True)
    display_name: Mapped[str] = mapped_column(Text, index=True)
    description: Mapped[str] = mapped_column(Text, server_default="")
    parameters: Mapped[Json] = columns.document()
    tags: Mapped[Json] = columns.document()
    metrics: Mapped[Json] = columns.document()
    """Per metric {direction, final, final_step, best, best_step, points}: lists need no look at the curves."""
    directions: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """Per metric min or max, where the experiment says which is better."""
    key_metric: Mapped[str | None] = mapped_column(Text)
    """The metric that this experiment is judged by, where it says so."""
    source: Mapped[str] = mapped_column(Text, server_default="api")
    content_hash: Mapped[str | None] = mapped_column(Text, index=True)
    """sha256 of what was imported, so that importing the same row again changes nothing."""
    state: Mapped[str] = mapped_column(Text, server_default="finished")
    notes: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime] = columns.now()
    updated_at: Mapped[datetime] = columns.now()
    """When somebody edited it last; it grows with every edit. Points are no edit."""
    points_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When points were appended last; it grows with every append that changes a curve."""
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its state was set to one that is not running; null while it runs, and where nobody saw it run."""

    __table_args__ = (
        CheckConstraint(f"name ~ '{NAME_PATTERN}'", name="name"),
        CheckConstraint(f"state in {EXPERIMENT_STATES!r}", name="state"),
        CheckConstraint("source in ('api', 'import', 'starter')", name="source"),
        Index("ix_experiments_created_at_id", "created_at", "id"),
    )


class MetricPoints(Base):
    """A chunk: up to 32 consecutive points of one curve, with the first, last, minimum and maximum beside them.

    Chunks make 100 curves of 10,000 points 31,300 rows instead of a million: a long curve is
    downsampled by reading the four named points of each chunk, without touching the arrays. No two chunks of a curve
    overlap, so their first steps put them in order.
    """

    __tablename__ = "metric_points"

    experiment_id: Mapped[int] = mapped_column(
        ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True
    )
    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    first_step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    points: Mapped[int]
    non_finite: Mapped[int]
    """How many of the points are NaN or infinite; these are neither minimum nor maximum."""
    first_value: Mapped[float] = mapped_column(Double)
    first_time: Mapped[float | None] = mapped_column(Double)
    last_step: Mapped[int] = mapped_column(BigInteger)
    last_value: Mapped[float] = mapped_column(Double)
    last_time: Mapped[float | None] = mapped_column(Double)
    min_step: Mapped[int | None] = mapped_column(BigInteger)
    min_value: Mapped[float | None] = mapped_column(Double)
    min_time: Mapped[float | None] = mapped_column(Double)
    max_step: Mapped[int | None] = mapped_column(BigInteger)
    max_value: Mapped[float | None] = mapped_column(Double)
    max_time: Mapped[float | None] = mapped_column(Double)
    steps: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    values: Mapped[list[float]] = mapped_column(ARRAY(Double))
    times: Mapped[list[float | None] | None] = mapped_column(ARRAY(Double))
    """Seconds since 1970 of each point, null for one without; null where no point has one."""


class ModelVersion(Base):
    """One immutable `.mar` of an experiment, numbered 1, 2, ... within it."""

    __tablename__ = "model_versions"

    id: Mapped[int] = columns.identity()
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id", ondelete="RESTRICT"))
    number: Mapped[int]
    sha256: Mapped[str] = mapped_column(Text)
    """Of the canonical archive in the store, checked at every start of a model."""
    uploaded_sha256: Mapped[str] = mapped_column(Text)
    """Of the bytes as they were uploaded."""
    uploaded_by: Mapped[str | None] = mapped_column(Text)
    """The verified subject that uploaded them first; null for versions from before this was recorded."""
    uploaded_from: Mapped[str | None] = mapped_column(Text)
    """Its address."""
    signed_by: Mapped[str | None] = mapped_column(Text)
    """Name of the trusted key that signed the uploaded bytes; null without a signature."""
    signing_key_sha256: Mapped[str | None] = mapped_column(Text)
    """sha256 of the PEM of that public key."""
    size: Mapped[int] = mapped_column(BigInteger)
    handler: Mapped[str] = mapped_column(Text)
    files: Mapped[list[str]] = mapped_column(JSONB)
    inputs: Mapped[list[Json]] = mapped_column(JSONB)
    outputs: Mapped[list[Json]] = mapped_column(JSONB)
    """`tensor_kinds.as_document` of each; rows from before there were kinds have none, and they are derived."""
    labels: Mapped[list[str]] = mapped_column(JSONB)
    task: Mapped[str | None] = mapped_column(Text)
    """What the model spec says, else derived from what is taken and given. The newest one is the experiment's."""
    environment: Mapped[str | None] = mapped_column(Text)
    """Which environment the model runs in; null means the base environment."""
    environment_sha256: Mapped[str | None] = mapped_column(Text)
    """Of its packages' names and versions when the archive was uploaded; null from before it was recorded."""
    metrics: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """The metrics of training.json, beside it because the whole of it is large."""
    golden: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True), deferred=True)
    training: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True), deferred=True)
    """The archive's training.json: parameters, seed, metrics, data set, so that an answer leads to its run."""
    archive_settings: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """What the archive's configuration file asks for and what of it has no effect; null without such a file."""
    created_at: Mapped[datetime] = columns.now()

    __table_args__ = (
        UniqueConstraint("experiment_id", "number"),
        UniqueConstraint("experiment_id", "sha256"),
        Index("ix_model_versions_sha256", "sha256"),
    )


class Deployment(Base):
    """An experiment being served: desired and last observed state."""

    __tablename__ = "deployments"

    id: Mapped[int] = columns.identity()
    name: Mapped[str] = mapped_column(Text, unique=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id", ondelete="RESTRICT"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id", ondelete="RESTRICT"))
    previous_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_versions.id", ondelete="RESTRICT")
    )
    runtime: Mapped[str] = mapped_column(Text)
    replicas: Mapped[int]
    resources: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """{cpu, memory} of each pod, each a quantity or null; null means the installation's default."""
    startup_seconds: Mapped[int | None]
    """Longest time to load the model; null means the installation's default."""
    response_seconds: Mapped[int | None]
    """Longest time to answer a request; null means the installation's default."""
    batch_size: Mapped[int | None]
    """Most rows of concurrent requests in one call; null means what the archive asks for, or the default."""
    batch_delay_ms: Mapped[int | None]
    """How long a request waits for others to share its call; null as above."""
    recording: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """{rate, answers, retention_days} of what is recorded of its v2 traffic; null means nothing."""
    owner: Mapped[str] = mapped_column(Text, server_default="api")
    """Who may change it: requests to this API, or the values of a Helm release."""
    desired: Mapped[str] = mapped_column(Text)
    observed_state: Mapped[str] = mapped_column(Text, server_default="pending")
    observed_version: Mapped[int | None]
    observed_reason: Mapped[str | None] = mapped_column(Text)
    observed_containment: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """What its server reports of the worker's containment; null means that it is off, or not known."""
    observed_at: Mapped[datetime] = columns.now()
    created_at: Mapped[datetime] = columns.now()
    updated_at: Mapped[datetime] = columns.now()

    __table_args__ = (
        CheckConstraint(f"name ~ '{NAME_PATTERN}'", name="name"),
        CheckConstraint("desired in ('running', 'stopped')", name="desired"),
        CheckConstraint(f"runtime in {RUNTIMES!r}", name="runtime"),
        CheckConstraint("owner in ('api', 'helm')", name="owner"),
        CheckConstraint("replicas >= 0", name="replicas"),
        CheckConstraint("startup_seconds > 0", name="startup_seconds"),
        CheckConstraint("response_seconds > 0", name="response_seconds"),
        CheckConstraint("batch_size > 0", name="batch_size"),
        CheckConstraint("batch_delay_ms >= 0", name="batch_delay_ms"),
        CheckConstraint(f"observed_state in {DEPLOYMENT_STATES!r}", name="observed_state"),
    )


class DeploymentEvent(Base):
    """One change of a deployment's desired or observed state; kept after the deployment is gone."""

    __tablename__ = "deployment_events"

    id: Mapped[int] = columns.identity()
    deployment: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = columns.now()
    kind: Mapped[str] = mapped_column(Text)
    version: Mapped[int | None]
    detail: Mapped[str] = mapped_column(Text, server_default="")
    actor: Mapped[str] = mapped_column(Text, server_default="")
    """The verified caller; empty for what happened by itself."""
    reason: Mapped[str] = mapped_column(Text, server_default="")

    __table_args__ = (Index("ix_deployment_events_deployment_id", "deployment", "id"),)


class Alias(Base):
    """A name like `champion` that points at a deployment and a version."""

    __tablename__ = "aliases"

    id: Mapped[int] = columns.identity()
    name: Mapped[str] = mapped_column(Text, unique=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id", ondelete="RESTRICT"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id", ondelete="RESTRICT"), index=True)
    created_at: Mapped[datetime] = columns.now()
    updated_at: Mapped[datetime] = columns.now()

    __table_args__ = (CheckConstraint(f"name ~ '{NAME_PATTERN}'", name="name"),)


class AliasEvent(Base):
    """One change of an alias: who, when, why; rows are only ever added, and kept after the alias is gone."""

    __tablename__ = "alias_events"

    id: Mapped[int] = columns.identity()
    alias: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = columns.now()
    kind: Mapped[str] = mapped_column(Text, server_default="move")
    deployment: Mapped[str] = mapped_column(Text)
    experiment: Mapped[str | None] = mapped_column(Text)
    """Of the version, as `mar_sha256`; null in events from before they were recorded."""
    version: Mapped[int]
    mar_sha256: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text, server_default="")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    evidence: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """What a promotion was decided by, with the policy that it was judged by."""

    __table_args__ = (Index("ix_alias_events_alias_id", "alias", "id"),)


class Import(Base):
    """The report of one import of experiments."""

    __tablename__ = "imports"

    id: Mapped[int] = columns.identity()
    filename: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    accepted: Mapped[int]
    unchanged: Mapped[int]
    rejected: Mapped[int]
    problems: Mapped[list[Json]] = mapped_column(JSONB)
    experiments: Mapped[list[str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = columns.now()
