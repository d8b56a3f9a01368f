"""A version in another environment takes over and goes back, by the API, kubectl and helm, and no request fails."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import manifests
from tests.e2e.archives import again, change, roll_back, serve, upload
from tests.e2e.cluster import (
    RELEASE,
    ROOT,
    deployment,
    helm,
    infer,
    kubectl,
    label_of,
    objects,
    outside,
    wait_for,
    wait_ready,
)
from tests.e2e.traffic import Traffic

BY_API, BY_HELM, BY_KUBECTL = "cnn-baseline", "mlp-helm", "by-kubectl"
OTHER = "sklearn"
# Two models at once load on two cores, among everything else that a cluster does.
SECONDS = 400
NEEDS_IT = "import sklearn, scipy; assert sklearn.__version__"


def other_version(experiment: str, source: Path, folder: Path) -> int:
    """A version of the experiment that imports what only the other environment has; its number."""
    number = upload(experiment, again(source, folder / "other.mar", "with scikit-learn", first=NEEDS_IT))
    with outside() as client:
        shown = client.get(f"/v1/experiments/{experiment}/versions/{number}").json()
    assert shown["environment"] == OTHER
    return number


def runtime_of(name: str) -> str:
    """The ServingRuntime of an InferenceService."""
    found = json.loads(kubectl("get", "isvc", name, "-o", "json"))
    return str(found["spec"]["predictor"]["model"]["runtime"])


def images_of(name: str) -> set[str]:
    """Repositories of the images that the pods of a model run."""
    pods = objects("pods", "-l", f"serving.kserve.io/inferenceservice={name}")
    return {container["image"].rpartition(":")[0] for pod in pods for container in pod["spec"]["containers"]}


def settled(name: str, image: str) -> None:
    """Wait until all pods of a model run this image."""
    wait_for(f"{name} in {image} alone", lambda: images_of(name) == {image}, 120)


def test_the_api_rolls_into_another_environment_and_back(
    release: str, tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    serve(BY_API, 1)
    other = other_version("cnn-baseline", starter_mars["cnn-baseline"], tmp_path)
    before = runtime_of(BY_API)
    with Traffic(BY_API, "another environment and back by the API") as traffic:
        change(BY_API, version=other)
        wait_ready(BY_API, other, SECONDS)
        assert runtime_of(BY_API) == f"{before}-{OTHER}"
        settled(BY_API, f"marina-serving-{OTHER}")
        traffic.go_on(100)
        assert traffic.answers[-1].version == str(other)
        roll_back(BY_API)
        wait_ready(BY_API, 1, SECONDS)
        assert runtime_of(BY_API) == before
        settled(BY_API, "marina-serving")
        traffic.go_on(100)
        assert traffic.answers[-1].version == "1"
    assert not traffic.faults
    assert traffic.versions == ["1", str(other)]


@pytest.fixture
def by_kubectl(release: str) -> Iterator[dict[str, Any]]:
    """The manifest of a model that somebody keeps by kubectl."""
    serve(BY_API, 1)
    yield manifests.like(BY_API, BY_KUBECTL)
    manifests.delete()


def test_kubectl_apply_rolls_into_another_environment_and_back(
    by_kubectl: dict[str, Any], tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    other = other_version("cnn-baseline", starter_mars["cnn-baseline"], tmp_path)

    def apply(version: int, environment: str = "") -> None:
        given = manifests.of_version(by_kubectl, "cnn-baseline", version, environment)
        kubectl("apply", "-f", "-", given=given)

    apply(1)
    kubectl("apply", "-f", "-", given=manifests.route(BY_KUBECTL))
    assert label_of(wait_for("the first version", lambda: infer(BY_KUBECTL))) == "5"
    with Traffic(BY_KUBECTL, "another environment and back by kubectl") as traffic:
        apply(other, OTHER)
        wait_for("the other environment", lambda: infer(BY_KUBECTL)["model_version"] == str(other), SECONDS)
        settled(BY_KUBECTL, f"marina-serving-{OTHER}")
        traffic.go_on(100)
        apply(1)
        wait_for("the first version again", lambda: infer(BY_KUBECTL)["model_version"] == "1", SECONDS)
        settled(BY_KUBECTL, "marina-serving")
        traffic.go_on(100)
    assert not traffic.faults
    assert traffic.versions == ["1", str(other)]


def test_helm_rolls_into_another_environment_and_back_and_the_wrong_one_stays_out(
    release: str, tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    wait_ready(BY_HELM, 1)
    other = other_version("mlp-baseline", starter_mars["mlp-baseline"], tmp_path)
    before = json.loads(helm("history", RELEASE, "--max", "1", "--output", "json"))[0]["revision"]

    def upgrade(**values: object) -> None:
        chosen = [f"--set=experiments.{BY_HELM}.{key}={value}" for key, value in values.items()]
        helm("upgrade", RELEASE, str(ROOT / "charts" / "marina"), "--reuse-values", *chosen)

    with Traffic(BY_HELM, "another environment and back by helm") as traffic:
        upgrade(version=other)

        def failed() -> bool:
            observed = deployment(BY_HELM)["observed"]
            assert observed["state"] == "failed", observed
            assert "No module named 'sklearn'" in observed["reason"], observed
            return True

        wait_for("the API says what the environment lacks", failed, 180)
        assert traffic.versions == ["1"]
        upgrade(environment=OTHER)
        wait_ready(BY_HELM, other, SECONDS)
        settled(BY_HELM, f"marina-serving-{OTHER}")
        traffic.go_on(100)
        assert traffic.answers[-1].version == str(other)
        helm("rollback", RELEASE, str(before))
        wait_ready(BY_HELM, 1, SECONDS)
        settled(BY_HELM, "marina-serving")
        traffic.go_on(100)
    assert not traffic.faults
    assert traffic.versions == ["1", str(other)]


def test_an_environment_that_is_not_here_is_named_with_what_brings_it(
    release: str, tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    """Nothing is stored of the archive, and no upgrade happens."""
    archive = again(
        starter_mars["cnn-baseline"], tmp_path / "vision.mar", "vision", first="import torchvision"
    )
    with outside(timeout=120) as client:
        before = client.get("/v1/experiments/cnn-baseline").json()["latest_version"]
        answer = client.post(
            "/v1/experiments/cnn-baseline/versions",
            content=archive.read_bytes(),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert (answer.status_code, answer.json()["error"]) == (409, "environment_missing")
        assert "torchvision" in answer.json()["detail"]
        assert "make images ENVIRONMENTS=vision" in answer.json()["detail"]
        assert client.get("/v1/experiments/cnn-baseline").json()["latest_version"] == before
    with pytest.raises(AssertionError, match="names the environment vision: add vision to environments"):
        helm(
            *("upgrade", RELEASE, str(ROOT / "charts" / "marina"), "--reuse-values"),
            f"--set=experiments.{BY_HELM}.environment=vision",
        )
