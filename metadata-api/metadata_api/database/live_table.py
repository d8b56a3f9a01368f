"""Something read from the database that is kept current in memory, for requests that must not wait for a query.

It follows a change by this process at once, and any other within half a second: it polls instead of using LISTEN,
which no connection pooler in transaction mode passes on. While the database is away the last reading stays, so that v2
goes on.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import ORMExecuteState, Session

from metadata_api.database.session import Base, Sessions
from metadata_api.errors import Unavailable

INTERVAL_SECONDS = 0.5
# A request that follows a change of its own client waits this long for the new table, then takes the old one.
FRESH_SECONDS = 0.25

T = TypeVar("T")
log = logging.getLogger(__name__)


class LiveTable(Generic[T]):
    """The newest reading that there could be; `run` keeps it so.

    Args:
        what: in words, for the log and for an error before the first reading.
        read: makes the reading, which nobody changes.
        tables: those that it is made from.
        fresh_seconds: how long a request waits for a change by this process, before it takes the last reading.
    """

    def __init__(
        self,
        sessions: Sessions,
        what: str,
        read: Callable[[Session], T],
        tables: tuple[type[Base], ...],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._sessions = sessions
        self._what = what
        self._read_session = read
        self._interval = interval_seconds
        self._fresh_seconds = fresh_seconds
        self._table: T | None = None
        self._commits = 0
        """Changes of this process that were committed, counted in whichever thread committed."""
        self._read_commits = -1
        """How many of them the table holds at least."""
        self._overdue = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stale = asyncio.Event()
        self._refreshed = asyncio.Condition()
        _listen(sessions, tables, self._committed)

    async def run(self) -> None:
        """Read the table again and again, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._stale.clear()
            await self._refresh()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stale.wait(), self._interval)

    async def current(self) -> T:
        """The table with every change in it that this process committed before; raises Unavailable without one.

        When the database does not answer in time, the last table that there was.
        """
        if self._read_commits < self._commits and not self._overdue:
            await self._wait_for(self._commits)
        if self._table is None:
            raise Unavailable(
                "database_unavailable",
                f"The {self._what} are not known yet: the database does not answer. Try again.",
            )
        return self._table

    @property
    def last(self) -> T | None:
        """The last reading, however old; None before the first."""
        return self._table

    async def _wait_for(self, commits: int) -> None:
        try:
            async with asyncio.timeout(self._fresh_seconds), self._refreshed:
                await self._refreshed.wait_for(lambda: self._read_commits >= commits)
        except TimeoutError:
            # Whoever comes next does not wait for the same database once more.
            self._overdue = True

    async def _refresh(self) -> None:
        commits = self._commits
        try:
            self._table = await asyncio.to_thread(self._read)
        except (SQLAlchemyError, OSError) as error:
            if not self._overdue:
                log.warning("the %s are not refreshed: %s", self._what, str(error).splitlines()[0])
            self._overdue = True
            return
        self._overdue = False
        async with self._refreshed:
            self._read_commits = commits
            self._refreshed.notify_all()

    def _read(self) -> T:
        with self._sessions() as session:
            return self._read_session(session)

    def _committed(self) -> None:
        """Called by whichever thread committed."""
        self._commits += 1
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stale.set)


def _listen(sessions: Sessions, tables: tuple[type[Base], ...], committed: Callable[[], None]) -> None:
    """Call `committed` after each commit that changed a row of `tables`."""
    # In a session's own notes, under a name of this listener alone.
    changed = object()

    def flushed(session: Session, _context: object) -> None:
        if any(isinstance(row, tables) for row in chain(session.new, session.dirty, session.deleted)):
            session.info[changed] = True

    def executed(state: ORMExecuteState) -> None:
        mapper = state.bind_mapper
        if not state.is_select and mapper is not None and mapper.class_ in tables:
            state.session.info[changed] = True

    def commit(session: Session) -> None:
        if session.info.pop(changed, False):
            committed()

    def rollback(session: Session) -> None:
        session.info.pop(changed, None)

    event.listen(sessions, "after_flush", flushed)
    event.listen(sessions, "do_orm_execute", executed)
    event.listen(sessions, "after_commit", commit)
    event.listen(sessions, "after_rollback", rollback)
