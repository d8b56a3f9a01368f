"""The database goes away in every way there is: typed answers in time, and all is well when it is back."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psutil
import psycopg2
import pytest

from metadata_api.database.session import BoundedConnection, connect
from tests.postgres import Database
from tests.waiting import until

SECONDS = 5.0


@contextmanager
def stopped(database: Database) -> Iterator[None]:
    """Postgres with every backend is held still, so that connections stay open and nothing answers."""
    server = psutil.Process(database.process.pid)
    processes = [server, *server.children()]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@pytest.mark.clock
@pytest.mark.system
def test_while_postgres_is_stopped_every_request_is_a_503_in_time_and_liveness_is_fine(
    api: httpx.Client, database: Database
) -> None:
    assert api.get("/v1/experiments").status_code == 200

    begun: list[int] = []

    def ask(number: int) -> tuple[int, str | None, float]:
        begun.append(number)
        start = time.monotonic()
        answer = many.get(f"{api.base_url}/v1/experiments")
        return answer.status_code, answer.headers.get("retry-after"), time.monotonic() - start

    # One client: sixty cost two seconds of processor time before they ask.
    many = httpx.Client(timeout=30, limits=httpx.Limits(max_connections=60))
    with many, stopped(database), ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(ask, number) for number in range(60)]
        until(lambda: len(begun) == 60, "all are under way")
        start = time.monotonic()
        assert api.get("/livez").status_code == 200
        assert time.monotonic() - start < 1
        answers = [future.result() for future in asked]
    assert {answer[:2] for answer in answers} == {(503, "1")}
    assert max(answer[2] for answer in answers) < SECONDS + 1
    until(lambda: api.get("/v1/experiments").status_code == 200, "it is back after Postgres went on", 5)


def test_a_killed_backend_costs_at_most_one_request(api: httpx.Client, database: Database) -> None:
    assert api.get("/v1/experiments").status_code == 200
    mine = [
        process.pid
        for process in psutil.Process(database.process.pid).children()
        if "marina" in " ".join(process.cmdline()) and "127.0.0.1" in " ".join(process.cmdline())
    ]
    assert mine
    # SIGTERM ends one backend; SIGKILL would make the whole server recover.
    for pid in mine:
        os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    assert api.get("/v1/experiments").status_code == 200


def test_a_plain_connection_beside_the_engine_works_and_has_a_deadline_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(database.url).dispose()
    plain = psycopg2.connect(database.url.replace("postgresql+psycopg2", "postgresql"), connect_timeout=5)
    try:
        with plain.cursor() as cursor:
            cursor.execute("select 1")
            assert cursor.fetchone() == (1,)
            monkeypatch.setattr(BoundedConnection, "seconds", 0.3)
            with pytest.raises(psycopg2.OperationalError, match="deadline"):
                cursor.execute("select pg_sleep(5)")
    finally:
        plain.close()
