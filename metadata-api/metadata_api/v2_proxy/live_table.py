"""Keeps the route table current: at once after a change by this process, and within half a second after any other.

It polls instead of using LISTEN, which no connection pooler in transaction mode passes on. While the database is away
the last table stays, so that v2 goes on.
"""

import asyncio
import logging
from contextlib import suppress
from itertools import chain
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import ORMExecuteState, Session

from metadata_api.database.session import Sessions
from metadata_api.database.tables import Alias, Deployment
from metadata_api.errors import Unavailable
from metadata_api.v2_proxy import route_table
from metadata_api.v2_proxy.route_table import RouteTable

INTERVAL_SECONDS = 0.5
# A request that follows a change of its own client waits this long for the new table, then takes the old one.
FRESH_SECONDS = 0.25
_CHANGED = "route_table_changed"
_TABLES = (Deployment, Alias)

log = logging.getLogger(__name__)


class LiveRouteTable:
    """The newest table that could be read; `run` keeps it so."""

    def __init__(self, sessions: Sessions, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._sessions = sessions
        self._interval = interval_seconds
        self._table: RouteTable | None = None
        self._commits = 0
        """Changes of this process that were committed, counted in whichever thread committed."""
        self._read_commits = -1
        """How many of them the table holds at least."""
        self._overdue = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stale = asyncio.Event()
        self._refreshed = asyncio.Condition()
        _listen(sessions, self._committed)

    async def run(self) -> None:
        """Read the table again and again, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._stale.clear()
            await self._refresh()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stale.wait(), self._interval)

    async def current(self) -> RouteTable:
        """The table with every change in it that this process committed before; raises Unavailable without one.

        When the database does not answer in time, the last table that there was.
        """
        if self._read_commits < self._commits and not self._overdue:
            await self._wait_for(self._commits)
        if self._table is None:
            raise Unavailable(
                "database_unavailable",
                "The models are not known yet: the database does not answer. Try again.",
            )
        return self._table

    async def _wait_for(self, commits: int) -> None:
        try:
            async with asyncio.timeout(FRESH_SECONDS), self._refreshed:
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
                log.warning("the route table is not refreshed: %s", str(error).splitlines()[0])
            self._overdue = True
            return
        self._overdue = False
        async with self._refreshed:
            self._read_commits = commits
            self._refreshed.notify_all()

    def _read(self) -> RouteTable:
        with self._sessions() as session:
            return route_table.read(session)

    def _committed(self) -> None:
        """Called by whichever thread committed."""
        self._commits += 1
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stale.set)


def _listen(sessions: Sessions, committed: Any) -> None:
    """Call `committed` after each commit that changed a deployment or an alias."""

    def flushed(session: Session, _context: object) -> None:
        if any(isinstance(row, _TABLES) for row in chain(session.new, session.dirty, session.deleted)):
            session.info[_CHANGED] = True

    def executed(state: ORMExecuteState) -> None:
        mapper = state.bind_mapper
        if not state.is_select and mapper is not None and mapper.class_ in _TABLES:
            state.session.info[_CHANGED] = True

    def commit(session: Session) -> None:
        if session.info.pop(_CHANGED, False):
            committed()

    def rollback(session: Session) -> None:
        session.info.pop(_CHANGED, None)

    event.listen(sessions, "after_flush", flushed)
    event.listen(sessions, "do_orm_execute", executed)
    event.listen(sessions, "after_commit", commit)
    event.listen(sessions, "after_rollback", rollback)
