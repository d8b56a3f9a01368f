"""Databases of a test's own on the shared Postgres: empty, or copied from one that the real migrations made once."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from metadata_api.database import migrate
from metadata_api.database.session import connect, deadline
from tests.waiting import until


@contextmanager
def own_database(postgres_url: str, revision: str = "head") -> Iterator[Engine]:
    """A database that no other application of this test run looks at, by default with the newest schema."""
    with _created(postgres_url, f"template {_migrated(postgres_url, revision)}") as url:
        engine = connect(url)
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def empty_database(postgres_url: str, how: str = "") -> Iterator[str]:
    """URL of a database without a table; `how` ends the statement that makes it."""
    with _created(postgres_url, how) as url:
        yield url


@contextmanager
def _created(postgres_url: str, how: str = "") -> Iterator[str]:
    name = f"own_{uuid4().hex[:8]}"
    admin = connect(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with deadline(60), admin.connect() as connection:
        connection.execute(text(f"create database {name} {how}"))
    try:
        yield _at(postgres_url, name)
    finally:
        # It waits for a checkpoint, which takes seconds when others write.
        with deadline(60), admin.connect() as connection:
            _drop(connection, name)
        admin.dispose()


@cache
def _migrated(postgres_url: str, revision: str) -> str:
    """Name of a database with a schema, for copies; a copy takes a fifth of the time of the migrations.

    Postgres copies only what nobody is connected to. It goes with its server.
    """
    name = f"schema_{revision}"
    admin = connect(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with deadline(60), admin.connect() as connection:
        connection.execute(text(f"create database {name}"))
    admin.dispose()
    engine = connect(_at(postgres_url, name))
    migrate.upgrade(engine, revision)
    engine.dispose()
    return name


def _at(postgres_url: str, name: str) -> str:
    return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


def _drop(connection: Connection, name: str) -> None:
    """Drop a database with whoever is connected; autovacuum, which is nobody's, may be there for an instant."""

    def dropped() -> bool:
        try:
            connection.execute(text(f"drop database {name} with (force)"))
        except ProgrammingError:
            return False
        return True

    until(dropped, f"database {name} is dropped", pause=0.2)
