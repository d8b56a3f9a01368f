"""The schema is made by migrations alone, forwards and backwards, and says what the tables say."""

import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, make_url, text

from metadata_api.database import migrate
from metadata_api.database.migrate import TableLocks
from metadata_api.database.session import Base, connect
from metadata_api.errors import Unavailable
from tests.databases import empty_database
from tests.waiting import until


@pytest.fixture
def empty(postgres_url: str) -> Iterator[Engine]:
    """An empty database of its own on the shared server."""
    with empty_database(postgres_url) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


def test_after_all_migrations_autogenerate_finds_nothing_to_do(empty: Engine) -> None:
    migrate.upgrade(empty)
    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_to_nothing_leaves_no_table(empty: Engine) -> None:
    migrate.upgrade(empty)
    migrate.downgrade(empty, "base")
    assert inspect(empty).get_table_names() == ["alembic_version"]


def test_of_several_migrators_at_once_each_succeeds(empty: Engine) -> None:
    failures: list[Exception] = []

    def run() -> None:
        try:
            migrate.upgrade(empty)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    migrate.check(empty)


QUICK = TableLocks(timeout_ms=200, attempts=40, pause_seconds=0.05)


@pytest.fixture
def in_use(empty: Engine) -> Iterator[Connection]:
    """A schema one migration behind, with a table that a transaction reads and does not end."""
    migrate.upgrade(empty, "0005")
    with empty.connect() as connection:
        connection.execute(text("select * from deployments"))
        yield connection


class TestLockedTables:
    """A migration never makes requests queue behind it for long, and comes through once there is room."""

    def test_it_gives_way_to_requests_and_is_done_once_the_table_is_free(
        self, empty: Engine, in_use: Connection, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("INFO"), ThreadPoolExecutor(1) as pool:
            done = pool.submit(migrate.upgrade, empty, locks=QUICK)
            until(lambda: "attempt 2 of 40" in caplog.text, "it has given way twice")
            with empty.connect() as request:
                request.execute(text("set statement_timeout = '2s'"))
                request.execute(text("select * from deployments"))
            assert not done.done()
            in_use.rollback()
            done.result(30)
        migrate.check(empty)

    def test_a_table_that_stays_locked_ends_it_with_what_to_do(
        self, empty: Engine, in_use: Connection
    ) -> None:
        few = dataclasses.replace(QUICK, attempts=2)
        with pytest.raises(Unavailable, match=r"in 2 attempts\. End the transaction"):
            migrate.upgrade(empty, locks=few)
        with pytest.raises(Unavailable, match="Run the migrations"):
            migrate.check(empty)
        in_use.rollback()
        migrate.upgrade(empty, locks=few)

    def test_its_connection_goes_back_without_the_limit(self, empty: Engine) -> None:
        migrate.upgrade(empty)
        with empty.connect() as connection:
            assert connection.scalar(text("show lock_timeout")) == "0"

    def test_in_the_product_a_request_waits_two_seconds_at_most(self) -> None:
        assert TableLocks().timeout_ms == 2000
        longest = TableLocks().attempts * (TableLocks().timeout_ms / 1000 + TableLocks().pause_seconds)
        assert longest <= migrate.LOCK_SECONDS, "those that wait for the advisory lock get their turn"


def test_a_database_without_a_schema_is_not_ready(empty: Engine) -> None:
    with pytest.raises(Unavailable, match="Run the migrations"):
        migrate.check(empty)


def test_a_database_ahead_of_this_release_is_ready_so_that_a_release_can_be_rolled_back(
    empty: Engine,
) -> None:
    migrate.upgrade(empty)
    with empty.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    migrate.check(empty)


def test_a_database_that_comes_late_is_waited_for(empty: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """As on Kubernetes, where it starts beside the migration."""
    late = make_url(empty.url).set(database=f"late_{uuid4().hex[:8]}")
    engine = connect(late.render_as_string(hide_password=False))
    with (
        caplog.at_level("INFO"),
        empty.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
    ):
        coming = threading.Timer(1.5, connection.execute, [text(f"create database {late.database}")])
        coming.start()
        migrate.wait_for_database(engine, 30)
        coming.join(30)
        migrate.upgrade(engine)
        engine.dispose()
        connection.execute(text(f"drop database {late.database} with (force)"))
    waits = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert len(waits) == 1, "a reason is told once"
    assert "does not exist" in waits[0]


def test_a_database_that_never_comes_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    script = "from metadata_api import migrate; migrate.WAIT_SECONDS = 1; migrate.main()"
    url = "postgresql://stranger:secret@127.0.0.1:9/nothing"
    environment = {**os.environ, "METADATA_API_DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "did not answer within 1 s: Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
