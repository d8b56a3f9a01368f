"""The release's own pods and parts, its API and database, and models: each thing that can be wrong has its line."""

from typing import Any

import pytest

from marina_doctor.observed import HttpResponse
from tests.e2e.sdk.doctor.objects import (
    config_map,
    deployment,
    event,
    lines,
    of_release,
    pod,
    runtime,
    service,
    stateful_set,
    typed,
    well,
)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(message: str = "", reason: str = "Error", code: int = 1) -> dict[str, Any]:
    last = {"exitCode": code, "reason": reason, "message": message}
    return {**waiting("CrashLoopBackOff"), "lastState": {"terminated": last}, "restartCount": 4}


UI: dict[str, Any] = {
    "deployments": [deployment("marina-metadata-api", "metadata-api"), deployment("marina-ui", "ui", ready=0)]
}
PODS: dict[str, tuple[dict[str, Any], str]] = {
    "image": (
        {"container": waiting("ErrImageNeverPull")},
        "the image marina-ui:0.1.0 cannot be pulled (ErrImageNeverPull). Check its name, tag and pull secret",
    ),
    "secret": (
        {"container": waiting("CreateContainerConfigError", 'secret "x" not found')},
        'the container ui cannot be started: secret "x" not found. Make the Secret',
    ),
    "crash": (
        {"container": ended("Traceback\n  File\nValueError: no port")},
        "the container ui ended, 4 restarts: ValueError: no port. Read all of it: kubectl --namespace models logs",
    ),
    "crash-without-a-word": ({"container": ended()}, "ended, 4 restarts: exit code 1, Error"),
    "memory": (
        {"container": ended("", "OOMKilled", 137)},
        "needed more memory than its limit and was killed",
    ),
    "no-node": (
        {"unschedulable": "0/1 nodes are available: 1 Insufficient cpu."},
        "no node can take the pod: 0/1 nodes are available: 1 Insufficient cpu. Add a node",
    ),
    "no-volume": (
        {"unschedulable": "pod has unbound immediate PersistentVolumeClaims"},
        "Look at the lines on storage",
    ),
}


class TestPods:
    @pytest.mark.parametrize(("broken", "line"), PODS.values(), ids=PODS)
    def test_a_part_without_a_pod_that_works(self, broken: dict[str, Any], line: str) -> None:
        found = lines(well(**UI, pods=[pod("marina-ui-1", "ui", **broken)]))
        assert line in next(one for one in found if one.startswith("FAIL  pods: marina-ui-1: "))

    def test_a_rollout_that_fails_while_the_former_pods_answer(self) -> None:
        broken = pod("marina-ui-2", "ui", container=waiting("ErrImagePull"))
        [line] = lines(well(pods=[pod("marina-ui-1", "ui", ready=True), broken]))
        assert line.startswith("warn  pods: marina-ui-2: the image marina-ui:0.1.0 cannot be pulled")

    def test_the_same_trouble_of_many_pods_is_one_line(self) -> None:
        many = [pod(f"marina-ui-{n}", "ui", container=waiting("ErrImagePull")) for n in range(3)]
        assert sum("cannot be pulled" in line for line in lines(well(**UI, pods=many))) == 1

    def test_the_log_tells_what_the_container_did_not(self) -> None:
        broken = pod("marina-ui-1", "ui", container=ended())
        found = lines(well(**UI, pods=[broken], logs={"marina-ui-1/ui": "no such table"}))
        assert any("the container ui ended, 4 restarts: no such table" in line for line in found)

    def test_a_volume_that_cannot_be_mounted(self) -> None:
        broken = pod("marina-ui-1", "ui", container=waiting("ContainerCreating"))
        told = event("FailedMount", 'secret "marina-postgres" not found', kind="Pod", name="marina-ui-1")
        found = lines(well(**UI, pods=[broken], warnings=[told]))
        assert any('a volume cannot be mounted: secret "marina-postgres" not found' in line for line in found)

    def test_one_that_only_starts_is_waited_for(self) -> None:
        starting = pod("marina-ui-1", "ui", container={"state": {"running": {}}})
        found = lines(well(**UI, pods=[starting]))
        assert any(line.startswith("warn  pods: marina-ui-1 has been starting for ") for line in found)

    def test_pods_of_tests_and_of_others_are_ignored(self) -> None:
        broken = [pod("t", "test", container=ended("x")), pod("o", container=ended("x"), service="")]
        assert lines(well(pods=broken)) == []


class TestParts:
    def test_a_part_that_is_stopped(self) -> None:
        sets = [stateful_set("marina-postgres", "postgres", replicas=0, ready=0)]
        assert lines(well(stateful_sets=sets)) == [
            "FAIL  workloads: marina-postgres is scaled to 0. "
            "kubectl --namespace models scale statefulset marina-postgres --replicas 1"
        ]

    def test_a_part_that_is_gone(self) -> None:
        assert lines(well(stateful_sets=[])) == [
            "FAIL  workloads: marina-postgres does not exist. Make it again: `make deploy`"
        ]

    @pytest.mark.parametrize(
        ("failure", "line"),
        [
            (
                'pods "a" is forbidden: exceeded quota: small, requested: pods=1',
                "its pods do not fit into the quota",
            ),
            (
                'pods "a" is forbidden: violates PodSecurity "restricted:latest"',
                "Pod Security does not let its pods in",
            ),
            (
                'pods "a" is forbidden: failed quota: q: must specify limits.cpu',
                "Make a LimitRange with defaults",
            ),
            (
                'pods "a" is forbidden: maximum memory usage per Container is 1Mi',
                "its pods are not made: maximum memory",
            ),
        ],
        ids=["quota", "pod-security", "unstated", "limit-range"],
    )
    def test_a_part_whose_pods_may_not_be_made(self, failure: str, line: str) -> None:
        api = deployment("marina-metadata-api", "metadata-api")
        found = lines(well(deployments=[api, deployment("marina-ui", "ui", ready=0, failure=failure)]))
        assert any(one.startswith("FAIL  workloads: marina-ui: ") and line in one for one in found)

    def test_a_stateful_set_says_so_by_its_events(self) -> None:
        told = event(
            "FailedCreate", "is forbidden: exceeded quota: small", kind="StatefulSet", name="marina-postgres"
        )
        found = lines(
            well(stateful_sets=[stateful_set("marina-postgres", "postgres", ready=0)], warnings=[told])
        )
        assert any("marina-postgres: its pods do not fit into the quota" in line for line in found)

    def test_starter_experiments_that_were_not_registered(self) -> None:
        status = {"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]}
        job = typed({"metadata": of_release("marina-starter-1", "starter"), "status": status}, "V1Job")
        [line] = lines(well(jobs=[job]))
        assert line.startswith(
            "warn  workloads: the Job marina-starter-1 did not succeed (the starter experiments"
        )

    def test_a_release_that_helm_did_not_finish(self) -> None:
        assert lines(well(status="failed"))[0].startswith("warn  release: Helm says that marina is failed")
        assert "an upgrade runs, or was interrupted" in lines(well(status="pending-upgrade"))[0]


class TestTheApi:
    def test_its_database_does_not_answer(self) -> None:
        body = '{"error": "database_unavailable", "detail": "The database does not answer."}'
        [line] = lines(well(readyz=HttpResponse(503, body)))
        assert line.startswith(
            "FAIL  database: the API says: The database does not answer. Bring marina-postgres up"
        )

    def test_it_is_not_ready_for_another_reason(self) -> None:
        [line] = lines(well(readyz=HttpResponse(500, "oops")))
        assert line.startswith("FAIL  api: it is not ready: oops. Read kubectl logs")

    @pytest.mark.parametrize(
        "body", ["{'status': 'ok', 'warning': 'not written'}", '{"warning": "not written"}']
    )
    def test_what_it_warns_of_is_shown_and_stops_nothing(self, body: str) -> None:
        assert "warn  api: not written. Read kubectl logs deployment/marina-metadata-api" in lines(
            well(readyz=HttpResponse(200, body))
        )

    def test_no_pod_of_it_runs(self) -> None:
        assert lines(well(readyz=None))[-1].startswith("FAIL  api: no pod of the API runs")

    def test_a_user_who_may_not_ask_it(self) -> None:
        assert lines(well(readyz=HttpResponse(403, "forbidden")))[0].startswith(
            "warn  api: this user may not ask it"
        )


SERVICES: dict[str, tuple[dict[str, Any], str]] = {
    "archive": (
        {"pods": [pod("digits-1", service="digits", init=ended("RuntimeError: 404 Not Found"))]},
        "digits does not answer: the archive cannot be fetched: RuntimeError: 404 Not Found. Check that the API",
    ),
    "process": (
        {
            "pods": [
                pod(
                    "digits-1",
                    service="digits",
                    container=ended("2026-01-01 00:00:00 ERROR [load] No weights"),
                )
            ]
        },
        "the model's process ended, 4 restarts: No weights",
    ),
    "image": (
        {
            "pods": [
                pod("digits-1", service="digits", container=waiting("ImagePullBackOff"), image="serving:9")
            ]
        },
        "the image serving:9 cannot be pulled (ImagePullBackOff)",
    ),
    "rejected": (
        {
            "pods": [],
            "deployments": [
                *well().deployments,  # type: ignore[misc]
                deployment("digits-predictor", "x", ready=0, failure="is forbidden: exceeded quota: small"),
            ],
        },
        "its pods do not fit into the quota",
    ),
    "self-test": (
        {
            "pods": [pod("digits-1", service="digits", container={"state": {"running": {}}})],
            "model_status": {"digits-1": "The golden inference gives 3 instead of 5."},
        },
        "digits does not answer: The golden inference gives 3 instead of 5",
    ),
    "runtime": (
        {"services": [service("digits", runtime="gone")]},
        "digits names the ServingRuntime gone, which does not exist. Make that runtime",
    ),
    "disabled-runtime": (
        {
            "services": [service("digits", runtime="old")],
            "runtimes": [
                runtime("old", disabled=True),
                runtime("marina-native"),
                runtime("marina-torchserve"),
            ],
        },
        "digits names the ServingRuntime old, which is disabled",
    ),
    "not-looked-at": (
        {"services": [service("digits", "")]},
        "KServe has not looked at digits since it was made",
    ),
    "another-mode": (
        {"services": [service("digits", deploymentMode="Knative")]},
        "digits runs in mode Knative, and Marina needs Standard",
    ),
    "kserves-own-words": (
        {"services": [service("digits", modelStatus={"lastFailureInfo": {"message": "unknown protocol"}})]},
        "digits is not ready: unknown protocol. kubectl --namespace models describe isvc digits",
    ),
}


class TestModels:
    @pytest.mark.parametrize(("broken", "line"), SERVICES.values(), ids=SERVICES)
    def test_why_one_does_not_answer(self, broken: dict[str, Any], line: str) -> None:
        [found] = [
            one for one in lines(well(**{"services": [service("digits")], **broken})) if " models: " in one
        ]
        assert found.startswith("FAIL  models: ")
        assert line in found

    def test_a_new_version_fails_while_the_former_answers(self) -> None:
        broken = pod("digits-2", service="digits", init=ended("404"))
        found = lines(well(pods=[pod("digits-1", service="digits", ready=True), broken]))
        assert found[-1].startswith(
            "warn  models: digits answers in its former version: the archive cannot be fetched"
        )

    def test_one_that_loads_is_waited_for(self) -> None:
        loading = pod("digits-1", service="digits", container={"state": {"running": {}}})
        found = lines(well(services=[service("digits")], pods=[loading]))
        assert found[-1].startswith("warn  models: digits has been loading for ")

    def test_one_that_is_stopped(self) -> None:
        stopped = service("digits")
        stopped.metadata.annotations = {"serving.kserve.io/stop": "true"}
        assert lines(well(services=[stopped]))[0].startswith(
            "warn  models: digits is stopped by its annotation"
        )

    def test_a_runtime_of_the_release_that_is_gone(self) -> None:
        found = lines(well(runtimes=[runtime("marina-native")]))
        assert found == [
            "FAIL  runtimes: the ServingRuntime marina-torchserve of the release does not exist: "
            "no model of that kind can be deployed. Make it again: `make deploy`"
        ]

    def test_a_runtime_of_the_cluster_will_do(self) -> None:
        shared = typed(
            {"metadata": {"name": "theirs"}, "spec": {"containers": []}}, "V1alpha1ClusterServingRuntime"
        )
        assert (
            lines(well(services=[service("digits", "True", runtime="theirs")], cluster_runtimes=[shared]))
            == []
        )

    def test_the_default_mode_of_others_changes_nothing_for_a_model(self) -> None:
        found = lines(well(kserve_config=config_map('{"defaultDeploymentMode": "Knative"}')))
        assert [line for line in found if line.startswith("FAIL")] == []
