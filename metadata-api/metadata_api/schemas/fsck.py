"""Bodies of the routes for checks of the store."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from metadata_api.schemas.fields import Body


class NewStoreCheck(Body):
    """Whether what is missing or damaged shall be replaced from the copy of the store."""

    repair: bool = False


class Finding(BaseModel):
    """An object that a row needs and that is `missing` or `damaged`, or one that is `unknown` to the database.

    Unknown is what rows needed that a restored database has lost, or another installation's. It is never deleted.
    """

    kind: str
    sha256: str
    problem: str
    repaired: bool = False
    used_by: list[str] = []


class StoreCheck(BaseModel):
    """One check, how far it is and what it found; of problems and of unknown objects the first 1000 each are listed."""

    id: int
    state: Literal["requested", "running", "finished", "failed"]
    repair: bool
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    objects: int
    """How many objects rows needed when it began."""
    checked: int
    checked_bytes: int
    missing: int
    damaged: int
    repaired: int
    unreferenced: int
    """Objects that no row needs: those that the database knows are deleted after the grace time."""
    findings: list[Finding]
    error: str | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, however."""
        return self.state in ("finished", "failed")

    @property
    def is_clean(self) -> bool:
        """Whether every row has its bytes now."""
        return self.state == "finished" and self.missing + self.damaged == self.repaired

    def readable(self) -> str:
        """The check for people, with a line for each finding; for the command line."""
        lines = [
            f"{self.checked} of {self.objects} objects checked, {self.checked_bytes:,} bytes: "
            f"{self.missing} missing, {self.damaged} damaged, {self.repaired} repaired, "
            f"{self.unreferenced} that nothing refers to"
        ]
        for one in self.findings:
            mended = ", repaired" if one.repaired else ""
            why = ", ".join(one.used_by) or "no row needs it"
            lines.append(f"{one.kind} {one.sha256} {one.problem}{mended}: {why}")
        if self.error:
            lines.append(f"the check failed: {self.error}")
        return "\n".join(lines) + "\n"
