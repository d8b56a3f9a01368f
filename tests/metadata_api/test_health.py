"""Liveness looks at nothing; readiness looks at the database and its schema."""

import time
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.database import migrate
from metadata_api.settings import Settings
from tests.metadata_api.making import make_mar, url_of
from tests.metadata_api.servers import running
from tests.waiting import until


def test_livez_says_ok(api: httpx.Client) -> None:
    assert api.get("/livez").json() == {"status": "ok"}


def test_readyz_says_ok_when_the_schema_is_the_newest(api: httpx.Client) -> None:
    answer = api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "store": {"missing": 0, "damaged": 0}}


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


def test_a_check_of_the_store_is_requested_and_its_findings_reach_readyz(
    settings: Settings, own_engine: Engine, tmp_path: Path
) -> None:
    # In a database of its own, because only the leader shows the metric.
    app = create_app(
        settings.model_copy(update={"database_url": url_of(own_engine), "store_dir": tmp_path / "store"})
    )
    with running(app) as address, httpx.Client(base_url=address, timeout=30) as api:
        assert api.get("/v1/fsck").status_code == 404
        api.post("/v1/experiments", json={"name": "digits"})
        version = api.post("/v1/experiments/digits/versions", content=make_mar(tmp_path)).json()
        app.state.components.artifacts.first.path(version["sha256"]).write_bytes(b"other bytes")
        assert api.post("/v1/fsck", json={}).status_code == 202
        found = until(lambda: finished(api), "the check ends")
        assert (found["checked"], found["damaged"]) == (1, 1)
        assert found["findings"][0]["used_by"] == ["version 1 of digits"]
        assert api.get("/readyz").json()["store"] == {"missing": 0, "damaged": 1}
        until(
            lambda: 'marina_store_problems{problem="damaged"} 1.0' in api.get("/metrics").text,
            "it is a metric",
        )
        download = api.get(version["download"])
        assert (download.status_code, download.json()["error"]) == (503, "artifact_damaged")
        api.post("/v1/experiments/digits/versions", content=make_mar(tmp_path))
        assert api.get("/readyz").json()["store"] == {"missing": 0, "damaged": 0}, (
            "uploading it again repairs it"
        )
        assert api.get(version["download"]).status_code == 200


def finished(api: httpx.Client) -> dict[str, Any] | None:
    found: dict[str, Any] = api.get("/v1/fsck").json()
    return found if found["state"] == "finished" else None
