"""Liveness looks at nothing; readiness looks at the database and its schema."""

import time

import httpx
from sqlalchemy import Engine

from metadata_api.database import migrate


def test_livez_says_ok(api: httpx.Client) -> None:
    assert api.get("/livez").json() == {"status": "ok"}


def test_readyz_says_ok_when_the_schema_is_the_newest(api: httpx.Client) -> None:
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_an_unknown_address_is_a_404_that_says_where_to_look(api: httpx.Client) -> None:
    answer = api.get("/v1/nothing-here")
    assert answer.status_code == 404
    assert answer.json() == {"error": "not_found", "detail": "There is nothing at this address. See /docs."}


def test_the_documentation_page_loads_nothing_from_other_hosts(api: httpx.Client) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text


def test_readiness_costs_little_because_anybody_may_ask_for_it(engine: Engine) -> None:
    migrate.check(engine)
    begin = time.thread_time()
    for _ in range(50):
        migrate.check(engine)
    assert (time.thread_time() - begin) / 50 < 0.003
