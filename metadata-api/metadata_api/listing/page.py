"""Which experiments a page of a list has: their ids in order, and how many there are in all.

There are two ways, and both read index entries only: `gathering` where few fit, else `walking`.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from metadata_api.database import pages
from metadata_api.database.tables import Experiment
from metadata_api.listing.cursor import Place
from metadata_api.listing.gathering import gather
from metadata_api.listing.list_query import ListQuery
from metadata_api.listing.walking import walk

COUNTED: Final = 5000
"""So many experiments are counted exactly, of more only that there are more."""
# Sets of ids are held in memory, and compiling a query takes longer than running it.
_SETTINGS = text("select set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")


@dataclass(frozen=True)
class Found:
    """Places of the experiments of a page; how many there are in all, or at least."""

    places: list[Place]
    total: int
    is_exact: bool


def find(session: Session, wanted: ListQuery, last: Place | None, count: int) -> Found:
    """The first `count` experiments after a place."""
    session.execute(_SETTINGS)
    if wanted.has_all:
        total = pages.counted(session, select(Experiment.id), COUNTED)
    else:
        total, places = gather(session, wanted, last, count, COUNTED)
        if total <= COUNTED:
            return Found(places, total, is_exact=True)
    places = walk(session, wanted, last, count)
    return Found(places, min(total, COUNTED), is_exact=total <= COUNTED)
