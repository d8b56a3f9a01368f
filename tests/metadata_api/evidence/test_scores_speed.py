"""Scores of ten versions over 10,000 labels: half the calls take at most 200 ms."""

import statistics
import time

import httpx
import pytest
from sqlalchemy import Engine, text

from metadata_api.database.session import deadline
from tests.metadata_api.evidence.answering import versions_of_task

LABELLED = 10_000
LOAD = (
    "insert into inputs (sha256, kind, media_type, size) "
    "select lpad(to_hex(at), 64, '0'), 'text', 'text/plain', 1 from generate_series(1, :n) at",
    "insert into labels (input_sha256, task, label, author, chosen, created_at) "
    "select lpad(to_hex(at), 64, '0'), 'digits', (at % 10)::text, 'ann', "
    "(array['random', 'queue', 'other'])[at % 3 + 1], now() from generate_series(1, :n) at",
    "insert into predictions (uid, request_uid, input_sha256, deployment, version_id, source, status, kind, label, "
    "probabilities, latency_ms, lineage) "
    "select gen_random_uuid(), gen_random_uuid(), lpad(to_hex(at), 64, '0'), 'digits-' || version, version, 'api', "
    "'ok', 'probabilities', said.label, (select jsonb_agg(jsonb_build_object('label', case when k = 0 then said.label "
    "else k::text end, 'probability', case when k = 0 then 0.9 - 0.3 * random() else 0.01 * random() end) order by k) "
    "from generate_series(0, 9) k), 1, "
    """'{"experiment": "digits", "version": 1, "mar_sha256": null, "runtime": "native"}' """
    "from generate_series(1, :n) at, unnest(cast(:versions as bigint[])) version, "
    "lateral (select case when random() < 0.8 then at % 10 else (at + 1) % 10 end::text as label) said",
)


@pytest.mark.long
def test_ten_versions_over_ten_thousand_labels(api: httpx.Client, engine: Engine) -> None:
    versions = versions_of_task(engine, "digits", count=10)
    with deadline(120), engine.begin() as connection:
        for statement in LOAD:
            connection.execute(text(statement), {"n": LABELLED, "versions": versions})
    with deadline(120), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze predictions, labels, inputs"))
    seconds = []
    for _ in range(21):
        began = time.perf_counter()
        answer = api.get("/v1/experiments/digits/scores")
        seconds.append(time.perf_counter() - began)
        assert len(answer.json()["pairs"]) == 45
        assert {item["score"]["share"]["n"] for item in answer.json()["items"]} == {LABELLED}
    print(f"scores of 10 versions over 10,000 labels: p50 {1000 * statistics.median(seconds):.0f} ms")
    assert statistics.median(seconds) <= 0.2
