"""Who reaches whom on the cluster: a pod with the labels of each part tries to connect to each part."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.chart.rendering import Rendered
from tests.e2e.cluster import helm, kubectl, objects, wait_for
from tests.network import KUBERNETES, STRANGER, Matrix

MATRIX = Matrix()
IMAGE = "marina-metadata-api"  # has a Python, and is on every node
# Some networks reject what a policy forbids, others never answer; every target listens, so both mean closed.
CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def connects(target):
    name, host, port = target
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return name, False
    return name, True

with ThreadPoolExecutor(8) as pool:
    print(json.dumps(dict(pool.map(connects, json.loads(sys.argv[1])))))
"""

Pair = tuple[str, str]


@contextmanager
def probes(release: str, namespace: str) -> Iterator[Callable[[], set[Pair]]]:
    """Starts a pod for each part; what is yielded says which pairs can connect just now.

    The pods are never ready, so that no Service sends anything to them.
    """
    rendered = Rendered(
        {kind: helm("get", kind, release, namespace=namespace) for kind in ("manifest", "hooks")}
    )
    parts = {found["metadata"]["labels"].get("app.kubernetes.io/component") for found in rendered.objects}
    parts |= {"model", STRANGER}
    model = objects("pods", "-l", "serving.kserve.io/inferenceservice", namespace=namespace)[0]
    labels = {part: _labels(rendered, part, model) for part in MATRIX.sources if part in parts}
    image = rendered.one("Deployment", f"{release}-metadata-api")["spec"]["template"]["spec"]["containers"][
        0
    ]["image"]
    names = {source: f"probe-{number}" for number, source in enumerate(labels)}
    pods = [json.dumps(_pod(names[source], found, image)) for source, found in labels.items()]
    kubectl("apply", "-f", "-", given="\n---\n".join(pods), namespace=namespace)
    try:
        for name in names.values():
            running = "--for=jsonpath={.status.phase}=Running"
            kubectl("wait", f"pod/{name}", running, "--timeout=60s", namespace=namespace)
        targets = json.dumps(_targets(labels, model, namespace))

        def look() -> set[Pair]:
            def from_(source: str) -> set[Pair]:
                said = kubectl(
                    "exec", names[source], "--", "python", "-c", CONNECT, targets, namespace=namespace
                )
                return {(source, target) for target, connected in json.loads(said).items() if connected}

            with ThreadPoolExecutor(len(names)) as pool:
                return set().union(*pool.map(from_, names))

        yield look
    finally:
        kubectl("delete", "pods", *names.values(), "--grace-period=0", "--force", namespace=namespace)


def wait_until(look: Callable[[], set[Pair]], expected: set[Pair], what: str) -> None:
    """Wait until exactly the expected pairs connect, of those that the table decides about.

    Policies reach the nodes a moment after they were made.
    """

    def same() -> bool:
        seen = look() & MATRIX.asked()
        assert seen == expected, f"too much: {sorted(seen - expected)}, too little: {sorted(expected - seen)}"
        return True

    wait_for(what, same, 60)


def _labels(rendered: Rendered, part: str, model: Mapping[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    if part == STRANGER:
        return {"app": "stranger"}
    if part == "model":
        kept = ("app.kubernetes.io/", "serving.kserve.io/")
        return {key: value for key, value in model["metadata"]["labels"].items() if key.startswith(kept)}
    return rendered.labels_of(part)


def _targets(labels: Mapping[str, dict[str, str]], model: dict, namespace: str) -> list[tuple[str, str, int]]:
    found = [("model", model["status"]["podIP"], MATRIX.ports["model"])]
    for part in MATRIX.ports.keys() & labels.keys() - {"model"}:
        selector = ",".join(f"{key}={value}" for key, value in labels[part].items())
        # Of the pods with these labels one is ours and has no controller.
        pod = next(
            pod
            for pod in objects("pods", "-l", selector, namespace=namespace)
            if "ownerReferences" in pod["metadata"]
        )
        found.append((part, pod["status"]["podIP"], MATRIX.ports[part]))
    found.append((KUBERNETES, "kubernetes.default.svc", MATRIX.ports[KUBERNETES]))
    return found


def _pod(name: str, labels: dict[str, str], image: str) -> dict[str, object]:
    closed = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "probe",
        "image": image,
        "command": ["python", "-c", "import time; time.sleep(600)"],
        "readinessProbe": {"exec": {"command": ["python", "-c", "raise SystemExit(1)"]}, "periodSeconds": 60},
        "securityContext": closed,
    }
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
