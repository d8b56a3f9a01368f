"""The cluster and the release on it, as people reach them: kubectl, helm, scripts of k8s/, HTTP from outside."""

import json
import os
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "marina-e2e"
RELEASE = "marina"
HOST = "marina.localhost"
ADDRESS = "http://127.0.0.1"
SECONDS = 240


def run(
    *command: str, seconds: float = 300, given: str | None = None, env: dict[str, str] | None = None
) -> str:
    """What a command prints; a failure shows all that it said."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, (
        f"{' '.join(command)} -> {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    )
    return done.stdout


def kubectl(*words: str, namespace: str = NAMESPACE, given: str | None = None, seconds: float = 300) -> str:
    """Run kubectl in the namespace of the tests."""
    return run("kubectl", "--namespace", namespace, *words, given=given, seconds=seconds)


def objects(*words: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """`kubectl get` as documents."""
    found: list[dict[str, Any]] = json.loads(kubectl("get", *words, "-o", "json", namespace=namespace))[
        "items"
    ]
    return found


def helm(*words: str, program: str = "helm", namespace: str = NAMESPACE, seconds: float = 600) -> str:
    """Run helm in the namespace of the tests."""
    return run(program, "--namespace", namespace, *words, seconds=seconds)


def wait_flag(program: str) -> str:
    """The flag by which this helm waits without checking InferenceServices."""
    return (
        "--wait=legacy"
        if run(program, "version", "--template", "{{.Version}}").startswith("v4")
        else "--wait"
    )


def script(name: str, *words: str, seconds: float = 900, **variables: str) -> str:
    """Run a script of k8s/ against the cluster of the tests."""
    environment = {"NAMESPACE": NAMESPACE, "RELEASE": RELEASE, "CLUSTER": "test", **variables}
    return run(str(ROOT / "k8s" / name), *words, seconds=seconds, env=environment)


def outside(namespace: str = NAMESPACE, **settings: Any) -> httpx.Client:
    """A client that comes in through the Ingress or the Gateway, by default as the admin."""
    headers = {"Host": HOST, "Authorization": f"Bearer {admin_token(namespace)}"}
    return httpx.Client(
        base_url=ADDRESS, **{"timeout": 30, "trust_env": False, "headers": headers, **settings}
    )


def admin_token(namespace: str = NAMESPACE) -> str:
    """The token that the chart made, as NOTES say how to read it."""
    key = "jsonpath={.data.admin-token}"
    found = kubectl("get", "secret", f"{RELEASE}-auth", "-o", key, namespace=namespace)
    return b64decode(found).decode()


def wait_for(what: str, look: Callable[[], T | None], seconds: float = SECONDS) -> T:
    """The first true value; a failed look counts as not yet, and the last failure is shown."""
    end, last = time.monotonic() + seconds, "never looked"
    while time.monotonic() < end:
        try:
            if found := look():
                return found
            last = repr(found)
        except (AssertionError, httpx.HTTPError, KeyError, IndexError, ValueError) as error:
            last = f"{type(error).__name__}: {error}"[:2000]
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s; last {last}")


def status_of(path: str) -> int:
    """What a GET from outside answers."""
    with outside() as client:
        return client.get(path).status_code


def deployment(name: str) -> dict[str, Any]:
    """A deployment as the API shows it."""
    with outside() as client:
        answer = client.get(f"/v1/deployments/{name}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown


def wait_ready(name: str, version: int | None = None, seconds: float = SECONDS) -> dict[str, Any]:
    """Wait until the API says that a deployment is ready, in a version if one is given."""

    def look() -> dict[str, Any] | None:
        shown = deployment(name)
        assert shown["ready"], shown["observed"]
        return shown if version is None or shown["observed"]["version"] == version else None

    return wait_for(f"{name} ready", look, seconds)


def infer(name: str, version: str = "", namespace: str = NAMESPACE) -> dict[str, Any]:
    """The answer of a model to an image of a five, asked from outside over v2."""
    body = (ROOT / "models" / "examples" / "five.json").read_bytes()
    path = f"/v2/models/{name}" + (f"/versions/{version}" if version else "") + "/infer"
    with outside(namespace) as client:
        answer = client.post(path, content=body)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
        found: dict[str, Any] = answer.json()
        return found


def label_of(answer: dict[str, Any]) -> str:
    """The class that a model of digits answered."""
    found = next(output for output in answer["outputs"] if output["name"] == "label")
    return str(found["data"][0])
