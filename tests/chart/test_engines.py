"""Every Helm that is on PATH, and the one that `HELM` names, makes the same of the chart as the tests' own."""

import subprocess

import pytest
import yaml

from tests.chart.programs import PROGRAMS
from tests.chart.rendering import CHART, SHAPES, Rendered, render, shape

pytestmark = pytest.mark.helm

CONNECTED = ["--kube-version", "1.34", "--api-versions", "v1/Pod"]
KSERVE = ["--api-versions", "serving.kserve.io/v1beta1/InferenceService"]


def helm(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Helm."""
    command = [program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=PROGRAMS or [""])
def program(request: pytest.FixtureRequest) -> str:
    """Path of a Helm."""
    if not request.param:
        pytest.fail("no Helm: install one on PATH, or name it in HELM")
    return str(request.param)


class TestPrograms:
    @pytest.mark.parametrize("name", SHAPES)
    def test_lint_and_template(self, program: str, name: str) -> None:
        values = ["--values", str(SHAPES[name])]
        result = helm(program, "lint", "--strict", str(CHART), *values)
        assert result.returncode == 0, result.stdout + result.stderr
        result = helm(program, "template", "marina", str(CHART), "--namespace", "models", *values)
        assert result.returncode == 0, result.stderr
        found = {
            (one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(result.stdout) if one
        }
        ours: Rendered = render(shape(name))
        assert found.keys() == {(one["kind"], one["metadata"]["name"]) for one in ours.objects}
        for one in ours.objects:
            # Passwords are made anew each time.
            if one["kind"] != "Secret":
                assert found[one["kind"], one["metadata"]["name"]] == one

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "this cluster has no KServe: run `make kserve`"),
            (
                [*KSERVE, "--set", "expose.mode=gateway,expose.gateway.name=x,expose.host=a.example"],
                "this cluster has no Gateway API",
            ),
            ([*KSERVE, "--set", "monitoring.rules.enabled=true"], "this cluster has no Prometheus Operator"),
            ([*KSERVE, "--kube-version", "1.29"], "Marina needs Kubernetes 1.30 or newer"),
        ],
        ids=["kserve", "gateway", "monitoring", "kubernetes"],
    )
    def test_what_a_cluster_lacks_is_found_out(self, program: str, arguments: list[str], words: str) -> None:
        result = helm(program, "template", "marina", str(CHART), *CONNECTED, *arguments)
        assert result.returncode != 0
        assert words in result.stderr

    def test_a_cluster_that_has_all_is_fine(self, program: str) -> None:
        result = helm(program, "template", "marina", str(CHART), *CONNECTED, *KSERVE)
        assert result.returncode == 0, result.stderr
