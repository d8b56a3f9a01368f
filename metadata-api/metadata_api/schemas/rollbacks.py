"""What a roll back of a deployment would change."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class RollbackSide(BaseModel):
    """One of the two versions of a roll back."""

    version: int
    sha256: str
    task: str
    handler: str
    environment: str
    metrics: dict[str, Any] | None
    uploaded_by: str | None
    created_at: datetime


class RollbackPreview(BaseModel):
    """What a roll back would change; nothing is done."""

    deployment: str
    experiment: str
    current: RollbackSide
    """The version that is desired now."""
    previous: RollbackSide
    """The one that would be desired."""
    differs: list[str]
    """Fields of the two versions that differ: task, handler, environment, labels, inputs, outputs, archive_settings."""
    aliases_stale: list[str]
    """Aliases that point at the current version, which would not be served any more."""
    aliases_live: list[str]
    """Aliases that point at the previous version, which would be served again."""
