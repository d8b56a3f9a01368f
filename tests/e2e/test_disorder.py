"""Things are deleted, killed and restarted in the wrong order; the cluster becomes what the database wants."""

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import (
    RELEASE,
    infer,
    kubectl,
    label_of,
    objects,
    outside,
    status_of,
    wait_for,
    wait_ready,
)

NAME = "disorder"


@pytest.fixture
def gone(release: str) -> Iterator[None]:
    """Whatever a test deployed is deleted, and so are its objects."""
    yield
    with outside() as client:
        assert client.delete(f"/v1/deployments/{NAME}").status_code in (204, 404)
    wait_for("its InferenceService is gone", lambda: NAME not in names("isvc"))
    wait_for("its Ingress is gone", lambda: f"{NAME}-v2" not in names("ingress"))


def names(kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in objects(kind)}


def uid_of(name: str) -> str:
    """The identity of an InferenceService, empty when there is none of this name."""
    found = (item["metadata"] for item in objects("isvc"))
    return next((str(one["uid"]) for one in found if one["name"] == name), "")


def deploy(experiment: str = "mlp-wide") -> None:
    body = {"name": NAME, "experiment": experiment, "runtime": "native"}
    with outside() as client:
        answer = client.post("/v1/deployments", json=body)
        assert answer.status_code == 201, answer.text


@pytest.mark.usefixtures("gone")
def test_kserves_controller_is_restarted_during_a_deployment() -> None:
    deploy()
    kubectl("rollout", "restart", "deployment/kserve-controller-manager", namespace="kserve")
    wait_ready(NAME)
    wait_for("it answers from outside", lambda: label_of(infer(NAME)) == "5")


@pytest.mark.usefixtures("gone")
def test_the_serving_runtime_is_missing_at_first() -> None:
    runtime = f"{RELEASE}-native"
    kept = kubectl("get", "servingruntime", runtime, "-o", "yaml")
    kubectl("delete", "servingruntime", runtime)
    deploy()

    def told() -> bool:
        with outside() as client:
            return (
                "runtime" in str(client.get(f"/v1/deployments/{NAME}").json()["observed"]["reason"]).lower()
            )

    wait_for("the API says that the runtime is missing", told, 60)
    kubectl("apply", "-f", "-", given=kept)
    wait_ready(NAME)


@pytest.mark.usefixtures("gone")
def test_the_api_is_killed_before_it_made_the_route() -> None:
    pods = [
        pod["metadata"]["name"] for pod in objects("pods", "-l", "app.kubernetes.io/component=metadata-api")
    ]
    deploy()
    kubectl("delete", "pod", *pods, "--force", "--grace-period=0")
    kubectl("delete", "ingress", f"{NAME}-v2", "--ignore-not-found")
    wait_for("the API is back", lambda: status_of("/readyz") in (200, 404))
    wait_ready(NAME)
    wait_for("its route is there", lambda: label_of(infer(NAME)) == "5")


@pytest.mark.usefixtures("gone")
def test_what_is_deleted_behind_the_apis_back_is_made_again() -> None:
    deploy()
    wait_ready(NAME)
    before = uid_of(NAME)
    kubectl("delete", "isvc", NAME, "--wait=false")
    wait_for("another is there in its place", lambda: uid_of(NAME) not in ("", before))
    wait_ready(NAME)
    kubectl("delete", "ingress", f"{NAME}-v2")
    wait_for("it answers from outside again", lambda: label_of(infer(NAME)) == "5", 120)
