"""`skaffold run` builds, loads and installs what `make deploy` does; before the other tests, under their host name."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import infer, label_of, objects, run, wait_for

NAMESPACE = "marina"  # as skaffold.yaml says


@pytest.fixture
def ended() -> Iterator[None]:
    """Nothing of it is left, also after a failure."""
    yield
    subprocess.run(["skaffold", "delete"], capture_output=True, timeout=300, check=False)
    run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=180s")


def test_skaffold_runs_all_of_it_and_a_second_time_restarts_no_model(ended: None) -> None:
    print(run("skaffold", "run", seconds=1200)[-600:])
    answer = wait_for("the starter model answers", lambda: infer("cnn-baseline", namespace=NAMESPACE))
    assert label_of(answer) == "5"
    assert (before := predictors())
    run("skaffold", "run", seconds=600)
    assert predictors() == before


def predictors() -> set[str]:
    """The models' pods; skaffold labels all others with the run, which starts them anew."""
    found = objects("pods", "-l", "serving.kserve.io/inferenceservice", namespace=NAMESPACE)
    return {pod["metadata"]["name"] for pod in found}
