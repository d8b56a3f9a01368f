"""What people do with an installed release: look, draw, ask over v2, through Ingress and Gateway."""

import json
import time
from functools import partial
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.archives import again
from tests.e2e.cluster import (
    HOST,
    NAMESPACE,
    RELEASE,
    ROOT,
    admin_token,
    helm,
    infer,
    kubectl,
    label_of,
    objects,
    outside,
    run,
    script,
    status_of,
    wait_for,
    wait_ready,
)
from tests.ui import visits

SCREENSHOTS = ROOT / ".artifacts" / "screenshots"
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: marina-e2e}
spec:
  gatewayClassName: traefik
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}
"""


def test_two_experiments_are_ready_one_of_each_owner(release: str) -> None:
    mine, theirs = wait_ready("cnn-baseline"), wait_ready("mlp-helm")
    assert (mine["owner"], theirs["owner"]) == ("api", "helm")
    assert (mine["runtime"], theirs["runtime"]) == ("torchserve", "native")


def test_a_digit_drawn_in_the_browser_is_answered_through_the_ingress(release: str, page: Page) -> None:
    visits.enter(page, f"http://{HOST}/?token={admin_token()}")
    visits.draw(page)
    said = visits.see_answers(page, {"cnn-baseline", "mlp-helm"})
    assert said["cnn-baseline"] == "5"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "e2e-try-1280.png", full_page=True)
    page.goto(f"http://{HOST}/deployments")
    page.get_by_role("link", name="mlp-helm", exact=True).first.wait_for()
    page.screenshot(path=SCREENSHOTS / "e2e-deployments-1280.png", full_page=True)


def test_an_archive_brought_in_the_browser_answers_within_two_minutes(
    release: str, page: Page, tmp_path: Path, starter_mars: dict[str, Path]
) -> None:
    """Through the Ingress, by the pages alone: chosen, checked, deployed, tried."""
    archive = again(starter_mars["mlp-wide"], tmp_path / "brought.mar", "brought in a browser")
    visits.enter(page, f"http://{HOST}/?token={admin_token()}")
    page.goto(f"http://{HOST}/models")
    begin = time.monotonic()
    page.get_by_label("Archive", exact=True).set_input_files(archive)
    page.get_by_role("button", name="Upload", exact=True).click()
    page.get_by_role("button", name="Deploy v1").click()
    expect(page.locator(".w-verdict")).to_contain_text("Version 1 answers.", timeout=120_000)
    page.goto(f"http://{HOST}/?task=digits")
    visits.draw(page)
    expect(visits.card(page, "brought")).to_contain_text("5")
    seconds = time.monotonic() - begin
    print(f"\n  from the choice of a file to its answer: {seconds:.1f} s")
    page.screenshot(path=SCREENSHOTS / "e2e-brought-1280.png", full_page=True)
    with outside() as client:
        assert client.delete("/v1/deployments/brought").is_success
    assert seconds < 120


def test_v2_inference_through_the_ingress_with_and_without_version(release: str) -> None:
    for name in ("cnn-baseline", "mlp-helm"):
        assert label_of(infer(name)) == "5"
        assert infer(name, "1")["model_version"] == "1"
    with outside() as client:
        assert client.get("/v2/models/cnn-baseline/ready").json() == {"name": "cnn-baseline", "ready": True}


def test_v2_inference_of_an_experiments_version_by_whatever_deployment_serves_it(release: str) -> None:
    answer = infer("mlp-baseline", "1")
    assert (label_of(answer), answer["model_name"]) == ("5", "mlp-helm")


def test_every_object_is_valid_by_the_clusters_own_schemas(release: str) -> None:
    """KServe's and the Gateway's included; a field that the cluster does not know is an error."""
    written = helm("get", "manifest", RELEASE)
    made = [item for kind in ("isvc", "ingress") for item in objects(kind)]
    for item in made:
        item["metadata"] = {key: item["metadata"][key] for key in ("name", "labels")}
        item.pop("status", None)
    documents = "\n---\n".join([written, *map(json.dumps, made)])
    said = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", given=documents)
    assert "inferenceservice.serving.kserve.io/cnn-baseline" in said
    assert "servingruntime.serving.kserve.io" in said


def test_kubectl_lists_what_the_api_shows(release: str) -> None:
    with outside() as client:
        shown = {item["name"]: item for item in client.get("/v1/deployments").json()["items"]}
    listed = {item["metadata"]["name"]: item for item in objects("isvc")}
    assert shown.keys() == listed.keys()
    for name, item in listed.items():
        ready = next(c["status"] for c in item["status"]["conditions"] if c["type"] == "Ready")
        assert (ready == "True") == shown[name]["ready"], (name, ready, shown[name]["observed"])


def test_helm_test_passes(release: str) -> None:
    said = script("smoke")
    assert "golden" in said
    print(said)


def test_what_helm_owns_is_refused_with_the_command_to_use(release: str) -> None:
    with outside() as client:
        answer = client.post("/v1/deployments/mlp-helm/stop")
    assert answer.status_code == 409
    assert answer.json()["error"] == "owned_by_helm"
    assert f"helm upgrade {RELEASE}" in answer.json()["detail"]


def test_every_pod_runs_restricted(release: str) -> None:
    labels = json.loads(kubectl("get", "namespace", NAMESPACE, "-o", "json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in objects("pods"):
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"], pod["metadata"]["name"]


def test_v2_inference_and_the_api_through_a_gateway(release: str) -> None:
    kubectl("apply", "-f", "-", given=GATEWAY)
    chart = str(ROOT / "charts" / "marina")
    choice = ["--set", "expose.mode=gateway", "--set", "expose.gateway.name=marina-e2e"]
    helm("upgrade", RELEASE, chart, "--reuse-values", *choice)
    try:
        wait_for("no Ingress is left", lambda: not objects("ingress"))
        wait_for("both routes are there", lambda: len(objects("httproute")) >= 3)
        wait_for("the API through the Gateway", lambda: status_of("/v1/deployments") == 200)
        for name in ("cnn-baseline", "mlp-helm"):
            answer = wait_for(f"{name} through the Gateway", partial(infer, name))
            assert label_of(answer) == "5"
    finally:
        helm("rollback", RELEASE)
    wait_for("no HTTPRoute is left", lambda: not objects("httproute"))
    wait_for("the Ingress is back", lambda: infer("cnn-baseline"))
    kubectl("delete", "gateway", "marina-e2e")


def test_the_documented_example_deploys_waits_and_asks_through_kserves_own_client(release: str) -> None:
    """Runs in an environment of its own, because KServe's client needs an older Kubernetes client."""
    python = ROOT / ".venv" / "kserve-client" / "bin" / "python"
    assert python.exists(), "make e2e makes it"
    example = ROOT / "docs" / "examples" / "kserve_client.py"
    said = run(str(python), str(example), "--namespace", NAMESPACE, "--host", HOST, seconds=300)
    assert "5" in said, said
