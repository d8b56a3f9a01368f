"""A Postgres server for tests and measurements, made as the one-machine mode makes it."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import URL, make_url

from marina_local import folder
from marina_local.postgres import Postgres
from marina_local.settings import LocalSettings
from marina_local.supervisor import Supervised
from tests.ports import free_port


@dataclass(frozen=True)
class Database:
    """A real Postgres server: the URL of its database, and its process."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def database(home: Path) -> Iterator[Database]:
    """A server with an empty database and its files in `home`, until the block ends."""
    settings = LocalSettings(home=home, postgres_port=free_port())
    with folder.lock(settings):
        try:
            with running(settings) as (postgres, process):
                _let_create_databases(postgres)
                yield Database(url_of(postgres).render_as_string(hide_password=False), process)
        finally:
            folder.empty(settings)


@contextmanager
def running(settings: LocalSettings) -> Iterator[tuple[Postgres, subprocess.Popen[bytes]]]:
    """The server of a data folder, as the launcher has it, until the block ends."""
    postgres = Postgres(settings)
    service = postgres.prepare()
    who: dict[str, Any] = {}
    if service.account:
        who = {"user": service.account.uid, "group": service.account.gid, "extra_groups": []}
    with (settings.logs / "postgres.log").open("wb") as log:
        process = subprocess.Popen(
            service.command, cwd=service.folder, env=dict(service.environment), stdout=log, stderr=log, **who
        )
    try:
        asyncio.run(postgres.ready(Supervised(service, settings.logs), 30))
        yield postgres, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def url_of(postgres: Postgres) -> URL:
    """URL of the product's database, with its password."""
    return make_url(postgres.url).set(password=postgres.password_file.read_text())


def _let_create_databases(postgres: Postgres) -> None:
    """Tests make databases of their own; the role of the product may not."""
    password = postgres.superuser_password_file.read_text()
    superuser = url_of(postgres).set(username="postgres", password=password)
    admin = psycopg2.connect(superuser.render_as_string(hide_password=False))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("alter role marina createdb")
    admin.close()
