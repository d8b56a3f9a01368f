"""A thousand deployments on Kubernetes: memory, how soon a change is seen, and how long the list takes."""

import statistics
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import Engine, text

from tests.metadata_api.deploying.kserve.fake_kubernetes import ISVC, POD, FakeKubernetes, status_of
from tests.metadata_api.deploying.kserve.stage import CONFIG, URL, api_process, kserve_settings, seen
from tests.metadata_api.making import make_experiment, make_version
from tests.waiting import until

SERVICES = 1000


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_thousand_deployments(
    engine: Engine, tmp_path: Path, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    make_experiment(engine)
    make_version(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into deployments (name, experiment_id, version_id, runtime, replicas, desired) "
                "select 'model-' || n, experiment_id, id, 'torchserve', 1, 'running' "
                "from model_versions, generate_series(1, :n) n"
            ),
            {"n": SERVICES},
        )
    with (
        FakeKubernetes() as kubernetes,
        api_process(kserve_settings(engine, kubernetes, tmp_path, CONFIG)) as (process, api),
    ):
        until(lambda: ready(api) == SERVICES, seconds=240)
        written = len(kubernetes.written(ISVC))
        begin = time.monotonic()
        kubernetes.remove(POD, "model-7-predictor-1-torchserve-0")
        service = kubernetes.find(ISVC, "model-7")
        kubernetes.put(ISVC, {**service, "status": status_of("False", "the node is gone")})
        until(lambda: seen(api, "model-7")[0] == "pending", seconds=30)
        visible = time.monotonic() - begin
        lists = [seconds(api) for _ in range(20)]
        memory = psutil.Process(process.pid).memory_info().rss / 1e6
        again = len(kubernetes.written(ISVC)) - written
    median = statistics.median(lists) * 1000
    with capsys.disabled():
        print(f"\n1,000: visible after {visible:.2f} s, list p50 {median:.0f} ms, {memory:.0f} MB")
    assert visible < 5
    assert memory < 300
    # The goal is 50 ms on an idle machine; tests share theirs.
    assert median < 500
    assert again <= SERVICES / 10, "what did not change is not written again"


def ready(api: httpx.Client) -> int:
    page = api.get(URL, params={"limit": 1000}).json()
    return sum(item["ready"] for item in page["items"])


def seconds(api: httpx.Client) -> float:
    begin = time.perf_counter()
    api.get(URL, params={"limit": 100}).raise_for_status()
    return time.perf_counter() - begin
