"""An InferenceService that people keep by `kubectl apply`, without the API: it rolls as the others do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.archives import BROKEN, again, upload
from tests.e2e.cluster import HOST, infer, kubectl, label_of, objects, outside, wait_for, wait_ready
from tests.e2e.traffic import Traffic

NAME, SOURCE, EXPERIMENT = "by-kubectl", "cnn-baseline", "cnn-baseline"


@pytest.fixture(scope="module")
def model(release: str) -> Iterator[dict[str, Any]]:
    """What the API wrote for a deployment, as a manifest of our own with another name."""
    wait_ready(SOURCE)
    found = json.loads(kubectl("get", "isvc", SOURCE, "-o", "json"))
    labels = {**found["metadata"]["labels"], "app.kubernetes.io/managed-by": "kubectl"}
    yield {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {
            "name": NAME,
            "labels": labels,
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": found["spec"],
    }
    kubectl("delete", "isvc,ingress", "-l", "app.kubernetes.io/managed-by=kubectl", "--timeout=120s")


def of_version(model: dict[str, Any], version: int) -> str:
    """The manifest with another version of the experiment."""
    with outside() as client:
        sha256 = client.get(f"/v1/experiments/{EXPERIMENT}/versions/{version}").json()["sha256"]
    changed = json.loads(json.dumps(model))
    changed["metadata"]["labels"]["marina/version"] = str(version)
    served = changed["spec"]["predictor"]["model"]
    folder, _, file = served["storageUri"].rpartition("/")
    served["storageUri"] = f"{folder.rpartition('/')[0]}/{version}/{file}"
    served["env"] = [
        {"name": "SERVING_MODEL_VERSION", "value": str(version)},
        {"name": "SERVING_MODEL_SHA256", "value": sha256},
    ]
    return json.dumps(changed)


def route() -> str:
    """The way from outside."""
    backend = {"service": {"name": f"{NAME}-predictor", "port": {"number": 80}}}
    path = {"path": f"/v2/models/{NAME}", "pathType": "Prefix", "backend": backend}
    return json.dumps(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "kubectl"}},
            "spec": {"rules": [{"host": HOST, "http": {"paths": [path]}}]},
        }
    )


def test_kubectl_apply_rolls_forward_and_back_and_keeps_a_broken_version_out(
    model: dict[str, Any], tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    source = starter_mars[EXPERIMENT]
    good = upload(EXPERIMENT, again(source, tmp_path / "good.mar", "kept by kubectl"))
    broken = upload(
        EXPERIMENT, again(source, tmp_path / "bad.mar", "broken by kubectl", first=BROKEN["raises"][0])
    )
    kubectl("apply", "-f", "-", given=of_version(model, 1))
    kubectl("apply", "-f", "-", given=route())
    # Until its own Ingress is known the API is asked, and says that it has no such deployment.
    assert label_of(wait_for("the first version", lambda: infer(NAME))) == "5"
    with Traffic(NAME, "kubectl apply: forward, broken, back") as traffic:
        kubectl("apply", "-f", "-", given=of_version(model, good))
        wait_for("an answer of the new version", lambda: str(good) in traffic.versions, 120)
        kubectl("rollout", "status", f"deployment/{NAME}-predictor", "--timeout=180s")
        kubectl("apply", "-f", "-", given=of_version(model, broken))
        pods = f"serving.kserve.io/inferenceservice={NAME}"
        wait_for("two pods", lambda: len(objects("pods", "-l", pods)) == 2)
        traffic.go_on(400)
        assert traffic.versions == ["1", str(good)]
        kubectl("apply", "-f", "-", given=of_version(model, 1))
        wait_for("the first version again", lambda: infer(NAME)["model_version"] == "1", 120)
        traffic.go_on(100)
    assert not traffic.faults
