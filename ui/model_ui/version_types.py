"""What the metadata API says of versions and imports, as their pages show it; unknown fields are ignored."""

from datetime import datetime

from model_ui.api_types import ImportReport
from model_ui.spec_types import ApiModel, Version


class ListedVersion(Version):
    """A version with the deployments that serve it."""

    uploaded_sha256: str = ""
    uploaded_from: str | None = None
    deployments: tuple[str, ...] = ()


class VersionList(ApiModel):
    """A page of versions, newest first."""

    items: tuple[ListedVersion, ...]
    total: int = 0
    next: str | None = None


class RejectedFor(ApiModel):
    """How many rows were left out for one reason, and the lines where the first of them start."""

    column: str | None = None
    reason: str
    count: int
    lines: tuple[int, ...] = ()


class Import(ImportReport):
    """The report of one import, with its number."""

    id: int | None = None
    reasons: tuple[RejectedFor, ...] = ()
    created_at: datetime | None = None


class ImportPage(ApiModel):
    """Reports, newest first."""

    items: tuple[Import, ...]
    total: int = 0
    next: str | None = None
