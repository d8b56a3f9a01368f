"""Deployments that Helm owns."""

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.metadata_api.deploying.kserve.fake_kubernetes import ISVC, FakeKubernetes
from tests.metadata_api.deploying.kserve.stage import URL, inference_service, seen, shown
from tests.metadata_api.making import make_version
from tests.waiting import until


class TestHelm:
    """Deployments that Helm owns are shown, and changed by Helm alone."""

    @pytest.fixture
    def helms(self, api: httpx.Client, kubernetes: FakeKubernetes) -> None:
        kubernetes.put(ISVC, inference_service("digits", "Helm"))
        kubernetes.control("digits")
        until(lambda: api.get(f"{URL}/digits").status_code == 200 and shown(api)["ready"])

    def test_they_are_rows_that_follow_the_values(
        self, api: httpx.Client, kubernetes: FakeKubernetes, helms: None
    ) -> None:
        assert (shown(api)["owner"], shown(api)["version"], shown(api)["runtime"]) == (
            "helm",
            1,
            "torchserve",
        )
        own = {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}
        env = {"SERVING_MODEL_VERSION": "2", "SERVING_MODEL_STARTUP_SECONDS": "600"}
        kubernetes.put(
            ISVC, inference_service("digits", "Helm", version=2, replicas=2, resources=own, env=env)
        )
        kubernetes.control("digits")
        until(lambda: seen(api) == ("ready", 2, ""))
        assert (shown(api)["previous_version"], shown(api)["replicas"]) == (1, 2)
        assert shown(api)["resources"] == {"cpu": None, "memory": "1Gi"}
        assert (shown(api)["startup_seconds"], shown(api)["response_seconds"]) == (600, None)
        kubernetes.remove(ISVC, "digits")
        until(lambda: api.get(f"{URL}/digits").status_code == 404)
        assert kubernetes.written(ISVC) == []

    @pytest.mark.parametrize(
        ("method", "path", "body", "command"),
        [
            ("PATCH", "/digits", {"version": 2}, "experiments.digits.version=2"),
            (
                "PATCH",
                "/digits",
                {"runtime": "native", "replicas": 2},
                "experiments.digits.runtime=native --set experiments.digits.replicas=2",
            ),
            (
                "PATCH",
                "/digits",
                {"resources": {"cpu": "500m"}},
                "experiments.digits.resources.cpu=500m --set experiments.digits.resources.memory=null",
            ),
            ("PATCH", "/digits", {"resources": None}, "experiments.digits.resources=null"),
            ("PATCH", "/digits", {"startup_seconds": 600}, "experiments.digits.startupSeconds=600"),
            ("PATCH", "/digits", {"batch_delay_ms": 0}, "experiments.digits.batchDelayMs=0"),
            ("PATCH", "/digits", {"recording": None}, "experiments.digits.recording=null"),
            (
                "PATCH",
                "/digits",
                {"recording": {"rate": 1, "answers": False}},
                "experiments.digits.recording.rate=1.0 --set experiments.digits.recording.answers=false "
                "--set experiments.digits.recording.retentionDays=null",
            ),
            ("PATCH", "/digits", {"response_seconds": None}, "experiments.digits.responseSeconds=null"),
            ("POST", "/digits/stop", None, "experiments.digits=null"),
            ("DELETE", "/digits", None, "experiments.digits=null"),
            ("POST", "", {"experiment": "digits", "version": 3}, "experiments.digits.version=3"),
        ],
    )
    def test_a_change_is_a_409_with_the_command_to_run_instead(
        self,
        api: httpx.Client,
        kubernetes: FakeKubernetes,
        helms: None,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        command: str,
    ) -> None:
        answer = api.request(method, f"{URL}{path}", json=body)
        assert (answer.status_code, answer.json()["error"]) == (409, "owned_by_helm")
        said = answer.json()["detail"]
        assert "helm upgrade marina charts/marina --namespace models --reuse-values --set" in said
        assert command in said
        assert shown(api)["version"] == 1

    def test_a_version_of_another_environment_comes_with_the_environment(
        self, api: httpx.Client, engine: Engine, kubernetes: FakeKubernetes, helms: None
    ) -> None:
        make_version(engine, 7, environment="vision")
        said = api.patch(f"{URL}/digits", json={"version": 7}).json()["detail"]
        assert "experiments.digits.version=7 --set experiments.digits.environment=vision" in said

    def test_one_whose_version_is_not_registered_is_listed_apart(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.put(ISVC, inference_service("foreign", "Helm", experiment="unknown", version=7))
        until(lambda: bool(api.get(URL).json()["unregistered"]))
        [one] = api.get(URL).json()["unregistered"]
        assert (one["name"], one["storage_uri"]) == ("foreign", "http://artifacts/foreign.mar")
        assert (one["state"], one["reason"]) == ("pending", "KServe has not made its pods yet.")
        answer = api.post(URL, json={"experiment": "digits", "name": "foreign"})
        assert (answer.status_code, answer.json()["error"]) == (409, "owned_by_helm")

    def test_registering_it_makes_it_a_deployment(
        self, api: httpx.Client, kubernetes: FakeKubernetes, engine: Engine
    ) -> None:
        kubernetes.put(ISVC, inference_service("digits", "Helm", version=4))
        until(lambda: bool(api.get(URL).json()["unregistered"]))
        make_version(engine, 4)
        until(lambda: [item["owner"] for item in api.get(URL).json()["items"]] == ["helm"])
        assert api.get(URL).json()["unregistered"] == []

    def test_one_that_an_alias_points_at_stays_as_stopped(
        self, api: httpx.Client, kubernetes: FakeKubernetes, helms: None, engine: Engine
    ) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "insert into aliases (name, deployment_id, version_id) "
                    "select 'champion', id, version_id from deployments"
                )
            )
        kubernetes.remove(ISVC, "digits")
        until(lambda: seen(api) == ("stopped", None, ""))
