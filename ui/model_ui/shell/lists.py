"""Lists that the API pages by cursors: the way to the next page, and back; used by the pages that list something."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_ui.shell.visit import Visit

# The cursors of the pages before are in the address, so that Back and `Before` both work.
TRAIL = "trail"
FIRST = "-"
MOST = 20


@dataclass(frozen=True)
class Pager:
    """Addresses of the pages before and after this one; None where there is none."""

    newer: str | None
    older: str | None


def page_query(visit: "Visit", rows: int, **wanted: str) -> dict[str, str]:
    """The query of the API for the page of a list that is asked for; what is empty is left out."""
    found = {**wanted, "cursor": visit.query("cursor")}
    return {"limit": str(rows), **{name: value for name, value in found.items() if value}}


def pager(visit: "Visit", following: str | None) -> Pager:
    """For a page of a list; `following` is the cursor of what follows, from the API's answer."""
    here, trail = visit.query("cursor"), visit.names(TRAIL)
    newer = None
    if here:
        before = trail[-1] if trail else FIRST
        cursor = None if before == FIRST else before
        newer = visit.with_query(cursor=cursor, **{TRAIL: trail[:-1] or None})
    older = None
    if following is not None:
        kept = [*trail, here or FIRST][-MOST:]
        older = visit.with_query(cursor=following, **{TRAIL: kept})
    return Pager(newer, older)
