"""Points that writers log while the API is killed again and again: all of them are there, each once."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

import marina
from metadata_api import curves
from tests.databases import own_database
from tests.metadata_api.test_bytes_and_rows import api_process, is_up
from tests.ports import free_port
from tests.waiting import until

LONG = [pytest.mark.long, pytest.mark.timeout(900)]
PER_SECOND = 10


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own, for an API of its own."""
    with own_database(postgres_url) as engine:
        yield engine


@pytest.mark.parametrize(("writers", "kills"), [(4, 1), pytest.param(100, 20, marks=LONG, id="long")])
def test_no_point_is_lost_or_doubled_however_often_the_api_is_killed(
    engine: Engine, tmp_path: Path, writers: int, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marina.sender.LONGEST_PAUSE_SECONDS", 1.0)
    port, ended, logged = free_port(), threading.Event(), [0] * writers

    def write(number: int) -> marina.Run:
        """Five writers share an experiment; each has steps of its own, between those of the others."""
        run = marina.experiment(f"net-{number // 5}", url=f"http://127.0.0.1:{port}")
        while not ended.wait(1 / PER_SECOND):
            run.log(logged[number] * 5 + number % 5, loss=float(number))
            logged[number] += 1
        # Whoever comes first would end it for the others.
        run._owner = False
        run.finish(seconds=120)
        return run

    with ThreadPoolExecutor(writers) as pool:
        runs = [pool.submit(write, number) for number in range(writers)]
        for _ in range(kills):
            with api_process(engine, tmp_path, port):
                until(lambda: is_up(port), "the API is up", 60)
                time.sleep(random.uniform(0.5, 3))
        with api_process(engine, tmp_path, port):
            until(lambda: is_up(port), "the API is up", 60)
            ended.set()
            assert [run.result(180).dropped for run in runs] == [0] * writers
            shown = {
                one: httpx.get(f"http://127.0.0.1:{port}/v1/experiments/net-{one}", timeout=30).json()
                for one in range((writers + 4) // 5)
            }
    for one, found in shown.items():
        mine = [number for number in range(writers) if number // 5 == one]
        expected = {step * 5 + number % 5: float(number) for number in mine for step in range(logged[number])}
        assert read(engine, f"net-{one}") == expected
        assert found["metrics"]["loss"]["points"] == len(expected)
    assert sum(logged) > writers * kills * PER_SECOND / 2, "there was something to lose"


def read(engine: Engine, name: str) -> dict[int, float]:
    """The stored points of an experiment; each step is there once."""
    query = (
        "select steps, values from metric_points join experiments on id = experiment_id"
        " where name = :name order by first_step"
    )
    with engine.connect() as connection:
        rows = connection.execute(text(query), {"name": name}).all()
    pairs = [pair for row in rows for pair in zip(row.steps, row.values, strict=True)]
    assert len(dict(pairs)) == len(pairs)
    assert all(len(row.steps) <= curves.CHUNK_POINTS for row in rows)
    return dict(pairs)
