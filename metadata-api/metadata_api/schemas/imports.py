"""Reports of imports."""

from datetime import datetime

from pydantic import BaseModel


class Problem(BaseModel):
    """A row that was left out: the line on which it starts, the column if one is to blame, and the reason."""

    line: int
    column: str | None
    reason: str


class ImportReport(BaseModel):
    """What an import did, or with `dry_run` would have done; the first 1,000 problems and 100 names are listed."""

    id: int | None
    filename: str
    dry_run: bool
    accepted: int
    unchanged: int
    rejected: int
    problems: list[Problem]
    experiments: list[str]
    created_at: datetime | None


class ImportPage(BaseModel):
    """Reports, newest first."""

    items: list[ImportReport]
    total: int
    next: str | None
