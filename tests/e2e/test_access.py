"""Who gets what on the cluster: two people with different roles, an anonymous visitor, and a model's own pod."""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.cluster import (
    ADDRESS,
    HOST,
    NAMESPACE,
    ROOT,
    helm,
    kubectl,
    objects,
    outside,
    run,
    wait_for,
    wait_ready,
)

MODEL = "cnn-baseline"
FIVE = (ROOT / "models" / "examples" / "five.json").read_bytes()
# What the code of a model can find out: every answer of the API without a credential, and whether a token lies around.
LOOK = """
import json, os, sys, urllib.error, urllib.request

def status(path, method="GET"):
    request = urllib.request.Request(sys.argv[1] + path, method=method, data=b"{}" if method == "POST" else None)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code

ARCHIVE = "/artifacts/cnn-baseline/1/cnn-baseline.mar"
asked = {path: status(path) for path in ("/v1/deployments", "/v1/experiments", ARCHIVE)}
asked["POST"] = status("/v1/deployments/cnn-baseline/stop", "POST")
texts = [open("/proc/1/environ", errors="replace").read(), open("/run/secrets/tokens/tokens.json").read()]
print(json.dumps({"asked": asked, "tokens": sum("mrn_" in text for text in texts)}))
"""


# How far a pod of another namespace gets: the HTTP status, or that it never connects.
KNOCK = """
import json, sys, urllib.error, urllib.request

def reached(url, method="GET"):
    request = urllib.request.Request(url, method=method, data=b"{}" if method == "POST" else None)
    try:
        return urllib.request.urlopen(request, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return "closed"

api, model = sys.argv[1:]
print(json.dumps({
    "api": [reached(api + path) for path in ("/v1/deployments", "/artifacts/cnn-baseline/1/cnn-baseline.mar")],
    "post": reached(api + "/v1/deployments/cnn-baseline/stop", "POST"),
    "infer": reached(model + "/v2/models/cnn-baseline/infer", "POST"),
    "model": [reached(model + path) for path in ("/metrics", "/status", "/v2/models/cnn-baseline")],
}))
"""
ELSEWHERE = "marina-e2e-elsewhere"


def person(token: str = "") -> httpx.Client:
    headers = {"Host": HOST, **({"Authorization": f"Bearer {token}"} if token else {})}
    return httpx.Client(base_url=ADDRESS, headers=headers, timeout=30, trust_env=False)


@pytest.fixture
def tokens(release: str) -> Iterator[dict[str, str]]:
    """A viewer's and an annotator's, revoked at the end."""
    with outside() as admin:
        wait_ready(MODEL)
        issued = [
            admin.post("/v1/tokens", json={"name": f"e2e {role}", "role": role}).raise_for_status().json()
            for role in ("viewer", "annotator")
        ]
        yield {one["role"]: one["token"] for one in issued}
        for one in issued:
            admin.delete(f"/v1/tokens/{one['id']}")


def test_two_people_may_do_what_their_roles_may(tokens: dict[str, str]) -> None:
    with person(tokens["viewer"]) as viewer, person(tokens["annotator"]) as annotator:
        for client in (viewer, annotator):
            assert client.get("/v1/deployments").status_code == 200
            assert client.post(f"/v1/deployments/{MODEL}/stop").status_code == 403
            assert client.get("/v1/audit").status_code == 403
        image = {"image": (ROOT / "models" / "examples" / "digit-5.png").read_bytes()}
        assert viewer.post("/v1/predictions", files=image, data={"deployments": MODEL}).status_code == 403
        asked = annotator.post("/v1/predictions", files=image, data={"deployments": MODEL})
        assert asked.json()["results"][0]["label"] == "5", asked.text


def test_a_models_own_server_takes_a_new_token_and_nobody_without(tokens: dict[str, str]) -> None:
    path = f"/v2/models/{MODEL}/infer"
    with person() as nobody, person(tokens["viewer"]) as viewer, person(tokens["annotator"]) as annotator:
        assert nobody.post(path, content=FIVE).status_code == 401
        began = time.monotonic()
        wait_for(
            "the pod knows the token", lambda: annotator.post(path, content=FIVE).status_code == 200, 150
        )
        print(f"\n  the pod knows a new token after {time.monotonic() - began:.0f} s")
        wait_for("the pod knows the other", lambda: viewer.post(path, content=FIVE).status_code == 403, 150)
        assert nobody.get(f"/v2/models/{MODEL}/ready").status_code == 200


def test_an_anonymous_visitor_gets_the_login_and_nothing_else(release: str) -> None:
    with person() as nobody:
        for path in ("/v1/deployments", "/v1/experiments", "/v1/audit", "/v2/models/cnn-baseline"):
            assert nobody.get(path).status_code == 401, path
        # Not exposed at all.
        assert nobody.get("/artifacts/cnn-baseline/1/cnn-baseline.mar").status_code == 404
        page = nobody.get("/")
        assert (page.status_code, "gradio" in page.text.lower()) == (401, False)
        assert nobody.get("/config").status_code == 401


def test_a_revoked_token_is_gone_within_five_seconds(release: str) -> None:
    with outside() as admin:
        issued = admin.post("/v1/tokens", json={"name": "short", "role": "viewer"}).json()
        with person(issued["token"]) as client:
            wait_for("it is known", lambda: client.get("/v1/me").status_code == 200, 5)
            assert admin.delete(f"/v1/tokens/{issued['id']}").status_code == 204
            wait_for("it is gone", lambda: client.get("/v1/me").status_code == 401, 5)


def test_the_secret_of_tokens_comes_back_when_it_is_deleted_or_damaged(release: str) -> None:
    name = f"{release}-serving-tokens"

    def tokens() -> list[str]:
        """Hashes of those of the release; tokens that a test issued may be on their way out."""
        found = kubectl("get", "secret", name, "--ignore-not-found", "-o", "jsonpath={.data.tokens\\.json}")
        every = json.loads(b64decode(found)).get("tokens", []) if found else []
        return sorted(token["sha256"] for token in every if token["expires_at"] is None)

    before = wait_for("the API has written it", tokens, 30)
    assert len(before) > 1
    kubectl("delete", "secret", name)
    assert wait_for("it is there again", tokens, 30) == before
    kubectl("patch", "secret", name, "--patch", '{"data": {"tokens.json": "e30="}}')
    assert wait_for("it is mended", tokens, 30) == before
    labels = kubectl("get", "secret", name, "-o", "jsonpath={.metadata.labels}")
    assert json.loads(labels)["app.kubernetes.io/managed-by"] == "Helm"


def test_a_models_pod_gets_nothing_from_the_api_and_has_no_token(release: str) -> None:
    wait_ready(MODEL)
    pod = objects("pods", "-l", f"serving.kserve.io/inferenceservice={MODEL}")[0]["metadata"]["name"]
    url = f"http://{release}-metadata-api"
    said = kubectl("exec", pod, "-c", "kserve-container", "--", "python", "-c", LOOK, url)
    found = json.loads(said.splitlines()[-1])
    assert set(found["asked"].values()) == {401}, found
    assert found["tokens"] == 0


def test_a_pod_of_another_namespace_connects_to_nothing_and_without_policies_gets_401(
    release: str, elsewhere: Callable[[], dict[str, Any]]
) -> None:
    """The values of these tests let the Ingress in alone: the policies close first, and behind them the tokens do."""
    wait_ready(MODEL)

    def seen() -> set[object]:
        found = elsewhere()
        return {found["post"], found["infer"], *found["api"], *found["model"]}

    wait_for("the policies close", lambda: seen() == {"closed"}, 60)
    chart = str(ROOT / "charts" / "marina")
    helm("upgrade", release, chart, "--reuse-values", "--set", "networkPolicy.enabled=false")
    try:
        wait_for("the tokens close", lambda: seen() == {401}, 60)
    finally:
        helm("rollback", release)
    wait_for("the policies close again", lambda: seen() == {"closed"}, 60)


@pytest.fixture
def elsewhere(release: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """A pod of a namespace of its own; what is yielded says how far it gets just now."""
    container = objects("deployments", "-l", "app.kubernetes.io/component=metadata-api")[0]["spec"][
        "template"
    ]["spec"]["containers"][0]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger"},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "stranger",
                    "image": container["image"],
                    "command": ["python", "-c", "import time; time.sleep(900)"],
                }
            ],
        },
    }
    run("kubectl", "create", "namespace", ELSEWHERE)
    try:
        kubectl("apply", "-f", "-", given=json.dumps(pod), namespace=ELSEWHERE)
        kubectl("wait", "pod/stranger", "--for=condition=Ready", "--timeout=60s", namespace=ELSEWHERE)
        api = f"http://{release}-metadata-api.{NAMESPACE}"
        model = f"http://{MODEL}-predictor.{NAMESPACE}"

        def knock() -> dict[str, Any]:
            said = kubectl("exec", "stranger", "--", "python", "-c", KNOCK, api, model, namespace=ELSEWHERE)
            found: dict[str, Any] = json.loads(said.splitlines()[-1])
            return found

        yield knock
    finally:
        run("kubectl", "delete", "namespace", ELSEWHERE, "--wait=false")
