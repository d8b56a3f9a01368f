"""Bodies of the lineage of a prediction; what was not recorded, or is gone, is null and named in `gaps`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from metadata_api.schemas.aliases import AliasEvent


class AliasThere(BaseModel):
    """The alias that was asked."""

    name: str
    event: AliasEvent | None
    """The change that made it point to what answered: who decided it, why, and on what evidence."""


class DeploymentThere(BaseModel):
    """What was asked, and since when it was to serve this version."""

    name: str
    runtime: str | None
    desired_version: int | None
    since: datetime | None
    """Of the change that made the version the desired one; null when that is not kept."""
    change: str | None
    """That change: create, change or rollback."""
    present: bool
    """Whether there is a deployment of this name now, of this version or of another."""


class EnvironmentThere(BaseModel):
    """What the code of the archive could import."""

    name: str
    sha256_at_upload: str | None
    """Of its packages' names and versions, a line NAME==VERSION each."""
    sha256_now: str | None


class ExperimentThere(BaseModel):
    """The training run."""

    name: str
    display_name: str
    source: str
    parameters: dict[str, Any]
    tags: dict[str, Any]
    metrics: dict[str, Any]
    """The summary of each curve, as in the list of experiments."""
    created_at: datetime


class DataSet(BaseModel):
    """What was trained on, as the archive's training record says."""

    name: str | None
    sha256: str | None


class VersionThere(BaseModel):
    """The archive that answered."""

    experiment: str
    version: int | None
    mar_sha256: str | None
    present: bool
    """Whether it is still there, with what follows."""
    uploaded_sha256: str | None = None
    uploaded_by: str | None = None
    uploaded_from: str | None = None
    uploaded_at: datetime | None = None
    signed_by: str | None = None
    handler: str | None = None
    task: str | None = None
    inputs: list[dict[str, Any]] = []
    outputs: list[dict[str, Any]] = []
    labels: list[str] = []
    training_metrics: dict[str, Any] | None = None
    training_parameters: dict[str, Any] | None = None
    seed: int | None = None
    data_set: DataSet | None = None
    environment: EnvironmentThere | None = None


class InputThere(BaseModel):
    """What was asked about."""

    sha256: str
    kind: str
    url: str


class Lineage(BaseModel):
    """How one answer came about: from the alias that was asked back to the training run."""

    prediction_id: UUID
    created_at: datetime
    status: str
    input: InputThere
    alias: AliasThere | None
    """Null when the deployment was asked by its own name."""
    aliases_then: list[AliasEvent]
    """The change of each alias that pointed to the deployment at this version at the time."""
    deployment: DeploymentThere
    version: VersionThere
    experiment: ExperimentThere | None
    gaps: list[str]
    """What is not known, and why, as sentences."""
