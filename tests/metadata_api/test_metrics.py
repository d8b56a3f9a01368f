"""`/metrics` of the API: what was asked and how long it took, and how its parts are."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from metadata_api.measuring import Measured
from metadata_api.metrics import Metrics
from tests.conftest import ROOT

Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(api: httpx.Client) -> dict[Sample, float]:
    answer = api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {
        (one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples
    }


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0)


@pytest.fixture
def before(api: httpx.Client) -> dict[Sample, float]:
    return samples(api)


def test_requests_are_counted_by_route_and_status_and_timed(
    api: httpx.Client, before: dict[Sample, float]
) -> None:
    api.get("/v1/experiments/nobody")
    api.get("/v1/experiments/nobody-else")
    api.get("/nowhere")
    api.get("/v2/models/nobody/versions/3/ready")
    after = samples(api)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    route = "/v1/experiments/{name}"
    assert more("marina_api_requests_total", method="GET", route=route, code="404") == 2
    assert more("marina_api_request_seconds_count", route=route) == 2
    assert more("marina_api_requests_total", method="GET", route="other", code="404") == 1
    assert more("marina_api_requests_total", method="GET", route="/v2/models/{name}/ready", code="404") == 1


def test_what_clients_invent_becomes_no_label(api: httpx.Client, before: dict[Sample, float]) -> None:
    for number in range(20):
        api.request(f"M{number}", f"/made-up-{number}")
    assert len(samples(api)) <= len(before) + 20


def test_imports_and_the_pool_are_shown(api: httpx.Client, before: dict[Sample, float]) -> None:
    csv = (ROOT / "tests" / "data" / "two-bad-rows.csv").read_bytes()
    answer = api.post("/v1/imports", content=csv, headers={"content-type": "text/csv"})
    report = answer.json()
    assert report["accepted"] + report["rejected"] > 0, answer.text
    after = samples(api)
    for outcome in ("accepted", "rejected"):
        labels = {"outcome": outcome}
        more = value(after, "marina_import_rows_total", **labels) - value(
            before, "marina_import_rows_total", **labels
        )
        assert more == report[outcome]
    assert value(after, "marina_database_connections_limit") > 0
    assert (
        0 <= value(after, "marina_database_connections") <= value(after, "marina_database_connections_limit")
    )


def test_a_request_that_never_got_an_answer_counts_too() -> None:
    metrics = Metrics()

    async def gone(_scope: object, _receive: object, _send: object) -> None:
        raise RuntimeError

    async def ask() -> None:
        scope = {"type": "http", "method": "GET", "path": "/v2/models/a/infer"}
        await Measured(gone, metrics=metrics, root_path="")(scope, None, None)  # type: ignore[arg-type]

    with pytest.raises(RuntimeError):
        asyncio.run(ask())
    assert b'route="/v2/models/{name}/infer"' in metrics.text()
