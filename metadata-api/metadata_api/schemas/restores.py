"""Bodies of the routes for restores."""

from datetime import datetime

from pydantic import BaseModel


class Restore(BaseModel):
    """The newest restore of the database, and whether it still waits to be confirmed."""

    dump: str
    restored_at: datetime
    pending: bool
    withheld: list[str]
    """What would be removed or changed if it was confirmed."""
    confirmed_at: datetime | None
    confirmed_by: str | None
