"""A thousand InferenceServices on simulated nodes: how soon the API shows a change, its list's time, its memory.

    make e2e-scale CLUSTER=test TEST_CLUSTER=path

The test cluster adds the nodes, whose pods are Ready at once and run nothing. The release is installed without starter
experiments and with a node selector that sends every model there; one small archive is registered and deployed under
a thousand names through the API.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.e2e.archives import upload
from tests.e2e.cluster import ADDRESS, HOST, NAMESPACE, kubectl, outside, run, script, wait_for
from tests.serving import archives

SERVICES = 1000
VALUES = {
    "expose": {"mode": "ingress", "host": HOST},
    "starter": {"enabled": False},
    "predictor": {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}],
    },
}


def main() -> int:
    """Install, deploy, measure, uninstall; 1 when a goal is missed."""
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "values.yaml"
        values.write_text(yaml.safe_dump(VALUES))
        say(script("deploy", VALUES=str(values)))
        archives.summing(Path(folder) / "summing.mar")
        with outside() as client:
            wait_for("the API", lambda: client.get("/v1/experiments").status_code == 200)
            client.post("/v1/experiments", json={"name": "summing"}).raise_for_status()
        upload("summing", Path(folder) / "summing.mar")
    try:
        return measure()
    finally:
        say(script("uninstall", seconds=1500))
        # With its data and the pods, which Kubernetes takes minutes to collect one by one.
        run("kubectl", "delete", "namespace", NAMESPACE, "--wait", "--timeout=600s", seconds=700)


def measure() -> int:
    """Deploy all, then look."""
    began = time.monotonic()
    with outside() as client:
        for number in range(SERVICES):
            body = {"name": f"model-{number}", "experiment": "summing", "runtime": "native"}
            client.post("/v1/deployments", json=body).raise_for_status()
        say(f"{SERVICES} deployments are requested after {time.monotonic() - began:.0f} s at {ADDRESS}")

        def ready() -> bool:
            items = client.get("/v1/deployments", params={"limit": 1000}).json()["items"]
            count = sum(item["ready"] for item in items)
            assert count == SERVICES, f"{count} of {SERVICES} are ready"
            return True

        wait_for("all are ready", ready, 1200)
        say(f"all are ready after {time.monotonic() - began:.0f} s")
        seen = [change(number) for number in range(3)]
        lists = []
        for _ in range(50):
            start = time.perf_counter()
            client.get("/v1/deployments", params={"limit": 100}).raise_for_status()
            lists.append(time.perf_counter() - start)
    figures = kubectl("top", "pod", "-l", "app.kubernetes.io/component=metadata-api", "--no-headers").split()
    memory = int(figures[2].removesuffix("Mi"))
    p50 = statistics.median(lists) * 1000
    say(
        f"KServe's change is shown after {max(seen):.1f} s (worst of {len(seen)}), list p50 {p50:.0f} ms, {memory} Mi"
    )
    return 0 if max(seen) < 5 and p50 < 50 and memory < 300 else 1


def change(number: int) -> float:
    """Seconds from KServe's changing a status to the API's showing it."""
    name = f"model-{number}"
    kubectl("annotate", "isvc", name, "serving.kserve.io/stop=true")
    word = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    wait_for("KServe stops it", lambda: kubectl("get", "isvc", name, "-o", word) == "False", 60)
    start = time.monotonic()
    with outside() as client:
        wait_for("the API shows it", lambda: not client.get(f"/v1/deployments/{name}").json()["ready"], 30)
    return time.monotonic() - start


def say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
