"""What asking servers how their models are contained brings about."""

import asyncio

import pytest

from metadata_api.deploying.kserve import inference_services, pods
from metadata_api.deploying.kserve.containment import ContainmentReports
from metadata_api.deploying.kserve.inference_services import RUNTIME, VERSION
from metadata_api.kubernetes import Cluster
from tests.metadata_api.deploying.kserve.fake_kubernetes import container
from tests.metadata_api.servers import V2Server
from tests.waiting import until_async

LABELS = {VERSION: "1", RUNTIME: "native"}
METADATA = {"name": "digits", "uid": "1", "generation": 1, "labels": LABELS}


@pytest.mark.parametrize(("report", "woken"), [(b"null", 0), (b'{"landlock": 7}', 1)])
def test_only_a_report_wakes_the_reconcile_loop(report: bytes, woken: int) -> None:
    asked, changes = asyncio.Event(), []

    async def ask(server: V2Server) -> None:
        loop = asyncio.get_running_loop()

        def status() -> bytes:
            loop.call_soon_threadsafe(asked.set)
            return b'{"models": [{"name": "digits", "state": "ready", "containment": %s}]}' % report

        server.status = status
        cluster = Cluster(server.url, "marina")
        reports = ContainmentReports(cluster, lambda: changes.append(1))
        service = inference_services.parse({"metadata": METADATA})
        pod = pods.parse(
            {
                "metadata": METADATA,
                "spec": {"containers": [{"name": pods.MODEL, "ports": [{"containerPort": server.port}]}]},
                "status": {
                    "podIP": "127.0.0.1",
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [container(pods.MODEL, running={})],
                },
            }
        )
        assert pod is not None
        task = asyncio.create_task(reports.follow())
        reports.see({"digits": service}, {"digits": [pod]})
        await asyncio.wait_for(asked.wait(), 5)
        # Known, or forgotten until the next round.
        await until_async(lambda: not reports._unasked)
        task.cancel()
        await cluster.close()

    with V2Server() as server:
        asyncio.run(ask(server))
    assert len(changes) == woken
