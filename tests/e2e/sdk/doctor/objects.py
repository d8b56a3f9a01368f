"""Objects of a cluster as its API shows them, read by the client's and the SDK's typed models."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from kubernetes import client

from marina_doctor import report
from marina_doctor.cluster import ClientWithDeadline, register_kserve_models
from marina_doctor.findings import Finding
from marina_doctor.observed import HttpResponse, Observed
from marina_doctor.values import Release, Values, of_files

ROOT = Path(__file__).parents[4]
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
SERVICE = "serving.kserve.io/inferenceservice"


def typed(document: dict[str, Any], kind: str) -> Any:
    """The document as the typed model of that name."""
    return _reader().read(document, kind)


@cache
def _reader() -> ClientWithDeadline:
    register_kserve_models()
    return ClientWithDeadline(client.Configuration())


def values(**over: Any) -> Values:
    """The chart's values as `make deploy` gives them, with changes by dotted names (`expose__mode`)."""
    found = of_files([ROOT / "k8s" / "local-values.yaml"])
    for name, value in over.items():
        *path, last = name.split("__")
        block = found
        for key in path:
            block = block[key]
        block[last] = value
    return found


def before(given: Values | None = None, **observed: Any) -> Observed:
    """A cluster on which nothing is installed."""
    return Observed(Release("marina", "models", given or values()), **observed)


def installed(given: Values | None = None, **observed: Any) -> Observed:
    """A cluster with a release."""
    return Observed(Release("marina", "models", given or values(), status="deployed"), **observed)


def well(status: str = "deployed", **changed: Any) -> Observed:
    """A cluster on which all is well, but for what is changed."""
    parts = ("metadata-api", "ui")
    observed: dict[str, Any] = {
        "kubernetes": "v1.34.4",
        "kinds": {
            "serving.kserve.io/v1beta1": ["inferenceservices"],
            "serving.kserve.io/v1alpha1": ["servingruntimes"],
        },
        "nodes": [
            typed({"metadata": {"name": "node"}, "spec": {}, "status": conditions(Ready="True")}, "V1Node")
        ],
        "storage_classes": [storage_class("standard", default=True)],
        "ingress_classes": [ingress_class("traefik", default=True)],
        "controllers": [controller()],
        "kserve_config": config_map('{"defaultDeploymentMode": "Standard"}'),
        "webhook": HttpResponse(201, ""),
        "namespace": namespace(),
        "deployments": [deployment(f"marina-{part}", part) for part in parts],
        "stateful_sets": [stateful_set("marina-postgres", "postgres")],
        "pods": [pod(f"marina-{part}-1", part, ready=True) for part in (*parts, "postgres")],
        "claims": [claim(f"marina-{one}") for one in ("store", "backup")] + [claim("data-marina-postgres-0")],
        "services": [service("digits", ready="True")],
        "runtimes": [runtime("marina-native"), runtime("marina-torchserve")],
        "cluster_runtimes": [],
        "readyz": HttpResponse(200, "{'status': 'ok'}"),
        **changed,
    }
    return Observed(Release("marina", "models", values(), status=status), **observed)


def lines(observed: Observed) -> list[str]:
    """The report's lines that are not good news."""
    return [one.line() for one in report.findings(observed) if one.line()[:4] in ("FAIL", "warn")]


def said(found: list[Finding]) -> str:
    """All lines of some findings."""
    return "\n".join(one.line() for one in found)


def meta(name: str, **labels: str) -> dict[str, Any]:
    made = datetime.now(UTC) - timedelta(seconds=20)
    return {
        "name": name,
        "namespace": "models",
        "uid": f"uid-{name}",
        "creationTimestamp": made.isoformat(),
        "labels": labels,
    }


def of_release(name: str, component: str) -> dict[str, Any]:
    return meta(name, **{INSTANCE: "marina", COMPONENT: component})


def conditions(**statuses: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status} for kind, status in statuses.items()]}


def storage_class(name: str, *, default: bool = False) -> Any:
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return typed({"metadata": {"name": name, "annotations": notes}, "provisioner": "p"}, "V1StorageClass")


def ingress_class(name: str, *, default: bool = False) -> Any:
    notes = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    return typed({"metadata": {"name": name, "annotations": notes}, "spec": {}}, "V1IngressClass")


def namespace(**labels: str) -> Any:
    return typed({"metadata": meta("models", **labels)}, "V1Namespace")


def config_map(deploy: str) -> Any:
    return typed({"metadata": meta("inferenceservice-config"), "data": {"deploy": deploy}}, "V1ConfigMap")


def controller(image: str = "kserve/kserve-controller:v0.20.0", replicas: int = 1, ready: int = 1) -> Any:
    containers = [{"name": "manager", "image": image}]
    return typed(
        {
            "metadata": meta("kserve-controller-manager"),
            "spec": {"replicas": replicas, "selector": {}, "template": {"spec": {"containers": containers}}},
            "status": {"readyReplicas": ready},
        },
        "V1Deployment",
    )


def deployment(name: str, component: str, *, replicas: int = 1, ready: int = 1, failure: str = "") -> Any:
    status: dict[str, Any] = {"readyReplicas": ready, "updatedReplicas": ready}
    if failure:
        status["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": failure}]
    spec = {"replicas": replicas, "selector": {}, "template": {"spec": {"containers": []}}}
    return typed({"metadata": of_release(name, component), "spec": spec, "status": status}, "V1Deployment")


def stateful_set(name: str, component: str, *, replicas: int = 1, ready: int = 1) -> Any:
    spec = {
        "replicas": replicas,
        "serviceName": name,
        "selector": {},
        "template": {"spec": {"containers": []}},
    }
    status = {"replicas": replicas, "readyReplicas": ready, "updatedReplicas": ready}
    return typed({"metadata": of_release(name, component), "spec": spec, "status": status}, "V1StatefulSet")


def claim(name: str, phase: str = "Bound", storage: str | None = "standard") -> Any:
    spec = {"storageClassName": storage} if storage else {}
    document = {"metadata": of_release(name, "postgres"), "spec": spec, "status": {"phase": phase}}
    return typed(document, "V1PersistentVolumeClaim")


def event(reason: str, message: str, *, kind: str, name: str) -> Any:
    about = {"kind": kind, "name": name, "uid": f"uid-{name}"}
    document = {"metadata": meta("e"), "reason": reason, "message": message, "involvedObject": about}
    return typed(document, "CoreV1Event")


def pod(
    name: str,
    component: str = "",
    *,
    service: str = "",
    ready: bool = False,
    container: dict[str, Any] | None = None,
    init: dict[str, Any] | None = None,
    unschedulable: str = "",
    image: str = "marina-ui:0.1.0",
) -> Any:
    """A pod; `container` and `init` are the statuses of its only containers."""
    labels = of_release(name, component) if component else meta(name, **{SERVICE: service})
    status: dict[str, Any] = {"phase": "Running" if ready else "Pending"}
    status.update(conditions(Ready=str(ready)))
    if unschedulable:
        status["conditions"].append({"type": "PodScheduled", "status": "False", "message": unschedulable})
    blank = {"image": image, "imageID": "", "ready": ready, "restartCount": 0}
    if container:
        status["containerStatuses"] = [
            {**blank, "name": "kserve-container" if service else "ui", **container}
        ]
    if init:
        status["initContainerStatuses"] = [{**blank, "name": "storage-initializer", **init}]
    spec = {"containers": [{"name": "kserve-container" if service else "ui", "image": image}]}
    return typed({"metadata": labels, "spec": spec, "status": status}, "V1Pod")


def service(name: str, ready: str = "False", *, runtime: str = "marina-native", **status: Any) -> Any:
    """An InferenceService; without a `ready` KServe has not looked at it."""
    model = {"modelFormat": {"name": "marina-mar"}, "runtime": runtime, "storageUri": "http://a/b.mar"}
    document: dict[str, Any] = {
        "metadata": meta(name, **{"marina/version": "3"}),
        "spec": {"predictor": {"model": model}},
    }
    if ready:
        document["status"] = {
            "deploymentMode": "Standard",
            "url": "http://digits.example",
            "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ],
            **status,
        }
    return typed(document, "V1beta1InferenceService")


def runtime(name: str, *, disabled: bool = False) -> Any:
    spec = {"disabled": disabled, "containers": [{"name": "kserve-container"}]}
    return typed({"metadata": meta(name), "spec": spec}, "V1alpha1ServingRuntime")
