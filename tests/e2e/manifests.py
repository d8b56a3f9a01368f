"""An InferenceService that people keep by `kubectl apply`, without the API, and its way in from outside."""

import copy
import json
from typing import Any

from tests.e2e.cluster import HOST, kubectl, outside

OWNER = {"app.kubernetes.io/managed-by": "kubectl"}


def like(source: str, name: str) -> dict[str, Any]:
    """What the API wrote for a deployment, as a manifest of our own with another name."""
    found = json.loads(kubectl("get", "isvc", source, "-o", "json"))
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {
            "name": name,
            "labels": {**found["metadata"]["labels"], **OWNER},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": found["spec"],
    }


def of_version(model: dict[str, Any], experiment: str, version: int, environment: str = "") -> str:
    """The manifest with another version of the experiment, in the base environment or another one."""
    with outside() as client:
        sha256 = client.get(f"/v1/experiments/{experiment}/versions/{version}").json()["sha256"]
    changed = copy.deepcopy(model)
    changed["metadata"]["labels"]["marina/version"] = str(version)
    served = changed["spec"]["predictor"]["model"]
    folder, _, file = served["storageUri"].rpartition("/")
    served["storageUri"] = f"{folder.rpartition('/')[0]}/{version}/{file}"
    served["env"] = [
        {"name": "SERVING_MODEL_VERSION", "value": str(version)},
        {"name": "SERVING_MODEL_SHA256", "value": sha256},
    ]
    if environment:
        served["runtime"] += f"-{environment}"
    return json.dumps(changed)


def route(name: str) -> str:
    """The way from outside."""
    backend = {"service": {"name": f"{name}-predictor", "port": {"number": 80}}}
    path = {"path": f"/v2/models/{name}", "pathType": "Prefix", "backend": backend}
    return json.dumps(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "labels": OWNER},
            "spec": {"rules": [{"host": HOST, "http": {"paths": [path]}}]},
        }
    )


def delete() -> None:
    """Remove what was applied, and wait until it is gone."""
    kubectl("delete", "isvc,ingress", "-l", "app.kubernetes.io/managed-by=kubectl", "--timeout=120s")
