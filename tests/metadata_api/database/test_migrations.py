"""The schema is made by migrations alone, forwards and backwards, and says what the tables say."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, make_url, text

from metadata_api.database import migrate
from metadata_api.database.session import Base, connect
from metadata_api.errors import Unavailable


@pytest.fixture
def empty(postgres_url: str) -> Iterator[Engine]:
    """An empty database of its own on the shared server."""
    name = f"migration_{uuid4().hex[:8]}"
    admin = connect(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine = connect(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    admin.dispose()


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
    script = "from metadata_api.database import migrate; migrate.WAIT_SECONDS = 1; migrate.main()"
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
