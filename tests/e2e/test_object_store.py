"""A release that keeps its archives in S3, here in the chart's own object store, so that its API may have many pods."""

from collections.abc import Iterator

import pytest
import yaml

from tests.e2e import cluster
from tests.e2e.network import MATRIX, probes, wait_until

NAMESPACE = "marina-s3"
VALUES = {
    "expose": {"mode": "none", "host": ""},
    "objectStore": {"enabled": True},
    "api": {"persistence": {"enabled": False}, "autoscaling": {"enabled": True, "maxReplicas": 3}},
    "backup": {"enabled": True},
    "starter": {"deploy": ["mlp-baseline"]},
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The installed release, whose model answers."""
    values = tmp_path_factory.mktemp("s3") / "values.yaml"
    values.write_text(yaml.safe_dump(VALUES))
    print(f"\n{cluster.script('deploy', VALUES=str(values), NAMESPACE=NAMESPACE)}")
    try:
        print(f"\n{cluster.script('wait', NAMESPACE=NAMESPACE)}")
        yield cluster.RELEASE
    finally:
        cluster.script("uninstall", PURGE="yes", NAMESPACE=NAMESPACE)
        cluster.run("kubectl", "delete", "namespace", NAMESPACE, "--wait", "--timeout=120s")


def test_models_fetch_their_archives_from_s3_and_nothing_else_reaches_it(release: str) -> None:
    isvc = cluster.objects("isvc", namespace=NAMESPACE)[0]
    assert isvc["spec"]["predictor"]["model"]["storageUri"].startswith("s3://marina/")
    assert "golden" in cluster.script("smoke", NAMESPACE=NAMESPACE)
    with probes(release, NAMESPACE) as look:
        wait_until(look, MATRIX.allowed(s3=True), "the table is true with an object store")


def test_the_autoscaler_reads_what_the_apis_pods_use_and_keeps_two_of_them(release: str) -> None:
    def used() -> int:
        (scaler,) = cluster.objects("hpa", namespace=NAMESPACE)
        assert scaler["status"]["currentReplicas"] >= 2, scaler["status"]
        return 1 + int(scaler["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"])

    print(
        f"\n  {cluster.wait_for('the autoscaler reads the CPU', used, 120) - 1} % of the requested CPU is used"
    )
    (budget,) = cluster.objects("pdb", namespace=NAMESPACE)
    assert budget["status"]["disruptionsAllowed"] >= 1
