"""Images become inputs: every row is kept, reads go on, and the way back is there."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import sessionmaker

from metadata_api.database import migrate
from metadata_api.database.session import deadline
from metadata_api.objects import ledger
from metadata_api.predicting import recorded
from metadata_api.schemas.predictions import PredictionQuery
from tests.databases import own_database

MANY = 100_000
BEFORE = "0016"
FILL = (
    "insert into images (sha256, width, height, size) "
    "select encode(sha256(n::text::bytea), 'hex'), 28 + n % 7, 28, 100 + n from generate_series(1, :count) n",
    "insert into stored_objects (kind, sha256, size) select 'image', sha256, size from images",
    "insert into predictions (uid, request_uid, image_sha256, deployment, status, label, probabilities, latency_ms, "
    "error, error_detail, lineage) select gen_random_uuid(), gen_random_uuid(), "
    "encode(sha256(n::text::bytea), 'hex'), 'digits', case when n % 9 = 0 then 'error' else 'ok' end, '5', "
    """'[{"label": "5", "probability": 0.9}]', n, case when n % 9 = 0 then 'model_failed' end, null, """
    """'{"experiment": "digits", "version": 1}' from generate_series(1, :count) n""",
    "insert into store_checks (state, repair, requested_by, position, findings) values ('running', true, 'ann', "
    """'image/00ff', '[{"kind": "image", "sha256": "00ff"}]')""",
    "analyze",
)
ROWS = (
    "select p.uid, p.{0}_sha256, p.deployment, p.status, p.label, p.probabilities::text, p.latency_ms, p.error, "
    "p.lineage::text, p.created_at, i.width, i.height, i.size from predictions p join {0}s i "
    "on i.sha256 = p.{0}_sha256 order by p.id"
)


@pytest.fixture(scope="module", params=[2000, pytest.param(MANY, marks=pytest.mark.long)])
def count(request: pytest.FixtureRequest) -> int:
    """How many predictions there are."""
    return int(request.param)


@pytest.fixture(scope="module")
def filled(postgres_url: str, count: int) -> Iterator[Engine]:
    """A database of before, with many predictions, each about an image of its own."""
    with own_database(postgres_url, BEFORE) as engine:
        with deadline(60), engine.begin() as connection:
            for statement in FILL:
                connection.execute(text(statement), {"count": count})
        yield engine


class _Reader(threading.Thread):
    """Reads the newest prediction with its input all the time, under the names that are there."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.longest = 0.0
        self.names: set[str] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        name = "image"
        with self.engine.connect() as connection:
            while not self.ended.wait(0.002):
                begin = time.perf_counter()
                try:
                    assert self._read(connection, name)
                except ProgrammingError:
                    connection.rollback()
                    name = "input"
                    assert self._read(connection, name)
                self.names.add(name)
                self.longest = max(self.longest, time.perf_counter() - begin)

    def _read(self, connection: Connection, name: str) -> Any:
        query = f"{ROWS.format(name)} desc limit 1"
        found = connection.execute(text(query)).one()
        connection.rollback()
        return found


@pytest.fixture(scope="module")
def migrated(filled: Engine) -> dict[str, Any]:
    """What was seen while it was migrated."""
    seen: dict[str, Any] = {"engine": filled, "before": _rows(filled, "image")}
    reader = _Reader(filled)
    reader.start()
    begin = time.monotonic()
    migrate.upgrade(filled)
    seen["seconds"] = time.monotonic() - begin
    time.sleep(0.2)
    reader.ended.set()
    reader.join(30)
    seen["reader"] = reader
    return seen


def test_many_predictions_migrate_within_a_minute(migrated: dict[str, Any]) -> None:
    assert migrated["seconds"] < 60


def test_reads_go_on_meanwhile(migrated: dict[str, Any]) -> None:
    reader = migrated["reader"]
    assert reader.names == {"image", "input"}, "it has read before and after"
    assert reader.longest < 1.0


def test_all_rows_are_kept_and_read_alike(migrated: dict[str, Any], count: int) -> None:
    after = _rows(migrated["engine"], "input")
    assert len(after) == count
    assert after == migrated["before"]


def test_they_are_what_this_release_calls_them(migrated: dict[str, Any], count: int) -> None:
    with sessionmaker(migrated["engine"])() as session:
        page = recorded.list_page(session, PredictionQuery(deployment="digits", limit=10))
        assert (page.total, page.total_is_exact) == (min(count, recorded.COUNTED), count <= recorded.COUNTED)
        newest = page.items[0]
        assert (newest.alias, newest.source, newest.kind) == (None, "api", "probabilities")
        assert session.execute(text("select distinct kind, media_type, summary::text from inputs")).all() == [
            ("image", "image/*", "{}")
        ]


def test_the_ledger_and_a_check_under_way_have_the_new_kind(migrated: dict[str, Any], count: int) -> None:
    with sessionmaker(migrated["engine"])() as session:
        assert session.execute(text("select kind, count(*) from stored_objects group by 1")).all() == [
            (ledger.INPUT, count)
        ]
        position, findings = session.execute(text("select position, findings from store_checks")).one()
        assert (position, findings[0]["kind"]) == ("input/00ff", "input")


def test_the_way_back_is_there(migrated: dict[str, Any]) -> None:
    engine = migrated["engine"]
    with engine.begin() as connection:
        connection.execute(
            text("insert into inputs (sha256, kind, media_type, size) values ('t', 'text', 'text/plain', 1)")
        )
    migrate.downgrade(engine, BEFORE)
    assert _rows(engine, "image") == migrated["before"]
    migrate.upgrade(engine)


def _rows(engine: Engine, name: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(ROWS.format(name)))]
