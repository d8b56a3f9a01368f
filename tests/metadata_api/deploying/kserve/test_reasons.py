"""What is seen of InferenceServices and their pods comes back as states and reasons."""

from typing import Any

import httpx
import pytest

from tests.metadata_api.deploying.kserve.fake_kubernetes import (
    ISVC,
    POD,
    FakeKubernetes,
    container,
    rejecting,
    status_of,
)
from tests.metadata_api.deploying.kserve.stage import URL, deploy, seen, shown
from tests.metadata_api.servers import V2Server
from tests.waiting import until


class TestReasons:
    """A version that cannot be served is failed with its reason, while the old one is said to answer."""

    @pytest.mark.parametrize(
        ("status", "state", "reason"),
        [
            (
                {
                    "initContainerStatuses": [
                        container(
                            "storage-initializer",
                            waiting={"reason": "CrashLoopBackOff"},
                            last={"exitCode": 1, "message": "Traceback\nRuntimeError: 404 Not Found"},
                        )
                    ]
                },
                "failed",
                "The archive cannot be fetched: RuntimeError: 404 Not Found",
            ),
            (
                {
                    "containerStatuses": [
                        container(
                            "kserve-container",
                            running={"startedAt": "now"},
                            last={"exitCode": 137, "reason": "OOMKilled"},
                        )
                    ]
                },
                "failed",
                "needs more memory",
            ),
            (
                {
                    "containerStatuses": [
                        container(
                            "kserve-container", terminated={"exitCode": 1, "message": "sha256 is aa, not bb"}
                        )
                    ]
                },
                "failed",
                "The model's process ended: sha256 is aa, not bb",
            ),
            (
                {
                    "containerStatuses": [
                        container("kserve-container", waiting={"reason": "ImagePullBackOff"})
                    ]
                },
                "failed",
                "The image marina-serving:0.1.0 cannot be pulled",
            ),
            (
                {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: cpu"}]},
                "pending",
                "No node can take the pod: 0/1 nodes: cpu",
            ),
        ],
        ids=["fetch", "memory", "crash", "image", "node"],
    )
    def test_a_rollout_that_fails(
        self,
        api: httpx.Client,
        kubernetes: FakeKubernetes,
        status: dict[str, Any],
        state: str,
        reason: str,
    ) -> None:
        deploy(api)
        kubernetes.broken["digits", "2"] = status
        api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
        until(lambda: seen(api)[:2] == (state, 1) and reason in seen(api)[2])
        # The InferenceService itself goes on saying Ready.
        assert kubernetes.find(ISVC, "digits")["status"]["conditions"][1]["status"] == "True"
        api.post(f"{URL}/digits/rollback").raise_for_status()
        until(lambda: seen(api) == ("ready", 1, ""))

    def test_a_model_whose_process_lives_says_itself_why_it_cannot_be_served(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        reason = "the archive's sha256 is 000000000000..., registered was 111111111111..."
        with V2Server() as pod:
            pod.status = lambda: (
                b'{"models": [{"name": "digits", "state": "failed", "reason": "%s"}]}' % reason.encode()
            )
            kubernetes.broken["digits", "2"] = {
                "phase": "Running",
                "podIP": "127.0.0.1",
                "containerStatuses": [container("kserve-container", running={})],
            }
            deploy(api)
            original = kubernetes.put
            port = {"name": "kserve-container", "ports": [{"containerPort": pod.port}]}
            kubernetes.put = lambda plural, item: original(  # type: ignore[method-assign]
                plural, {**item, "spec": {"containers": [port]}} if plural == POD else item
            )
            api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
            until(lambda: seen(api) == ("failed", 1, reason))

    def test_a_ready_pod_says_how_its_model_is_contained(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        assert shown(api)["observed"]["containment"] is None
        with V2Server() as pod:
            pod.status = lambda: (
                b'{"models": [{"name": "digits", "state": "ready", "containment": {"landlock": 7}}]}'
            )
            port = {"name": "kserve-container", "ports": [{"containerPort": pod.port}]}
            running = {
                "podIP": "127.0.0.1",
                "containerStatuses": [container("kserve-container", running={})],
            }
            original = kubernetes.put

            def put(plural: str, item: dict[str, Any]) -> Any:
                if plural == POD:
                    item = {**item, "spec": {"containers": [port]}, "status": {**item["status"], **running}}
                return original(plural, item)

            kubernetes.put = put  # type: ignore[method-assign]
            api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
            until(lambda: shown(api)["observed"]["containment"] == {"landlock": 7})

    def test_a_first_version_that_cannot_be_served_answers_nothing(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.broken["digits", "1"] = {
            "containerStatuses": [container("kserve-container", terminated={"exitCode": 1})]
        }
        api.post(URL, json={"experiment": "digits", "version": 1}).raise_for_status()
        until(lambda: seen(api)[:2] == ("failed", None))
        assert "exit code 1" in seen(api)[2]

    def test_an_inference_service_that_kserve_cannot_use_is_failed_in_its_words(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.kserve = False
        api.post(URL, json={"experiment": "digits", "version": 1}).raise_for_status()
        until(lambda: kubernetes.names(ISVC) == ["digits"])
        until(lambda: seen(api) == ("pending", None, "KServe has not made its pods yet."))
        service = kubernetes.find(ISVC, "digits")
        info = {
            "reason": "NoSupportingRuntime",
            "message": "No ServingRuntimes with the name: marina-torchserve",
        }
        service["status"] = {
            **status_of("False", "no runtime"),
            "modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": info},
        }
        kubernetes.put(ISVC, service)
        until(lambda: seen(api) == ("failed", None, info["message"]))

    def test_pods_that_may_not_be_listed_leave_what_the_service_says(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.reject = rejecting(status=403, message="forbidden", plural=POD)
        deploy(api)
        assert seen(api) == ("ready", 1, "")
