"""What Marina writes to a cluster, read by the typed models of KServe's own Python SDK: `make test-sdk`.

A field that the SDK does not know is lost on the way through its models, so that the round trip shows it.
"""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import kserve
import pytest
from kubernetes import client as kubernetes

from marina_doctor.cluster import ClientWithDeadline, register_kserve_models
from metadata_api.deploying.base import Desired, Resources
from metadata_api.deploying.kserve import inference_services
from metadata_api.deploying.kserve.config import KServeConfig

ROOT = Path(__file__).parents[3]
PREDICTOR: dict[str, Any] = {
    "service_account": "reader",
    "node_selector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "image_pull_secrets": [{"name": "registry"}],
    "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "50m"}},
}


def config(**more: Any) -> KServeConfig:
    """An installation."""
    given = {
        "release": "marina",
        "namespace": "models",
        "artifact_url": "http://marina-metadata-api.models.svc.cluster.local/artifacts",
    }
    return KServeConfig.model_validate({**given, **more})


CASES = {
    "plain": inference_services.build(
        config(), Desired("digits", "cnn-baseline", 1, "ab" * 32, "torchserve", 1)
    ),
    "native with everything": inference_services.build(
        config(predictor=PREDICTOR), Desired("digits", "cnn-baseline", 12, "ab" * 32, "native", 3)
    ),
    "with resources of its own": inference_services.build(
        config(predictor=PREDICTOR),
        Desired("digits", "cnn-baseline", 1, "ab" * 32, "native", 1, Resources(cpu="500m", memory="1Gi")),
    ),
    "from a bucket": inference_services.build(
        config(artifact_url="s3://marina/artifacts"),
        Desired("digits", "cnn-baseline", 1, "ab" * 32, "torchserve", 1),
    ),
}


@pytest.fixture(scope="module")
def api() -> ClientWithDeadline:
    """The Kubernetes client's own (de)serialiser, which finds KServe's models by their names."""
    register_kserve_models()
    return ClientWithDeadline(kubernetes.Configuration())


def round_trip(api: ClientWithDeadline, written: dict[str, Any]) -> dict[str, Any]:
    typed = api.read(written, "V1beta1InferenceService")
    assert isinstance(typed.spec.predictor.model, kserve.V1beta1ModelSpec)
    return without_empty_name(api.sanitize_for_serialization(typed))


def without_empty_name(item: dict[str, Any]) -> dict[str, Any]:
    """The SDK gives every model an empty name, which KServe takes for none."""
    assert item["spec"]["predictor"]["model"].pop("name") == ""
    return item


@pytest.mark.parametrize("written", CASES.values(), ids=CASES)
def test_an_inference_service_goes_through_the_typed_models_unchanged(
    api: ClientWithDeadline, written: dict[str, Any]
) -> None:
    assert round_trip(api, written) == written


def test_the_round_trip_notices_a_field_that_kserve_does_not_know(api: ClientWithDeadline) -> None:
    wrong = json.loads(json.dumps(CASES["plain"]))
    wrong["spec"]["predictor"]["model"]["storageURI"] = "typing error"
    assert round_trip(api, wrong) == CASES["plain"]


def test_the_documented_example_writes_what_marina_writes(api: ClientWithDeadline) -> None:
    """Save what only a rollout needs, the hash, and who looks after it."""
    made = load_example().inference_service(
        "digits", "models", release="marina", experiment="cnn-baseline", version=1
    )
    example = without_empty_name(api.sanitize_for_serialization(made))
    ours = json.loads(json.dumps(CASES["plain"]))
    del ours["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    del (
        ours["spec"]["predictor"]["deploymentStrategy"],
        ours["spec"]["predictor"]["terminationGracePeriodSeconds"],
    )
    del ours["spec"]["predictor"]["model"]["env"][1]
    ours["spec"]["predictor"]["serviceAccountName"] = "marina-predictor"  # as the chart says
    assert example == ours


def load_example() -> ModuleType:
    path = ROOT / "docs" / "examples" / "kserve_client.py"
    spec = importlib.util.spec_from_file_location("kserve_client", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
