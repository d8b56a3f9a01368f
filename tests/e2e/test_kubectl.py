"""An InferenceService that people keep by `kubectl apply`, without the API: it rolls as the others do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import manifests
from tests.e2e.archives import BROKEN, again, upload
from tests.e2e.cluster import infer, kubectl, label_of, objects, wait_for, wait_ready
from tests.e2e.traffic import Traffic

NAME, SOURCE, EXPERIMENT = "by-kubectl", "cnn-baseline", "cnn-baseline"


@pytest.fixture(scope="module")
def model(release: str) -> Iterator[dict[str, Any]]:
    """The manifest of a model of our own."""
    wait_ready(SOURCE)
    yield manifests.like(SOURCE, NAME)
    manifests.delete()


def test_kubectl_apply_rolls_forward_and_back_and_keeps_a_broken_version_out(
    model: dict[str, Any], tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    source = starter_mars[EXPERIMENT]
    good = upload(EXPERIMENT, again(source, tmp_path / "good.mar", "kept by kubectl"))
    broken = upload(
        EXPERIMENT, again(source, tmp_path / "bad.mar", "broken by kubectl", first=BROKEN["raises"][0])
    )

    def apply(version: int) -> None:
        kubectl("apply", "-f", "-", given=manifests.of_version(model, EXPERIMENT, version))

    apply(1)
    kubectl("apply", "-f", "-", given=manifests.route(NAME))
    # Until its own Ingress is known the API is asked, and says that it has no such deployment.
    assert label_of(wait_for("the first version", lambda: infer(NAME))) == "5"
    with Traffic(NAME, "kubectl apply: forward, broken, back") as traffic:
        apply(good)
        wait_for("an answer of the new version", lambda: str(good) in traffic.versions, 120)
        kubectl("rollout", "status", f"deployment/{NAME}-predictor", "--timeout=180s")
        apply(broken)
        pods = f"serving.kserve.io/inferenceservice={NAME}"
        wait_for("two pods", lambda: len(objects("pods", "-l", pods)) == 2)
        traffic.go_on(400)
        assert traffic.versions == ["1", str(good)]
        apply(1)
        wait_for("the first version again", lambda: infer(NAME)["model_version"] == "1", 120)
        traffic.go_on(100)
    assert not traffic.faults
