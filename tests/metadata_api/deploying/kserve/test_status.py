"""What the objects and pods of a deployment say about its status; pure functions."""

from typing import Any

import pytest

from metadata_api.deploying.base import Recording, Resources, ServingOptions
from metadata_api.deploying.kserve import inference_services, pods
from metadata_api.deploying.kserve.pods import Pod, PodProblem
from metadata_api.deploying.kserve.status import derive, is_settled


def service(**changes: Any) -> inference_services.Service:
    known: dict[str, Any] = {
        "name": "a",
        "uid": "u",
        "generation": 1,
        "manager": "marina-metadata-api",
        "deleting": False,
        "experiment": "a",
        "version": 2,
        "runtime": "torchserve",
        "replicas": 1,
        "storage_uri": "",
        "resources": Resources(),
        "options": ServingOptions(),
        "recording": Recording(),
        "ready": True,
        "problem": None,
        "failure": None,
    }
    return inference_services.Service(**{**known, **changes})


def pod(
    version: int,
    *,
    ready: bool = True,
    problem: PodProblem | None = None,
    created: str = "1",
    terminating: bool = False,
    template: str = "",
) -> Pod:
    template = template or f"t{version}"
    return Pod("a", version, "torchserve", template, created, ready, problem, None, terminating)


BAD = PodProblem("failed", "it fails")
NO_NODE = PodProblem("pending", "no node")


@pytest.mark.parametrize(
    ("found", "running", "expected"),
    [
        (service(), None, ("ready", 2, None)),
        (service(), [pod(2)], ("ready", 2, None)),
        (service(), [pod(1)], ("starting", 1, None)),
        (service(), [pod(1), pod(2, ready=False, created="2")], ("starting", 1, None)),
        (service(), [pod(1), pod(2, created="2")], ("starting", 2, None)),
        (service(), [pod(1, terminating=True), pod(2, created="2")], ("starting", 2, None)),
        (service(), [pod(2, terminating=True), pod(2, created="2")], ("ready", 2, None)),
        (service(), [pod(2, terminating=True)], ("pending", None, "KServe has not made its pods yet.")),
        (service(), [pod(1), pod(2, ready=False, problem=BAD, created="2")], ("failed", 1, "it fails")),
        (service(ready=False), [pod(2, ready=False, problem=BAD)], ("failed", None, "it fails")),
        (
            service(replicas=2),
            [pod(2), pod(2, ready=False, problem=BAD, created="2")],
            ("ready", 2, "1 of 2 replicas answer. it fails"),
        ),
        (service(replicas=2), [pod(2)], ("ready", 2, "1 of 2 replicas answer.")),
        (service(ready=False), [pod(2)], ("starting", 2, None)),
        # Other resources: the old pod answers, and for the new one there is no room.
        (
            service(),
            [pod(2), pod(2, ready=False, problem=NO_NODE, created="2", template="more")],
            ("pending", 2, "no node"),
        ),
        (
            service(ready=False, problem="quota"),
            [],
            ("pending", None, "quota"),
        ),
        (service(ready=False, failure="no runtime"), [pod(1)], ("failed", 1, "no runtime")),
        (
            service(deleting=True),
            [pod(2)],
            ("pending", None, "The earlier InferenceService of this name is being deleted."),
        ),
    ],
)
def test_what_a_deployment_is_doing(
    found: inference_services.Service, running: list[Pod] | None, expected: tuple[str, int | None, str | None]
) -> None:
    seen = derive(found, running)
    assert (seen.state, seen.live, seen.reason) == expected


@pytest.mark.parametrize(
    ("running", "settled"),
    [
        ([pod(2)], True),
        ([pod(1)], False),
        ([pod(2), pod(1)], False),
        ([pod(2), pod(1, terminating=True)], False),
        ([pod(2, terminating=True)], False),
        ([pod(2, ready=False)], False),
        ([], False),
    ],
)
def test_only_pods_that_all_answer_in_the_desired_version_are_settled(
    running: list[Pod], settled: bool
) -> None:
    assert is_settled(service(), running) is settled


@pytest.mark.parametrize(("ready", "kept"), [("True", True), ("False", False)])
def test_a_pod_on_its_way_out_counts_as_long_as_it_answers(ready: str, kept: bool) -> None:
    item = {
        "metadata": {"name": "p", "deletionTimestamp": "2026-11-24T19:18:57Z"},
        "spec": {},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }
    found = pods.parse(item)
    assert (found is not None and found.terminating) is kept


def test_a_reason_is_the_end_of_the_log_without_its_head() -> None:
    log = (
        "starting\n2026-11-24 19:18:57.706 1 storage.initializer ERROR [initializer-entrypoint:<module>():28] "
        "Storage initialization failed: status code 503.\n"
    )
    ended = {"name": "storage-initializer", "lastState": {"terminated": {"exitCode": 1, "message": log}}}
    item = {"metadata": {"name": "p"}, "status": {"initContainerStatuses": [ended]}}
    found = pods.parse(item)
    assert found is not None
    assert found.problem == PodProblem(
        "failed", "The archive cannot be fetched: Storage initialization failed: status code 503."
    )


def test_a_fetch_that_worked_in_the_end_is_no_trouble_any_more() -> None:
    fetched = {
        "name": "storage-initializer",
        "state": {"terminated": {"exitCode": 0}},
        "lastState": {"terminated": {"exitCode": 1, "message": "connection rejected"}},
    }
    item = {
        "metadata": {"name": "p", "labels": {"marina/version": "2"}},
        "spec": {},
        "status": {"initContainerStatuses": [fetched]},
    }
    found = pods.parse(item)
    assert found is not None
    assert found.problem is None


@pytest.mark.parametrize("status", [b"", b"[]", b'{"models": []}', b'{"models": [{"state": "ready"}]}'])
def test_a_process_that_says_nothing_of_use_gives_no_reason(status: bytes) -> None:
    assert pods.reason_of_status(status) is None
