"""One replica leads: the lock is lost with its connection, and with its process when that is stopped."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from metadata_api.database.leader import ADVISORY_LOCK, Leader, Lease
from tests.conftest import ROOT
from tests.metadata_api.making import url_of
from tests.waiting import until

QUICK = Lease(beat=0.05, believed=0.6, idle=1.0)
PROGRAM = """
import asyncio, sys
from metadata_api.database.leader import Leader, Lease
from metadata_api.database.session import connect

async def main():
    leader = Leader(connect(sys.argv[1]), Lease(beat=0.05, believed=0.6, idle=1.0))
    task = asyncio.create_task(leader.run())
    while True:
        print(int(leader.leads()), flush=True)
        await asyncio.sleep(0.02)

asyncio.run(main())
"""
HERE = "database = (select oid from pg_database where datname = current_database())"
HELD = f"locktype = 'advisory' and granted and objid = :low and {HERE}"
LOW = {"low": ADVISORY_LOCK % 2**32}


@contextmanager
def running(leader: Leader) -> Iterator[None]:
    """Tries to lead, in a loop of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(leader.run())
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    )
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()


@contextmanager
def replica(engine: Engine) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that leads; each line of its output says whether it still does."""
    folders = os.pathsep.join(str(ROOT / one) for one in ("metadata-api", "serving"))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url_of(engine)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": folders},
    )
    try:
        until(lambda: says(process) == b"1", "it leads")
        yield process
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout
        process.stdout.close()


def says(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    return process.stdout.readline().strip()


def holders(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(f"select count(*) from pg_locks where {HELD}"), LOW) or 0


def test_one_of_two_leads_and_the_other_follows_when_it_ends(own_engine: Engine) -> None:
    first, second = Leader(own_engine, QUICK), Leader(own_engine, QUICK)
    began: list[str] = []
    first.began, second.began = lambda: began.append("first"), lambda: began.append("second")
    with running(first):
        until(first.leads)
        with running(second):
            time.sleep(0.3)
            assert (first.leads(), second.leads()) == (True, False)
    assert not first.leads()
    with running(second):
        until(second.leads)
    assert began == ["first", "second"]


def test_the_lock_is_lost_with_its_connection_and_won_again(own_engine: Engine) -> None:
    leader = Leader(own_engine, QUICK)
    began: list[float] = []
    leader.began = lambda: began.append(time.monotonic())
    with running(leader):
        until(leader.leads)
        with own_engine.begin() as connection:
            connection.execute(text(f"select pg_terminate_backend(pid) from pg_locks where {HELD}"), LOW)
        until(lambda: len(began) == 2, "it leads again")


def test_a_leader_that_is_stopped_is_replaced_and_does_not_lead_when_it_goes_on(own_engine: Engine) -> None:
    leader = Leader(own_engine, QUICK)
    with replica(own_engine) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with running(leader):
            until(leader.leads, "another leads", 5)
            os.kill(process.pid, signal.SIGCONT)
            begin = time.monotonic()
            said = []
            while time.monotonic() - begin < 1:
                said.append(says(process))
            # The first lines may be from before it was stopped.
            assert b"1" not in said[len(said) // 4 :], said
            assert leader.leads()
            assert holders(own_engine) == 1


def test_a_leader_that_is_killed_is_replaced_at_once(own_engine: Engine) -> None:
    leader = Leader(own_engine, QUICK)
    with replica(own_engine) as process, running(leader):
        time.sleep(0.2)
        assert not leader.leads()
        process.kill()
        until(leader.leads, "another leads", 2)
