"""Bodies of the routes for versions."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class Tensor(BaseModel):
    """One input or output of a model, as its `model.yaml` states it; -1 in a shape is the batch."""

    name: str
    datatype: str
    shape: list[int]
    accepts: list[str] = []


class ArchiveSettings(BaseModel):
    """What an archive's configuration file (`--config-file`) asks for; null where it says nothing."""

    batch_size: int | None = None
    """Most rows of concurrent requests in one call."""
    batch_delay_seconds: float | None = None
    """How long a request waits for others."""
    startup_seconds: float | None = None
    response_seconds: float | None = None
    not_honoured: list[str] = []
    """What has no effect here, and why."""


class Version(BaseModel):
    """One immutable `.mar` of an experiment."""

    experiment: str
    version: int
    sha256: str
    """Of the canonical archive that is stored and served."""
    uploaded_sha256: str
    """Of the bytes as they were first uploaded."""
    uploaded_by: str | None
    """The caller that uploaded them first, as its credential proved it; null where it was not recorded."""
    uploaded_from: str | None
    """The address that they came from."""
    signed_by: str | None
    """Name of the trusted key that signed the bytes as they were uploaded; null without a signature."""
    signing_key_sha256: str | None
    """sha256 of that public key's PEM, by which signatures name it."""
    size: int
    inputs: list[Tensor]
    outputs: list[Tensor]
    labels: list[str]
    handler: str
    files: list[str]
    metrics: dict[str, Any] | None
    archive_settings: ArchiveSettings | None
    """Defaults that the archive brings for its deployments; null when it has no configuration file."""
    created_at: datetime
    download: str
    """Path of the archive on this API."""


class VersionPage(BaseModel):
    """Versions of one experiment, newest first."""

    items: list[Version]
    total: int
    next: str | None
