"""Settings of what is kept: where, how long, and how much of it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from metadata_api.settings.values import MEBIBYTE


class S3(BaseModel):
    """Where archives and inputs are kept when it is not a folder; in the environment as METADATA_API_S3_BUCKET, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(min_length=1)
    """Name of a bucket that exists."""
    prefix: str = "artifacts"
    """First part of every archive's key."""
    endpoint: str = ""
    """Address of the server; empty means AWS."""
    region: str = "us-east-1"
    """Region of the bucket; most other servers take any."""
    credentials_dir: Path | None = None
    """Folder with the files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without it the environment decides."""


class BackupBucket(S3):
    """A bucket outside, into which all objects are copied; in the environment as METADATA_API_BACKUP_BUCKET, ..."""

    prefix: str = "marina"
    """First part of every key."""

    @property
    def place(self) -> str:
        """Where the copies are, to tell one place from another."""
        return f"{self.endpoint.rstrip('/') or 's3:/'}/{self.bucket}/{self.prefix.strip('/')}"


class Retention(BaseModel):
    """How long and how much is kept; in the environment as METADATA_API_RETENTION_GRACE_SECONDS, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace_seconds: float = Field(24 * 3600.0, ge=0)
    """So long after nothing refers to stored bytes any more they are deleted; no backup may take longer."""
    interval_seconds: float = Field(600.0, gt=0)
    """From one round of deletions to the next."""
    predictions_days: int = Field(0, ge=0)
    """Age of the oldest predictions that are kept; 0 means any. Inputs go with the last prediction about
    them; what is labelled stays, whatever the limits are."""
    predictions_rows: int = Field(5_000_000, ge=0)
    """Most predictions that are kept; 0 means any number."""
    inputs_bytes: int = Field(0, ge=0)
    """Most bytes of inputs that are kept: beyond it the oldest go, with their predictions; 0 means any number."""
    imports_days: int = Field(365, ge=0)
    """Age of the oldest reports of imports."""
    imports_rows: int = Field(10_000, ge=0)
    """Most reports of imports."""
    events_days: int = Field(0, ge=0)
    """Age of the oldest events of deployments and aliases."""
    events_rows: int = Field(1_000_000, ge=0)
    """Most events of deployments, and of aliases."""
    audit_days: int = Field(0, ge=0)
    """Age of the oldest entries of the audit log; they are kept for ever unless this is set."""
    archives_bytes: int = Field(0, ge=0)
    """Quota of archives: an upload beyond it is rejected with 507; 0 means as many as the disk takes."""
    free_bytes: int = Field(256 * MEBIBYTE, ge=0)
    """Bytes of the store's disk that stay free: an upload that leaves less is rejected with 507."""
