"""Deploy an experiment with KServe's own Python client, wait for it and query it, without Marina's API.

    pip install "kserve==0.21.*" "kubernetes<36"
    python docs/examples/kserve_client.py --namespace marina --host marina.example --address http://127.0.0.1

It uses a release of Marina for these only: its ServingRuntime, its service account, which may fetch the archive of a
registered version, and a token that its models take, that of the admin in the Secret `RELEASE-auth`.
"""

import argparse
import asyncio
import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from kserve import (
    InferenceRESTClient,
    InferInput,
    InferRequest,
    KServeClient,
    RESTConfig,
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1ModelFormat,
    V1beta1ModelSpec,
    V1beta1PredictorSpec,
)
from kubernetes import client as kubernetes

READY_SECONDS = 240
ROUTE_SECONDS = 60
# A handwritten five as a v2 request: 28 x 28 pixels, 0 is paper and 255 is ink.
FIVE = Path(__file__).parents[2] / "models" / "examples" / "five.json"


def inference_service(
    name: str, namespace: str, *, release: str, experiment: str, version: int
) -> V1beta1InferenceService:
    """A version of an experiment, served by the release's ServingRuntime."""
    archive = f"http://{release}-metadata-api.{namespace}.svc.cluster.local/artifacts/{experiment}/{version}"
    labels = {
        # With these two the release's network policies let the pods work; no other component manages them.
        "app.kubernetes.io/part-of": "marina",
        "app.kubernetes.io/instance": release,
        "networking.kserve.io/visibility": "cluster-local",
        "marina/experiment": experiment,
        "marina/version": str(version),
        "marina/runtime": "torchserve",
    }
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "none",
    }
    model = V1beta1ModelSpec(
        model_format=V1beta1ModelFormat(name="marina-mar", version="1"),
        runtime=f"{release}-torchserve",
        protocol_version="v2",
        storage_uri=f"{archive}/{experiment}.mar",
        env=[kubernetes.V1EnvVar(name="SERVING_MODEL_VERSION", value=str(version))],
    )
    predictor = V1beta1PredictorSpec(
        min_replicas=1,
        service_account_name=f"{release}-predictor",
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=kubernetes.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=10001,
            run_as_group=10001,
            fs_group=10001,
            seccomp_profile=kubernetes.V1SeccompProfile(type="RuntimeDefault"),
        ),
        model=model,
    )
    return V1beta1InferenceService(
        api_version="serving.kserve.io/v1beta1",
        kind="InferenceService",
        metadata=kubernetes.V1ObjectMeta(
            name=name, namespace=namespace, labels=labels, annotations=annotations
        ),
        spec=V1beta1InferenceServiceSpec(predictor=predictor),
    )


def ingress(name: str, namespace: str, host: str, owner_uid: str) -> kubernetes.V1Ingress:
    """The way from outside; it goes away with the InferenceService."""
    service = kubernetes.V1IngressServiceBackend(
        name=f"{name}-predictor", port=kubernetes.V1ServiceBackendPort(number=80)
    )
    path = kubernetes.V1HTTPIngressPath(
        path=f"/v2/models/{name}",
        path_type="Prefix",
        backend=kubernetes.V1IngressBackend(service=service),
    )
    owner = kubernetes.V1OwnerReference(
        api_version="serving.kserve.io/v1beta1", kind="InferenceService", name=name, uid=owner_uid
    )
    return kubernetes.V1Ingress(
        metadata=kubernetes.V1ObjectMeta(name=f"{name}-v2", namespace=namespace, owner_references=[owner]),
        spec=kubernetes.V1IngressSpec(
            rules=[kubernetes.V1IngressRule(host=host, http=kubernetes.V1HTTPIngressRuleValue(paths=[path]))]
        ),
    )


def token(release: str, namespace: str) -> str:
    """The admin's token, which every model of the release takes."""
    secret = kubernetes.CoreV1Api().read_namespaced_secret(f"{release}-auth", namespace, _request_timeout=10)
    return base64.b64decode(secret.data["admin-token"]).decode()


async def ask(name: str, address: str, host: str, credential: str) -> Any:
    """What the model says of the five, as soon as the proxy knows the way."""
    [given] = json.loads(FIVE.read_text())["inputs"]
    image = InferInput(given["name"], given["shape"], given["datatype"], data=given["data"])
    request = InferRequest(model_name=name, infer_inputs=[image])
    models = InferenceRESTClient(RESTConfig(protocol="v2", timeout=10))
    headers = {"Host": host, "Authorization": f"Bearer {credential}"}
    end = time.monotonic() + ROUTE_SECONDS
    try:
        while True:
            try:
                return await models.infer(address, request, model_name=name, headers=headers)
            except httpx.HTTPError as error:
                if time.monotonic() > end:
                    raise SystemExit(f"{address} does not lead to {name}: {error}") from error
                await asyncio.sleep(1)
    finally:
        await models.close()


def main() -> None:
    """Deploy, wait, ask, print the label, and clean up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--namespace", default="marina")
    parser.add_argument("--release", default="marina")
    parser.add_argument("--experiment", default="cnn-baseline")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--name", default="from-kserve-client")
    parser.add_argument("--host", required=True, help="host under which models are published")
    parser.add_argument("--address", default="http://127.0.0.1", help="address of the Ingress controller")
    given = parser.parse_args()
    cluster = KServeClient()
    desired = inference_service(
        given.name,
        given.namespace,
        release=given.release,
        experiment=given.experiment,
        version=given.version,
    )
    made = cluster.create(desired, namespace=given.namespace)
    try:
        cluster.wait_isvc_ready(
            given.name, namespace=given.namespace, timeout_seconds=READY_SECONDS, polling_interval=2
        )
        route = ingress(given.name, given.namespace, given.host, made["metadata"]["uid"])
        kubernetes.NetworkingV1Api().create_namespaced_ingress(given.namespace, route, _request_timeout=10)
        credential = token(given.release, given.namespace)
        answer = asyncio.run(ask(given.name, given.address, given.host, credential))
        outputs = {output.name: output.data for output in answer.outputs}
        sys.stdout.write(f"{given.name} version {answer.model_version} says {outputs['label'][0]}\n")
    finally:
        cluster.delete(given.name, namespace=given.namespace)


if __name__ == "__main__":
    main()
