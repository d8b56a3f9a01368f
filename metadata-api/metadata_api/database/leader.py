"""Which of several replicas leads: it reconciles, collects and checks, and the others only look.

The leader holds an advisory lock in an open transaction of a connection of its own; it loses the one with the other. In
a transaction, because a pooler in transaction mode gives a session's lock to whoever comes next. Postgres ends a
transaction that nothing is asked in, so that a replica that is stopped or cut off does not lead for ever.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

ADVISORY_LOCK = 7_303_014_482
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lease:
    """All in seconds. A leader stops believing that it leads before Postgres gives the lock to another."""

    beat: float = 1.0
    """From one sign of life to the next; those that do not lead try as often."""
    believed: float = 7.0
    """So long after the start of its last good beat a leader takes itself for one."""
    idle: float = 10.0
    """So long after the last beat Postgres ends the transaction."""


DEFAULT = Lease()


class Leader:
    """This replica's part in it; `run` tries to lead, and goes on leading, until it is cancelled.

    Args:
        engine: where the connection comes from; it is taken out of the pool.
    """

    def __init__(self, engine: Engine, lease: Lease = DEFAULT) -> None:
        self.began: Callable[[], None] = lambda: None
        """Called when this replica begins to lead."""
        self._engine = engine
        self._lease = lease
        self._connection: Connection | None = None
        self._until = 0.0

    def leads(self) -> bool:
        """Whether nobody else can lead now; cheap, to be asked before every write."""
        return time.monotonic() < self._until

    async def run(self) -> None:
        """Try to lead, and go on leading, until cancelled."""
        # One thread, because a connection serves one at a time, also when a beat is cancelled.
        with ThreadPoolExecutor(1, "leader") as thread:
            try:
                while True:
                    await self._beat(thread)
                    await asyncio.sleep(self._lease.beat)
            finally:
                self._until = 0.0
                thread.submit(self._close)

    async def _beat(self, thread: ThreadPoolExecutor) -> None:
        before, led = time.monotonic(), self.leads()
        loop = asyncio.get_running_loop()
        try:
            held = await loop.run_in_executor(thread, self._hold)
        except Exception as error:
            # Whatever went wrong, the next beat may do better: without this task nobody leads.
            held = False
            if led:
                log.warning("this replica leads no more: %s", str(error).splitlines()[0])
            await loop.run_in_executor(thread, self._close)
        self._until = before + self._lease.believed if held else 0.0
        if held and not led:
            self.began()

    def _hold(self) -> bool:
        """Ask something in the transaction that holds the lock; without one, try to get it."""
        if self._connection is not None:
            self._connection.execute(text("select 1"))
            return True
        connection = self._engine.connect()
        try:
            connection.detach()
            idle = f"set local idle_in_transaction_session_timeout = {round(self._lease.idle * 1000)}"
            connection.execute(text(idle))
            got = connection.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        except BaseException:
            connection.close()
            raise
        if not got:
            connection.close()
            return False
        self._connection = connection
        return True

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except SQLAlchemyError:
                log.debug("the connection of the leader was gone already")
