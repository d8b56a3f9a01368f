"""Versions change, break and come back under 20 requests a second, and no request fails."""

import json
import time
from pathlib import Path

import pytest

from tests.e2e.archives import BROKEN, again, change, roll_back, serve, upload
from tests.e2e.cluster import RELEASE, ROOT, deployment, helm, kubectl, objects, wait_for, wait_ready
from tests.e2e.traffic import Traffic

MODEL = "cnn-baseline"


@pytest.fixture(scope="module")
def versions(
    release: str, tmp_path_factory: pytest.TempPathFactory, starter_mars: dict[str, Path]
) -> dict[str, int]:
    """A good second version of the deployed experiment, and one for each way to be broken."""
    folder = tmp_path_factory.mktemp("versions")
    source = starter_mars[MODEL]
    found = {"good": upload(MODEL, again(source, folder / "good.mar", "as good as the first"))}
    for name, (code, _) in BROKEN.items():
        found[name] = upload(MODEL, again(source, folder / "broken.mar", name, first=code))
    return found


def test_a_new_version_takes_over_within_a_minute(versions: dict[str, int]) -> None:
    good = versions["good"]
    with Traffic(MODEL, "rollout by the API") as traffic:
        begin = time.monotonic()
        change(MODEL, version=good)
        wait_for("an answer of the new version", lambda: str(good) in traffic.versions, 120)
        print(f"\n  first answer of version {good} after {time.monotonic() - begin:.1f} s")
        assert time.monotonic() - begin < 60
        wait_ready(MODEL, good)
        traffic.go_on(300)
    assert not traffic.faults
    assert traffic.versions == ["1", str(good)]


@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_version_never_answers_and_is_told_within_a_minute(
    versions: dict[str, int], way: str
) -> None:
    good, broken = versions["good"], versions[way]
    with Traffic(MODEL, f"broken version ({way})") as traffic:
        begin = time.monotonic()
        change(MODEL, version=broken)

        def failed() -> bool:
            observed = deployment(MODEL)["observed"]
            assert observed["state"] == "failed", observed
            assert BROKEN[way][1] in observed["reason"].lower() or BROKEN[way][1] in observed["reason"], (
                observed
            )
            return True

        wait_for("the API says why", failed, 90)
        told = time.monotonic() - begin
        print(f"\n  told after {told:.1f} s: {deployment(MODEL)['observed']['reason']}")
        assert deployment(MODEL)["observed"]["version"] == good
        roll_back(MODEL)
        wait_ready(MODEL, good)
        traffic.go_on(60)
    assert not traffic.faults
    assert traffic.versions == [str(good)]
    assert told < 60


def test_the_apis_roll_back_brings_the_first_version_back(versions: dict[str, int]) -> None:
    serve(MODEL, 1)
    with Traffic(MODEL, "roll back by the API") as traffic:
        roll_back(MODEL)
        wait_ready(MODEL, versions["good"])
        traffic.go_on(200)
    assert not traffic.faults
    assert traffic.versions == ["1", str(versions["good"])]


def test_helm_rolls_a_version_forward_a_bad_one_stays_out_and_helm_rollback_undoes_both(
    release: str, tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    chart, model = str(ROOT / "charts" / "marina"), "mlp-helm"
    before = json.loads(helm("history", RELEASE, "--max", "1", "--output", "json"))[0]["revision"]
    second = upload("mlp-baseline", again(starter_mars["mlp-baseline"], tmp_path / "second.mar", "second"))
    with Traffic(model, "helm upgrade, a wrong hash, helm rollback") as traffic:
        helm("upgrade", RELEASE, chart, "--reuse-values", "--set", f"experiments.{model}.version={second}")
        wait_ready(model, second)
        helm(
            "upgrade",
            RELEASE,
            chart,
            "--reuse-values",
            "--set",
            f"experiments.{model}.version=1",
            "--set",
            f"experiments.{model}.sha256={'0' * 64}",
        )

        def failed() -> bool:
            observed = deployment(model)["observed"]
            assert observed["state"] == "failed", observed
            assert "sha256" in observed["reason"], observed
            return True

        wait_for("the API says why", failed, 90)
        helm("rollback", RELEASE)
        wait_ready(model, second)
        helm("rollback", RELEASE, str(before))
        wait_ready(model, 1)
        traffic.go_on(100)
    assert not traffic.faults
    assert traffic.versions == ["1", str(second)]


def test_restarts_of_the_api_and_of_postgres_fail_no_inference(release: str) -> None:
    with Traffic(MODEL, "restart of the API, then of Postgres") as traffic:
        kubectl("rollout", "restart", f"deployment/{RELEASE}-metadata-api")
        kubectl("rollout", "status", f"deployment/{RELEASE}-metadata-api", "--timeout=180s")
        kubectl("delete", "pod", f"{RELEASE}-postgres-0")
        kubectl("rollout", "status", f"statefulset/{RELEASE}-postgres", "--timeout=180s")
        wait_for("the API has its database again", lambda: deployment(MODEL)["ready"], 60)
        traffic.go_on(100)
    assert not traffic.faults


def test_a_predictor_pod_that_is_deleted_is_replaced(release: str) -> None:
    selector = f"serving.kserve.io/inferenceservice={MODEL}"
    (pod,) = [pod["metadata"]["name"] for pod in objects("pods", "-l", selector)]
    with Traffic(MODEL, "the only predictor pod deleted") as traffic:
        begin = time.monotonic()
        kubectl("delete", "pod", pod, "--wait=false")
        wait_for("another pod is ready", lambda: pod not in str(objects("pods", "-l", selector)))
        wait_ready(MODEL)
        traffic.go_on(60)
        seconds = time.monotonic() - begin
    last = max((answer.at for answer in traffic.faults), default=begin)
    print(
        f"\n  replaced within {seconds:.0f} s; {len(traffic.faults)} failed, the last after {last - begin:.1f} s"
    )
    assert last - begin < 60
