"""The pool of connections to the database; `session.connect` makes the engine with it."""

import psycopg2
from sqlalchemy.pool import QueuePool
from sqlalchemy.pool.base import ConnectionPoolEntry
from sqlalchemy.util.queue import Empty

# What Postgres and poolers say instead of taking one more connection: the code, or words where there is no code.
_TOO_MANY = ("53300", "too many", "no more connections", "remaining connection slots")


class SharedPool(QueuePool):
    """Where the server gives fewer connections than the pool may have, those that there are have to do.

    Otherwise a request would fail for the one connection too many, though another is free in a moment.
    """

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            return super()._do_get()
        except psycopg2.OperationalError as error:
            if not self.checkedout() or not any(words in f"{error.pgcode} {error}" for words in _TOO_MANY):
                raise
            try:
                return self._pool.get(True, self._timeout)
            except Empty:
                raise error from None
