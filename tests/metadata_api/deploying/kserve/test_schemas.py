"""The simulated Kubernetes keeps what the real one would keep: a field that this does not know is a fault."""

from typing import Any

import pytest

from tests.conftest import ROOT
from tests.metadata_api.deploying.kserve import schemas
from tests.metadata_api.deploying.kserve.fake_kubernetes import ISVC, POD, ROUTE, make_pod, status_of
from tests.metadata_api.deploying.kserve.stage import inference_service

SERVICE = inference_service("digits", "Helm") | {"status": status_of("True")}
PREDICTOR = SERVICE["spec"]["predictor"]
POD_OF_IT = make_pod(SERVICE, "1-native", 0)


@pytest.mark.parametrize(("plural", "good"), [(ISVC, SERVICE), (POD, POD_OF_IT)])
def test_what_the_tests_make_is_valid(plural: str, good: dict[str, Any]) -> None:
    assert schemas.faults(plural, good) == []


@pytest.mark.parametrize(
    ("plural", "bad", "word"),
    [
        (ISVC, SERVICE | {"spec": {"predictor": PREDICTOR | {"minReplica": 1}}}, "minReplica"),
        (ISVC, SERVICE | {"spec": {"predictor": PREDICTOR | {"minReplicas": "1"}}}, "minReplicas"),
        (ISVC, SERVICE | {"status": {"conditions": [{"type": "Ready"}]}}, "status"),
        (ISVC, SERVICE | {"manager": "me"}, "manager"),
        (POD, POD_OF_IT | {"status": {"fase": "Running"}}, "fase"),
        (ROUTE, {"metadata": {"name": "x"}, "spec": {"rules": [{"backend": "x"}]}}, "backend"),
    ],
)
def test_what_the_real_one_would_not_have_is_named(plural: str, bad: dict[str, Any], word: str) -> None:
    assert word in "".join(schemas.faults(plural, bad))


def test_the_schema_is_that_of_the_kserve_that_the_scripts_install() -> None:
    versions = dict(
        line.split("=") for line in (ROOT / "k8s" / "versions.env").read_text().splitlines() if "=" in line
    )
    assert f"KServe {versions['KSERVE_VERSION']}," in (schemas.CRDS / "inferenceservices.json").read_text()
