"""Kubernetes and KServe: each thing that can be wrong has its line."""

from typing import Any

import pytest

from marina_doctor.observed import HttpResponse
from tests.e2e.sdk.doctor.objects import (
    before,
    conditions,
    config_map,
    controller,
    lines,
    pod,
    typed,
    values,
    well,
)


def node(**more: Any) -> Any:
    document = {
        "metadata": {"name": "node-1"},
        "spec": more,
        "status": conditions(Ready="True", DiskPressure="True"),
    }
    return typed(document, "V1Node")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "old-kubernetes": (
        {"kubernetes": "v1.29.9"},
        "FAIL  kubernetes: v1.29.9 is too old. Upgrade the cluster to 1.30",
    ),
    "no-node": ({"nodes": []}, "FAIL  nodes: none of 0 nodes takes pods"),
    "cordoned": ({"nodes": [node(unschedulable=True)]}, "FAIL  nodes: none of 1 nodes takes pods"),
    "disk-pressure": ({"nodes": [node()]}, "warn  nodes: node-1 has DiskPressure"),
    "no-kserve": (
        {"kinds": {"serving.kserve.io/v1beta1": [], "serving.kserve.io/v1alpha1": []}},
        "FAIL  kserve: the cluster does not have KServe's kinds. Install it with `make kserve`",
    ),
    "kind-not-served": (
        {"kinds": {"serving.kserve.io/v1beta1": ["inferenceservices"], "serving.kserve.io/v1alpha1": []}},
        "FAIL  kserve: the cluster does not serve servingruntimes in serving.kserve.io/v1alpha1",
    ),
    "no-controller": ({"controllers": []}, "FAIL  kserve: there is no controller kserve-controller-manager"),
    "stopped-controller": (
        {"controllers": [controller(replicas=0, ready=0)]},
        "FAIL  kserve: its controller is scaled to 0: no model is deployed or changed. "
        "kubectl --namespace kserve scale deployment kserve-controller-manager --replicas 1",
    ),
    "broken-controller": (
        {
            "controllers": [controller(ready=0)],
            "controller_pods": [pod("c", container={"state": {"waiting": {"reason": "ImagePullBackOff"}}})],
        },
        "FAIL  kserve: its controller is not ready (ImagePullBackOff of marina-ui:0.1.0)",
    ),
    "old-kserve": (
        {"controllers": [controller("kserve/kserve-controller:v0.15.2")]},
        "FAIL  kserve: version v0.15.2 is too old. Upgrade it to v0.20.0",
    ),
    "untested-kserve": (
        {"controllers": [controller("registry:5000/kserve-controller:v0.18.0@sha256:12")]},
        "warn  kserve: version v0.18.0 was never tested with Marina",
    ),
    "nameless-kserve": (
        {"controllers": [controller("registry:5000/kserve-controller:latest")]},
        "does not tell its version",
    ),
    "knative-mode": (
        {"kserve_config": config_map('{"defaultDeploymentMode": "Knative"}')},
        "warn  kserve: its default mode is Knative",
    ),
    "no-mode": ({"kserve_config": config_map("not JSON")}, "warn  kserve: its default mode is unknown"),
    "webhook-away": (
        {"webhook": HttpResponse(500, "failed calling webhook: no endpoints available for service")},
        "Bring its controller up: the webhook is a part of it",
    ),
    "webhook-certificate": (
        {
            "webhook": HttpResponse(
                500, "failed calling webhook: x509: certificate signed by unknown authority"
            )
        },
        "Renew its certificate: run `make kserve` again",
    ),
}


@pytest.mark.parametrize(("changed", "line"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_named_and_nothing_else(changed: dict[str, Any], line: str) -> None:
    [found] = lines(well(**changed))
    assert line in found


def test_without_kserve_in_the_values_its_absence_is_no_fault() -> None:
    observed = before(values(kserve__enabled=False), kinds={"serving.kserve.io/v1beta1": []}, controllers=[])
    assert lines(observed) == []
