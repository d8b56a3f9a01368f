"""What is desired becomes InferenceServices and routes."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from metadata_api.settings import Settings
from tests.metadata_api.deploying.kserve.fake_kubernetes import (
    INGRESS,
    ISVC,
    POD,
    ROUTE,
    FakeKubernetes,
    rejecting,
)
from tests.metadata_api.deploying.kserve.stage import (
    CONFIG,
    URL,
    deploy,
    inference_service,
    kserve_settings,
    seen,
    shown,
)
from tests.metadata_api.deploying.rounds import QUICK, wait_for_rounds
from tests.metadata_api.servers import running
from tests.waiting import until


class TestWriting:
    """From the database to the cluster."""

    def test_a_deployment_becomes_an_inference_service_and_a_route_that_it_owns(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        service = kubernetes.find(ISVC, "digits")
        model = service["spec"]["predictor"]["model"]
        assert model["storageUri"] == f"{CONFIG['artifact_url']}/digits/1/digits.mar"
        route = kubernetes.find(INGRESS, "digits-v2")
        [owner] = route["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("InferenceService", service["metadata"]["uid"])
        assert shown(api)["url"] == "http://marina.example/v2/models/digits"
        assert [kubernetes.written(kind) for kind in (ISVC, INGRESS)] == [["digits"], ["digits-v2"]]

    def test_a_change_rolls_out_and_a_rollback_rolls_back(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
        until(lambda: seen(api) == ("ready", 2, ""))
        assert "/2/digits.mar" in kubernetes.find(ISVC, "digits")["spec"]["predictor"]["model"]["storageUri"]
        api.post(f"{URL}/digits/rollback").raise_for_status()
        until(lambda: seen(api) == ("ready", 1, ""))

    def test_a_change_of_the_runtime_or_the_replicas_is_passed_on(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        api.patch(f"{URL}/digits", json={"runtime": "native", "replicas": 3}).raise_for_status()
        until(lambda: len(kubernetes.names(POD)) == 3 and shown(api)["ready"])
        predictor = kubernetes.find(ISVC, "digits")["spec"]["predictor"]
        assert (predictor["minReplicas"], predictor["model"]["runtime"]) == (3, "marina-native")
        assert (shown(api)["runtime"], shown(api)["replicas"]) == ("native", 3)

    def test_resources_of_a_deployment_are_passed_on_and_taken_back(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        def written() -> object:
            return kubernetes.find(ISVC, "digits")["spec"]["predictor"]["model"].get("resources")

        deploy(api, resources={"cpu": "500m"})
        assert written() == {"requests": {"cpu": "500m"}, "limits": {"cpu": "500m"}}
        api.patch(f"{URL}/digits", json={"resources": None}).raise_for_status()
        until(lambda: written() is None)

    def test_what_is_deleted_or_stopped_goes_with_its_route(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        deploy(api, name="second")
        api.delete(f"{URL}/digits").raise_for_status()
        api.post(f"{URL}/second/stop").raise_for_status()
        until(lambda: kubernetes.names(ISVC) == kubernetes.names(INGRESS) == [])
        until(lambda: seen(api, "second") == ("stopped", None, ""))

    def test_what_is_not_desired_is_deleted_only_if_it_is_ours(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        for name, manager, release in [
            ("orphan", "marina-metadata-api", "marina"),
            ("helms", "Helm", "marina"),
            ("neighbours", "marina-metadata-api", "other"),
        ]:
            kubernetes.put(ISVC, inference_service(name, manager, release))
            kubernetes.put(INGRESS, inference_service(f"{name}-v2", manager, release) | {"spec": {}})
        until(lambda: kubernetes.names(ISVC) == ["helms", "neighbours"])
        until(lambda: kubernetes.names(INGRESS) == ["helms-v2", "neighbours-v2"])

    def test_what_was_deleted_or_changed_behind_our_back_is_put_right(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        first = kubernetes.find(ISVC, "digits")["metadata"]["uid"]
        kubernetes.remove(ISVC, "digits")
        until(lambda: kubernetes.names(ISVC) == ["digits"] and kubernetes.names(INGRESS) == ["digits-v2"])
        service = kubernetes.find(ISVC, "digits")
        assert service["metadata"]["uid"] != first
        until(lambda: shown(api)["ready"])
        kubernetes.remove(INGRESS, "digits-v2")
        until(lambda: kubernetes.names(INGRESS) == ["digits-v2"])
        service["spec"]["predictor"]["model"]["storageUri"] = "http://elsewhere"
        kubernetes.put(ISVC, service)
        until(
            lambda: "artifacts" in kubernetes.find(ISVC, "digits")["spec"]["predictor"]["model"]["storageUri"]
        )

    def test_nothing_is_written_again_while_nothing_changes(
        self, api: httpx.Client, kubernetes: FakeKubernetes, reconciling: FastAPI
    ) -> None:
        deploy(api)
        before = len(kubernetes.written(ISVC))
        wait_for_rounds(reconciling, 10)
        assert len(kubernetes.written(ISVC)) == before

    @pytest.mark.parametrize("labelled", [False, True])
    def test_an_object_of_another_owner_is_not_taken_over(
        self, api: httpx.Client, kubernetes: FakeKubernetes, labelled: bool
    ) -> None:
        item_labels = {"app.kubernetes.io/instance": "marina"} if labelled else {}
        theirs = {"predictor": {"model": {"modelFormat": {"name": "theirs"}}}}
        kubernetes.put(ISVC, {"metadata": {"name": "digits", "labels": item_labels}, "spec": theirs})
        api.post(URL, json={"experiment": "digits"}).raise_for_status()
        until(lambda: seen(api)[0] == "failed")
        assert "not made by Marina" in seen(api)[2]
        assert kubernetes.find(ISVC, "digits")["spec"] == theirs

    def test_one_that_is_refused_says_why_and_holds_up_no_other(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.reject = rejecting(
            status=403, message="exceeded quota: pods=10", method="PATCH", name="digits"
        )
        api.post(URL, json={"experiment": "digits"}).raise_for_status()
        deploy(api, name="second")
        assert seen(api)[0] == "failed"
        assert "does not allow" in seen(api)[2]
        assert "exceeded quota" in seen(api)[2]
        kubernetes.reject = rejecting()
        until(lambda: shown(api)["ready"])

    def test_without_kserve_the_reason_says_so(self, api: httpx.Client, kubernetes: FakeKubernetes) -> None:
        deploy(api)
        kubernetes.reject = rejecting(status=404, message="not found", method="PATCH")
        api.post(URL, json={"experiment": "digits", "name": "second"}).raise_for_status()
        until(lambda: "does not know InferenceServices" in seen(api, "second")[2])


def test_with_a_gateway_the_route_is_an_http_route_and_its_refusal_is_told(
    settings: Settings, kubernetes: FakeKubernetes, engine: Engine, tmp_path: Path
) -> None:
    gateway = {"name": "traefik", "namespace": "traefik", "section": ""}
    config = {**CONFIG, "expose": {"mode": "gateway", "gateway": gateway}}
    with running(create_app(kserve_settings(engine, kubernetes, tmp_path, config), QUICK)) as address:
        api = httpx.Client(base_url=address, timeout=30)
        deploy(api)
        until(lambda: kubernetes.names(ROUTE) == ["digits-v2"])
        route = kubernetes.find(ROUTE, "digits-v2")
        said = {"reason": "NoMatchingParent", "message": "no listener takes it"}
        condition = {
            "type": "Accepted",
            "status": "False",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            **said,
        }
        parent = {
            "controllerName": "traefik.io/gateway-controller",
            "parentRef": route["spec"]["parentRefs"][0],
        }
        kubernetes.put(ROUTE, {**route, "status": {"parents": [{**parent, "conditions": [condition]}]}})
        until(lambda: seen(api) == ("ready", 1, "It is not reachable from outside: no listener takes it"))
        api.close()


def test_routes_of_another_mode_are_removed_once_the_new_ones_are_there(
    settings: Settings, kubernetes: FakeKubernetes, engine: Engine, tmp_path: Path
) -> None:
    with running(create_app(kserve_settings(engine, kubernetes, tmp_path, CONFIG), QUICK)) as address:
        with httpx.Client(base_url=address, timeout=30) as api:
            deploy(api)
        until(lambda: kubernetes.names(INGRESS) == ["digits-v2"])
    (tmp_path / "next").mkdir()
    gateway = {"name": "traefik", "namespace": "traefik", "section": ""}
    config = {**CONFIG, "expose": {"mode": "gateway", "gateway": gateway}}
    with running(create_app(kserve_settings(engine, kubernetes, tmp_path / "next", config), QUICK)):
        until(lambda: kubernetes.names(ROUTE) == ["digits-v2"])
        until(lambda: kubernetes.names(INGRESS) == [])


def test_after_a_restore_what_serves_is_left_until_it_is_confirmed(
    api: httpx.Client, engine: Engine, kubernetes: FakeKubernetes
) -> None:
    deploy(api, version=2)
    with engine.begin() as connection:
        connection.execute(text("insert into restores (dump) values ('yesterday.dump')"))
    with engine.begin() as connection:
        connection.execute(text("delete from deployments"))
    until(lambda: api.get("/v1/restore").json()["withheld"] == ["Remove deployment digits, version 2."])
    assert kubernetes.names(ISVC) == ["digits"]
    api.post("/v1/restore/confirm").raise_for_status()
    until(lambda: kubernetes.names(ISVC) == [])
