"""Bring the database to the newest schema, for `python -m metadata_api.migrate`; the API only checks."""

import logging
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from metadata_api.database.rejections import rejection, require_texts
from metadata_api.database.session import deadline
from metadata_api.errors import Unavailable

ADVISORY_LOCK = 7_303_014_481
LOCK_SECONDS = 120
SCRIPTS = Path(__file__).parent / "migrations"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableLocks:
    """How a migration waits for a table that others use: every request to the table queues behind it meanwhile."""

    timeout_ms: int = 2000
    """For one lock; then the migration gives way."""
    attempts: int = 15
    pause_seconds: float = 2.0
    """Between two attempts, for the requests that queued."""


def upgrade(engine: Engine, revision: str = "head", locks: TableLocks = TableLocks()) -> None:
    """Migrate under an advisory lock: of several that start at once, one works and the others wait.

    Each migration is a transaction that holds the lock, and nothing belongs to a session: a pooler may be in between.
    Raises Unavailable when a table stays locked through all attempts or the database is not set up for us, and
    sqlalchemy.exc.OperationalError when it is away or the advisory lock is held for two minutes.
    """
    with deadline(LOCK_SECONDS), engine.connect() as connection:
        require_texts(connection)
        connection.rollback()  # every migration begins a transaction of its own
        for attempt in range(1, locks.attempts + 1):
            try:
                while _take_step(connection, revision, locks):
                    pass
                return
            except OperationalError as error:
                # The migrations before this one are done.
                if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
                    raise
            except DBAPIError as error:
                raise rejection(error) or error from error
            log.info("a table is locked by another transaction: attempt %d of %d", attempt, locks.attempts)
            if attempt < locks.attempts:
                time.sleep(locks.pause_seconds)
    raise Unavailable(
        "schema_locked",
        f"A migration got no lock on a table in {locks.attempts} attempts. End the transaction that holds it (the view "
        "pg_locks names it), and run the migrations again.",
    )


def _take_step(connection: Connection, target: str, locks: TableLocks) -> bool:
    """Run the next migration on the way to `target`; False when there is none."""
    with connection.begin():
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        # Only now: the wait for the advisory lock is a long one, and holds up no request.
        connection.execute(text(f"set local lock_timeout = {locks.timeout_ms}"))
        following = _following(MigrationContext.configure(connection).get_current_revision(), target)
        if following is None:
            return False
        command.upgrade(_config(connection), following)
    return True


def _following(current: str | None, target: str) -> str | None:
    """The migration after `current`, up to `target`; None at its end, and for a database of a newer release."""
    order, head = _revisions()
    place = order.index(head if target == "head" else target)
    if current is None:
        return order[0]
    reached = order.index(current) if current in order else place
    return order[reached + 1] if reached < place else None


def wait_for_database(engine: Engine, seconds: float) -> None:
    """Return once the database answers; its reasons not to are logged. Raises Unavailable after `seconds`.

    On Kubernetes the database starts beside us, and a crash for that alone would look like a fault.
    """
    end, told = time.monotonic() + seconds, ""
    while True:
        try:
            with engine.connect():
                return
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
        if time.monotonic() > end:
            raise Unavailable(
                "database_unavailable", f"The database did not answer within {seconds:.0f} s: {reason}"
            )
        if reason != told:
            log.info("waiting for the database: %s", reason)
            told = reason
        time.sleep(0.5)


def downgrade(engine: Engine, revision: str) -> None:
    """Go back to an older schema; for tests and for developers."""
    with deadline(LOCK_SECONDS), engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def check(engine: Engine) -> None:
    """Raise Unavailable unless the schema is the newest that this release knows, or newer.

    Newer is fine: after a rollback of the release the database stays ahead, and most migrations only add.
    """
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    known, head = _revisions()
    if current is None or (current in known and current != head):
        raise Unavailable(
            "schema_behind", "The database schema is older than this release. Run the migrations."
        )


@cache
def _revisions() -> tuple[tuple[str, ...], str]:
    """All revisions of this release in their order, and the newest.

    Read once: anybody may ask for readiness, as often as they like.
    """
    scripts = ScriptDirectory(str(SCRIPTS))
    order = tuple(script.revision for script in scripts.walk_revisions())[::-1]
    return order, order[-1]


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def write_revision(engine: Engine, words: str, number: str | None) -> None:
    """Write a migration from the difference to the tables; for developers."""
    with engine.connect() as connection:
        command.revision(_config(connection), words, autogenerate=True, rev_id=number)
