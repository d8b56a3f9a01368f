"""What lists of 100,000 experiments with 20 metrics and 20 parameters cost; prints a table for docs/measurements.md."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from metadata_api.database import migrate
from metadata_api.database.session import deadline
from tests.databases import own_database
from tests.metadata_api.making import open_settings
from tests.metadata_api.servers import running

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

EXPERIMENTS, PART = 100_000, 5000
BEFORE = "0024"
LIST_MS, PAGE_MS = 50, 20
"""What the table is to be compared with, on a machine that does nothing else."""
WRONG = 10
"""A plan that has gone wrong takes so many times as long, on any machine."""
# Numbers without order from a number, so that every run has the same: f(n, k) between 0 and 1.
FILL = """
insert into experiments (name, display_name, source, parameters, tags, metrics)
select 'run-' || n, 'Run ' || n, (array['api', 'import', 'starter'])[1 + n % 3],
    (select jsonb_object_agg('p' || k, case
        when k % 4 = 0 then to_jsonb((array['adam', 'sgd', 'Lion', 'rmsprop'])[1 + (n * k) % 4])
        when k % 4 = 1 then to_jsonb(n * k % 7)
        else to_jsonb(random_of(n, k)) end) from generate_series(1, 20) k),
    jsonb_build_object('team', 'team ' || n % 50),
    (select jsonb_object_agg('m' || k, jsonb_build_object('direction', 'min', 'final', random_of(n, k + 20),
        'final_step', 100, 'best', case when k = 2 then -random_of(n, 21) else random_of(n, k + 20) end, 'best_step',
        90, 'points', 100)) from generate_series(1, 20) k where k < 20 or n % 2 = 0)
from generate_series(:first, :last) n
"""
RANDOM = (
    "create function random_of(n int, k int) returns float8 language sql immutable as "
    "$$ select abs(hashint8extended(n, k)) % 1000003 / 1000003.0::float8 $$"
)
# m2 falls where m1 rises; m20 is in every second experiment.
QUERIES = {
    "page, newest first": {},
    "page, newest first, 2 columns": {"columns": "metrics.m1,params.p2"},
    "page by metric": {"sort": "-metrics.m3"},
    "page by metric that half of them have": {"sort": "metrics.m20"},
    "page by text, then metric": {"sort": "params.p4,-metrics.m3"},
    "page by three fields, the first with 7 values": {"sort": "params.p1,params.p5,-metrics.m3"},
    "filter: 1 in 1,000": {"filter": "metrics.m3 > 0.999"},
    "filter: 1 in 10": {"filter": "metrics.m3 > 0.9"},
    "filter: 9 in 10": {"filter": "metrics.m3 > 0.1"},
    "filter: none": {"filter": "metrics.m3 > 5"},
    "filter: two that exclude each other": {"filter": "metrics.m1 > 0.5 and metrics.m2 > -0.5"},
    "filter: half and half, by a third": {"filter": "metrics.m3 > 0.5 and params.p2 < 0.5", "sort": "-metrics.m5"},
    "filter: best of one by the worst of another": {"filter": "metrics.m1 > 0.9", "sort": "metrics.m2"},
    "filter: or, not": {"filter": "metrics.m3 > 0.9 or not params.p2 < 0.5", "sort": "-metrics.m3"},
    "filter: text": {"filter": "params.p4 = 'adam' and metrics.m3 > 0.5", "sort": "-metrics.m3"},
    "filter: contains": {"filter": "tags.team contains 'M 4'", "sort": "-metrics.m3"},
    "filter: name contains": {"filter": "name contains '9999'"},
    "filter: is null": {"filter": "metrics.m20 is null and metrics.m3 > 0.5", "sort": "metrics.m5"},
    "search": {"search": "run 77"},
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(postgres_url: str) -> Iterator[Engine]:
    """The database as it is before there are keys."""
    with own_database(postgres_url, BEFORE) as engine:
        with engine.begin() as connection:
            connection.execute(text(RANDOM))
        for first in range(1, EXPERIMENTS + 1, PART):
            with deadline(300), engine.begin() as connection:
                connection.execute(text(FILL), {"first": first, "last": first + PART - 1})
        yield engine


def median_ms(call: Callable[[], httpx.Response], rounds: int = 11) -> float:
    """Median time after two unmeasured calls."""
    times = []
    for _ in range(rounds + 2):
        begin = time.perf_counter()
        call().raise_for_status()
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times[2:])


def test_lists_of_a_hundred_thousand_experiments(filled: Engine, tmp_path: Path) -> None:
    longest, ended = [0.0], threading.Event()

    def read() -> None:
        while not ended.wait(0.05):
            begin = time.perf_counter()
            with filled.connect() as connection:
                connection.execute(
                    text("select name, metrics from experiments order by id desc limit 20")
                ).all()
            longest[0] = max(longest[0], time.perf_counter() - begin)

    reader = threading.Thread(target=read)
    reader.start()
    begin = time.perf_counter()
    migrate.upgrade(filled)
    print(f"\nmigration of {EXPERIMENTS:,} experiments: {time.perf_counter() - begin:.0f} s", flush=True)
    ended.set()
    reader.join()
    print(f"longest read meanwhile: {longest[0] * 1000:.0f} ms")
    with deadline(300), filled.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze experiments"))
        connection.execute(text("vacuum analyze experiment_keys"))
    settings = open_settings(filled, tmp_path, "http://127.0.0.1:9")
    slow = []
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as api:
        for name, query in QUERIES.items():
            took = median_ms(lambda query=query: api.get("/v1/experiments", params=query))  # type: ignore[misc]
            print(f"| {name} | {took:.1f} |", flush=True)
            bar = LIST_MS if {"filter", "search"} & query.keys() or "," in query.get("sort", "") else PAGE_MS
            if took > WRONG * bar:
                slow.append(f"{name}: {took:.1f} ms")
    assert slow == []
