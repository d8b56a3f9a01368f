"""An API on a simulated Kubernetes: its settings, and what tests ask of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from sqlalchemy import Engine

from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests.metadata_api.deploying.kserve.fake_kubernetes import FakeKubernetes
from tests.metadata_api.making import url_of
from tests.ports import free_port
from tests.waiting import until

URL = "/v1/deployments"
CONFIG: dict[str, Any] = {
    "release": "marina",
    "namespace": "models",
    "artifact_url": "http://marina-metadata-api.models.svc.cluster.local/artifacts",
    "expose": {"mode": "ingress", "host": "marina.example"},
}


def kserve_settings(
    engine: Engine, kubernetes: FakeKubernetes, folder: Path, config: dict[str, Any]
) -> Settings:
    (folder / "kserve.yaml").write_text(yaml.safe_dump(config))
    return Settings(
        auth=Auth(mode="off"),
        database_url=url_of(engine),
        store_dir=folder / "store",
        deployer="kserve",
        kserve_file=folder / "kserve.yaml",
        kubernetes_url=kubernetes.url,
        serving_url="http://{name}-predictor.models.svc.cluster.local",
        public_serving_url="http://marina.example",
    )


def deploy(api: httpx.Client, version: int = 1, **more: Any) -> None:
    """Deploy and wait until it was seen ready."""
    answer = api.post(URL, json={"experiment": "digits", "version": version, **more})
    answer.raise_for_status()
    until(lambda: shown(api, answer.json()["name"])["ready"])


def shown(api: httpx.Client, name: str = "digits") -> dict[str, Any]:
    return dict(api.get(f"{URL}/{name}").json())


def seen(api: httpx.Client, name: str = "digits") -> tuple[str, int | None, str]:
    observed = shown(api, name)["observed"]
    return observed["state"], observed["version"], observed["reason"] or ""


def inference_service(name: str, manager: str, release: str = "marina", **more: Any) -> dict[str, Any]:
    """An InferenceService, or anything with its labels, as another client writes it."""
    item_labels = {
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/managed-by": manager,
        "marina/experiment": more.get("experiment", "digits"),
        "marina/version": str(more.get("version", 1)),
        "marina/runtime": more.get("runtime", "torchserve"),
    }
    model = {"storageUri": f"http://artifacts/{name}.mar", "resources": more.get("resources", {})}
    model["env"] = [{"name": key, "value": value} for key, value in more.get("env", {}).items()]
    return {
        "metadata": {"name": name, "labels": item_labels},
        "spec": {"predictor": {"minReplicas": more.get("replicas", 1), "model": model}},
    }


@contextmanager
def api_process(settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """The API as its own process, as an image starts it."""
    port = free_port()
    # `auth` has no default that it could be compared with.
    given = settings.model_dump(exclude_none=True, exclude_defaults=True, exclude={"auth"})
    given |= {"port": port, "auth_mode": settings.auth.mode}
    environment = {f"METADATA_API_{key}".upper(): str(value) for key, value in given.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "metadata_api"], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as api:
            until(lambda: answers(api), "the API answers", 60)
            yield process, api
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def answers(api: httpx.Client) -> bool:
    try:
        return api.get("/livez").status_code == 200
    except httpx.TransportError:
        return False
