"""Engine, sessions and the deadline of every statement; `create_app` and the command line tools call it."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg2
import psycopg2.extensions
from pydantic_core import from_json
from sqlalchemy import Engine, MetaData, create_engine, event, make_url
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from metadata_api.database.pool import SharedPool

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

UNVERIFIED_DEADLINE_SHARE = 0.3
# As exact as Python's, also of large integers, in a fifth of its time: lists are full of small documents.
_READ_JSON = partial(from_json, cache_strings="keys")

Sessions = sessionmaker[Session]
longer_seconds: ContextVar[float | None] = ContextVar("longer_seconds", default=None)


class BoundedConnection(psycopg2.extensions.connection):
    """A connection that knows its deadline in seconds, and whether the server answered since it left the pool.

    Connecting, and the pool's first question on an old connection, get only a part of the deadline: both may have to
    fail one after the other before a request can say that the database is away.
    """

    seconds = 5.0
    verified = False


class Base(DeclarativeBase):
    """Parent of every table; the naming convention lets migrations drop constraints by name."""

    metadata = MetaData(naming_convention=NAMES)


def connect(
    url: str,
    *,
    password_file: Path | None = None,
    seconds: float = 5.0,
    pool: int = 20,
    sslmode: str = "",
    ca_file: Path | None = None,
) -> Engine:
    """An engine whose statements and connections never take longer than `seconds`.

    The deadline is kept on this side, by psycopg2's wait callback: a server that is stopped or cut
    off cannot enforce its own `statement_timeout`. The callback belongs to the process and reads
    the figure from the connection; `deadline` changes it for one block. With a `ca_file`, the server has to prove its
    name by a certificate of these authorities, unless `sslmode` says less.
    """
    address = make_url(url).set(drivername="postgresql+psycopg2")
    if password_file is not None:
        address = address.set(password=password_file.read_text().strip())
    psycopg2.extensions.set_wait_callback(_wait)
    bounded = type("Bounded", (BoundedConnection,), {"seconds": seconds})
    arguments = {
        "application_name": "metadata-api",
        "client_encoding": "UTF8",
        "connection_factory": bounded,
    }
    if ca_file is not None:
        arguments |= {"sslrootcert": str(ca_file), "sslmode": "verify-full"}
    if sslmode:
        arguments["sslmode"] = sslmode
    engine = create_engine(
        address,
        poolclass=SharedPool,
        pool_size=pool,
        max_overflow=pool,
        # With the two waits below still within the deadline.
        pool_timeout=seconds * 0.2,
        pool_pre_ping=True,
        # Whatever a database has as its default.
        isolation_level="READ COMMITTED",
        connect_args=arguments,
        json_deserializer=_READ_JSON,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "checkin", _mark_unverified)
    return engine


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Within this block, on this thread or task, a statement may take up to `seconds`."""
    token = longer_seconds.set(seconds)
    try:
        yield
    finally:
        longer_seconds.reset(token)


def _wait(connection: psycopg2.extensions.connection) -> None:
    """Wait until psycopg2 can go on, but not past the deadline; an overrun closes the connection.

    Connections of others in this process come here too; they get the usual deadline.
    """
    bounded = connection if isinstance(connection, BoundedConnection) else None
    limit = bounded.seconds if bounded else BoundedConnection.seconds
    if bounded and not bounded.verified:
        limit *= UNVERIFIED_DEADLINE_SHARE
    end = time.monotonic() + (longer_seconds.get() or limit)
    poller = select.poll()
    while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
        mask = select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT
        poller.register(connection.fileno(), mask)
        left = end - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise psycopg2.OperationalError("the database did not answer within the deadline")
    if bounded:
        bounded.verified = True


def _prepare(connection: psycopg2.extensions.connection, _record: object) -> None:
    """What a new connection needs, by a statement: a pooler takes no `options` at the start of a connection.

    Behind one in transaction mode it reaches any connection of the server, which does no harm, and is no condition for
    anything: times are read as UTC here, whatever the session's time zone is.
    """
    psycopg2.extensions.register_type(_IN_UTC, connection)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
    connection.autocommit = False


def _in_utc(value: str | bytes | None, cursor: psycopg2.extensions.cursor) -> datetime | None:
    found: datetime | None = psycopg2.extensions.PYDATETIMETZ(value, cursor)
    return None if found is None else found.astimezone(UTC)


_IN_UTC = psycopg2.extensions.new_type(psycopg2.extensions.PYDATETIMETZ.values, "UTC", _in_utc)
# An abandoned statement must end on the server too: it looks for its client every second. Numbers keep their
# digits. What a server does not know is left out.
_SETTINGS = """
select set_config(name, value, false) from pg_settings join (values
    ('client_connection_check_interval', '1s'), ('idle_in_transaction_session_timeout', '60s'), ('TimeZone', 'UTC'),
    ('extra_float_digits', '1')
) as wanted (name, value) using (name)
"""


def _mark_unverified(connection: "BoundedConnection | None", _record: object) -> None:
    """Called when a connection goes back to the pool; the server may be gone when it is used next."""
    if connection is not None:
        connection.verified = False
