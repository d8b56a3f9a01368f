"""`make doctor` finds a release well, names each thing that is broken, and finds it well again when it is fixed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import RELEASE, kubectl, objects, run
from tests.e2e.doctor import doctor, wait_until_named, wait_until_well

UI = f"{RELEASE}-ui"
NAME = "for-the-doctor"
# Nothing is ever installed there.
ELSEWHERE = "marina-elsewhere"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@pytest.fixture(autouse=True)
def well(release: str) -> Iterator[None]:
    """All is well again once a test has fixed what it broke; the first test of this file asks before."""
    yield
    wait_until_well()


def apply(document: dict[str, Any]) -> None:
    kubectl("apply", "-f", "-", given=json.dumps(document))


def patch_ui(**container: Any) -> None:
    """Change the UI's container and roll it out; `rollout undo` repairs it."""
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "ui", **container}]}}}}
    kubectl("patch", "deployment", UI, "--patch", json.dumps(patch))


@pytest.fixture
def ui() -> Iterator[None]:
    """The UI is put back to what Helm installed."""
    yield
    kubectl("rollout", "undo", f"deployment/{UI}")
    kubectl("rollout", "status", f"deployment/{UI}", "--timeout=180s")


@pytest.fixture
def inference_service() -> Iterator[dict[str, Any]]:
    """An InferenceService to be changed and applied; it is deleted at the end."""
    [found] = [one for one in objects("isvc") if one["metadata"]["name"] == "mlp-helm"]
    labels = {key: value for key, value in found["metadata"]["labels"].items() if "managed-by" not in key}
    yield {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {
            "name": NAME,
            "labels": labels,
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": found["spec"],
    }
    kubectl("delete", "isvc", NAME, "--wait")
    kubectl(
        "wait", "pod", "-l", f"serving.kserve.io/inferenceservice={NAME}", "--for=delete", "--timeout=120s"
    )


def test_a_release_that_works_is_well() -> None:
    wait_until_well()
    code, lines = doctor("--json")
    report = json.loads("\n".join(lines))
    assert (code, report["exit"]) == (0, 0)
    assert {one["level"] for one in report["findings"]} == {"ok"}
    for check in ("cluster", "kserve", "rights", "storage", "exposure", "workloads", "pods", "api", "models"):
        assert check in {one["check"] for one in report["findings"]}


def test_a_namespace_without_a_release_is_looked_at_before_the_installation() -> None:
    code, lines = doctor(namespace=ELSEWHERE)
    assert code == 0, lines
    assert [line for line in lines if line.startswith(f"info  release: release {RELEASE} is not installed")]


@pytest.mark.usefixtures("ui")
def test_a_wrong_image() -> None:
    patch_ui(image="marina-ui:no-such-version")
    wait_until_named("the image marina-ui:no-such-version cannot be pulled", "warn")


@pytest.mark.usefixtures("ui")
def test_a_container_that_crashes() -> None:
    patch_ui(command=["sh", "-c", "echo no settings for me; exit 3"])
    wait_until_named("ended", "warn")
    assert "no settings for me" in wait_until_named("no settings for me", "warn")


@pytest.mark.usefixtures("ui")
def test_pods_that_pod_security_does_not_let_in() -> None:
    patch_ui(securityContext={"allowPrivilegeEscalation": True})
    assert "allowPrivilegeEscalation" in wait_until_named(
        f"{UI}: Pod Security does not let its pods in", "warn"
    )


def test_a_quota_that_is_too_small() -> None:
    kubectl("create", "quota", NAME, "--hard=pods=1")
    try:
        kubectl("delete", "pod", "-l", "app.kubernetes.io/component=ui", "--wait")
        wait_until_named(f"{UI}: its pods do not fit into the quota: exceeded quota: {NAME}")
    finally:
        kubectl("delete", "quota", NAME)
        kubectl("rollout", "restart", f"deployment/{UI}")


def test_no_default_storage_class() -> None:
    kubectl("annotate", "storageclass", "standard", f"{DEFAULT_CLASS}-")
    try:
        wait_until_named("the cluster has no default StorageClass", "warn")
        code, lines = doctor(namespace=ELSEWHERE)
        assert code == 1
        assert [
            line
            for line in lines
            if line.startswith("FAIL  storage: the cluster has no default StorageClass")
        ]
    finally:
        kubectl("annotate", "storageclass", "standard", f"{DEFAULT_CLASS}=true")


def test_a_claim_whose_storage_class_does_not_exist() -> None:
    labels = {"app.kubernetes.io/instance": RELEASE, "app.kubernetes.io/part-of": "marina"}
    spec = {
        "storageClassName": "no-such-class",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
    }
    claim = {"metadata": {"name": NAME, "labels": labels}, "spec": spec}
    apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim})
    try:
        wait_until_named(f"the claim {NAME} is Pending: its StorageClass no-such-class does not exist")
    finally:
        kubectl("delete", "pvc", NAME)


def test_no_ingress_class() -> None:
    kept = kubectl("get", "ingressclass", "-o", "yaml")
    kubectl("delete", "ingressclass", "--all")
    try:
        wait_until_named("the cluster has no IngressClass")
    finally:
        kubectl("create", "-f", "-", given=kept)


def test_a_user_who_may_do_nothing(tmp_path: Path) -> None:
    kubectl("create", "serviceaccount", NAME)
    try:
        kubeconfig = as_service_account(tmp_path / "kubeconfig", NAME)
        code, lines = doctor(namespace=ELSEWHERE, kubeconfig=kubeconfig)
        assert code == 1
        [line] = [line for line in lines if line.startswith("FAIL  rights: this user may not ")]
        assert "get, list, create, patch, delete deployments.apps" in line
        [line] = [
            line
            for line in lines
            if line.startswith("warn  doctor: not looked at (this user may not read it)")
        ]
        assert "pods" in line
    finally:
        kubectl("delete", "serviceaccount", NAME)


def as_service_account(path: Path, name: str) -> str:
    """A kubeconfig of a service account."""
    shown = json.loads(run("kubectl", "config", "view", "--raw", "--minify", "-o", "json"))
    shown["users"][0]["user"] = {"token": kubectl("create", "token", name).strip()}
    path.write_text(json.dumps(shown))
    return str(path)


def test_an_api_that_may_not_make_inference_services() -> None:
    binding = f"{RELEASE}-metadata-api"
    kept = kubectl("get", "rolebinding", binding, "-o", "yaml")
    kubectl("delete", "rolebinding", binding)
    try:
        wait_until_named(
            "the API's service account may not get, list, watch, create, patch, delete inferenceservices"
        )
    finally:
        kubectl("apply", "-f", "-", given=kept)


def test_a_stopped_database() -> None:
    kubectl("scale", "statefulset", f"{RELEASE}-postgres", "--replicas=0")
    try:
        wait_until_named(f"{RELEASE}-postgres is scaled to 0")
        assert "database" in wait_until_named("database: the API says: ").lower()
    finally:
        kubectl("scale", "statefulset", f"{RELEASE}-postgres", "--replicas=1")


def test_an_inference_service_whose_archive_is_missing(inference_service: dict[str, Any]) -> None:
    model = inference_service["spec"]["predictor"]["model"]
    model["storageUri"] = model["storageUri"].replace("/1/", "/99/")
    apply(inference_service)
    wait_until_named(f"{NAME} does not answer: the archive cannot be fetched: ")


def test_an_inference_service_whose_runtime_is_missing(inference_service: dict[str, Any]) -> None:
    inference_service["spec"]["predictor"]["model"]["runtime"] = "no-such-runtime"
    apply(inference_service)
    wait_until_named(f"{NAME} names the ServingRuntime no-such-runtime, which does not exist")


def test_a_runtime_of_the_release_that_is_gone() -> None:
    runtime = f"{RELEASE}-torchserve"
    kept = kubectl("get", "servingruntime", runtime, "-o", "yaml")
    kubectl("delete", "servingruntime", runtime)
    try:
        wait_until_named(f"the ServingRuntime {runtime} of the release does not exist")
    finally:
        kubectl("apply", "-f", "-", given=kept)


def test_kserve_is_stopped() -> None:
    controller = "deployment/kserve-controller-manager"
    kubectl("scale", controller, "--replicas=0", namespace="kserve")
    try:
        wait_until_named("kserve: its controller is scaled to 0")
        wait_until_named("kserve: its webhook does not take an InferenceService")
    finally:
        kubectl("scale", controller, "--replicas=1", namespace="kserve")
        kubectl("rollout", "status", controller, "--timeout=180s", namespace="kserve")


def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    shown = json.loads(run("kubectl", "config", "view", "--raw", "--minify", "-o", "json"))
    shown["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    (tmp_path / "kubeconfig").write_text(json.dumps(shown))
    code, lines = doctor(kubeconfig=str(tmp_path / "kubeconfig"))
    assert code == 2
    assert lines[0].startswith("FAIL  cluster: https://127.0.0.1:9 does not answer")
