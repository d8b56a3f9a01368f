"""Reports of imports."""

from datetime import datetime

from pydantic import BaseModel, computed_field

NAMED_LINES = 10


class Problem(BaseModel):
    """A row that was left out: the line on which it starts, the column if one is to blame, and the reason."""

    line: int
    column: str | None
    reason: str


class RejectedFor(BaseModel):
    """How many of the listed problems have one reason, and the lines where the first of them start."""

    column: str | None
    reason: str
    count: int
    lines: list[int]


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

    @computed_field
    def reasons(self) -> list[RejectedFor]:
        """The listed problems by column and reason, the most frequent first."""
        groups: dict[tuple[str | None, str], list[int]] = {}
        for problem in self.problems:
            groups.setdefault((problem.column, problem.reason), []).append(problem.line)
        found = [
            RejectedFor(column=column, reason=reason, count=len(lines), lines=lines[:NAMED_LINES])
            for (column, reason), lines in groups.items()
        ]
        return sorted(found, key=lambda one: -one.count)

    def readable(self, *, listed: int) -> str:
        """The report for people, a line for each of at most `listed` problems; for the command lines."""
        head = f"{self.accepted} imported, {self.unchanged} unchanged, {self.rejected} rejected"
        if self.dry_run:
            head += " (dry run: nothing was stored)"
        lines = [
            f"line {problem.line}{f', {problem.column}' if problem.column else ''}: {problem.reason}"
            for problem in self.problems[:listed]
        ]
        if self.rejected > len(lines):
            lines.append(f"... and {self.rejected - len(lines)} more")
        return "\n".join([head, *lines]) + "\n"


class ImportPage(BaseModel):
    """Reports, newest first."""

    items: list[ImportReport]
    total: int
    next: str | None
