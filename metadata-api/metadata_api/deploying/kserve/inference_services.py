"""InferenceServices: how a desired deployment is written as one, and what is kept of one that was seen."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metadata_api.deploying.base import Desired, Recording, Resources, ServingOptions
from metadata_api.deploying.helm_release import HelmSpec
from metadata_api.deploying.kserve.config import KServeConfig
from metadata_api.kubernetes import INFERENCE_SERVICE
from serving_runtime.contracts import BASE_ENVIRONMENT, MAX_RETENTION_DAYS

Json = dict[str, Any]
PART_OF = "app.kubernetes.io/part-of"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "marina-metadata-api"
HELM = "Helm"
EXPERIMENT, VERSION, RUNTIME = "marina/experiment", "marina/version", "marina/runtime"
# An annotation of Helm's, as JSON; servers are told by the API.
RECORDING = "marina/recording"
USER = 10001
DRAIN_SECONDS = 60
# What ends a pod waits longer than its requests may take: until every proxy knows, and the last answer has left.
DRAIN_MARGIN_SECONDS = 20
PROBE_SECONDS = 2
# The archive is unpacked before the model has its time, and the process says itself why it is over.
PROBE_MARGIN_SECONDS = 60
ENVIRONMENT = {
    "startup_seconds": "SERVING_MODEL_STARTUP_SECONDS",
    "response_seconds": "SERVING_MODEL_RESPONSE_SECONDS",
    "batch_size": "SERVING_MODEL_BATCH_SIZE",
    "batch_delay_ms": "SERVING_MODEL_BATCH_DELAY_MS",
}


@dataclass(frozen=True, slots=True)
class Service:
    """What is kept of an InferenceService: a thousand of them must fit into a few megabytes."""

    name: str
    uid: str
    generation: int
    manager: str
    deleting: bool
    experiment: str
    version: int | None
    runtime: str
    replicas: int
    storage_uri: str
    resources: Resources
    options: ServingOptions
    recording: Recording
    ready: bool
    problem: str | None
    """Why it is not ready, in KServe's words."""
    failure: str | None
    """Why it can never become ready as it is written."""

    @property
    def helm_spec(self) -> HelmSpec | None:
        """What Helm's values say, when it is Helm's."""
        if self.manager != HELM:
            return None
        return HelmSpec(
            self.experiment,
            self.version,
            self.runtime,
            self.replicas,
            self.storage_uri,
            self.resources,
            self.options,
            self.recording,
        )


def labels(config: KServeConfig, desired: Desired) -> dict[str, str]:
    """KServe copies them to the pods, so they change only when the pods have to change."""
    return {
        PART_OF: "marina",
        INSTANCE: config.release,
        MANAGED_BY: MANAGER,
        # The route is ours: no Ingress of KServe's own.
        "networking.kserve.io/visibility": "cluster-local",
        EXPERIMENT: desired.experiment,
        VERSION: str(desired.version),
        RUNTIME: desired.runtime,
    }


def storage_uri(config: KServeConfig, desired: Desired) -> str:
    """Where KServe's storage-initializer fetches the archive; another version is another address."""
    root = config.artifact_url.rstrip("/")
    if root.startswith("s3://"):
        return f"{root}/{desired.sha256}.mar"
    return f"{root}/{desired.experiment}/{desired.version}/{desired.experiment}.mar"


def runtime_name(config: KServeConfig, desired: Desired) -> str:
    """The ServingRuntime that the chart makes for a runtime and an environment."""
    own = "" if desired.environment == BASE_ENVIRONMENT else f"-{desired.environment}"
    return f"{config.release}-{desired.runtime}{own}"


def build(config: KServeConfig, desired: Desired) -> Json:
    """The InferenceService of a deployment, ready to be applied."""
    return {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {
            "name": desired.name,
            "namespace": config.namespace,
            "labels": labels(config, desired),
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": {"predictor": _predictor(config, desired)},
    }


def parse(item: Json) -> Service:
    """What is kept of an InferenceService as the Kubernetes API shows it."""
    metadata, status = item["metadata"], item.get("status") or {}
    predictor = item.get("spec", {}).get("predictor") or {}
    model = predictor.get("model") or {}
    item_labels = metadata.get("labels") or {}
    number = item_labels.get(VERSION, "")
    ready, problem = _readiness(status)
    return Service(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        manager=item_labels.get(MANAGED_BY, ""),
        deleting="deletionTimestamp" in metadata,
        experiment=item_labels.get(EXPERIMENT, ""),
        version=int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else None,
        runtime=item_labels.get(RUNTIME, ""),
        replicas=int(predictor.get("minReplicas", 1)),
        storage_uri=str(model.get("storageUri") or ""),
        resources=_resources_of(model.get("resources") or {}),
        options=_options_of(model.get("env") or ()),
        recording=_recording_of(metadata.get("annotations") or {}),
        ready=ready,
        problem=problem,
        failure=_failure(status),
    )


def _predictor(config: KServeConfig, desired: Desired) -> Json:
    extra = config.predictor
    resources, options = _resources(extra.resources, desired.resources), desired.options
    startup = options.startup_seconds
    # What is empty is left out: an empty field of ours would still be owned by us.
    optional = {
        "serviceAccountName": extra.service_account,
        "nodeSelector": extra.node_selector,
        "tolerations": extra.tolerations,
        "imagePullSecrets": extra.image_pull_secrets,
    }
    return {
        "minReplicas": desired.replicas,
        "deploymentStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        },
        "terminationGracePeriodSeconds": _drain_seconds(
            desired.options.response_seconds or config.response_seconds
        ),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **{key: value for key, value in optional.items() if value},
        "model": {
            "modelFormat": {"name": "marina-mar", "version": "1"},
            "runtime": runtime_name(config, desired),
            "protocolVersion": "v2",
            "storageUri": storage_uri(config, desired),
            "env": [
                {"name": "SERVING_MODEL_VERSION", "value": str(desired.version)},
                {"name": "SERVING_MODEL_SHA256", "value": desired.sha256},
                *({"name": ENVIRONMENT[key], "value": str(value)} for key, value in options.given().items()),
            ],
            **({"resources": resources} if resources else {}),
            **({"startupProbe": _startup_probe(startup)} if startup else {}),
        },
    }


def _resources(default: Json, own: Resources) -> Json:
    """The installation's default, with what a deployment has of its own both requested and as its limit."""
    given = own.given()
    if not given:
        return default
    return {**default, **{kind: {**(default.get(kind) or {}), **given} for kind in ("requests", "limits")}}


def _resources_of(block: Json) -> Resources:
    """What is requested and the limit alike; this is how a deployment's own are written."""
    requests, limits = block.get("requests") or {}, block.get("limits") or {}
    alike = {name: str(value) for name, value in limits.items() if requests.get(name) == value}
    return Resources.of(alike)


def _drain_seconds(response_seconds: int) -> int:
    return max(DRAIN_SECONDS, response_seconds + DRAIN_MARGIN_SECONDS)


def _startup_probe(seconds: int) -> Json:
    """The runtime's, with more or less patience."""
    return {
        "httpGet": {"path": "/v2/health/ready", "port": 8080},
        "periodSeconds": PROBE_SECONDS,
        "timeoutSeconds": 5,
        "failureThreshold": (seconds + PROBE_MARGIN_SECONDS) // PROBE_SECONDS,
    }


def _options_of(env: Sequence[Json]) -> ServingOptions:
    """What the variables say that both writers set."""
    given = {one.get("name"): str(one.get("value") or "") for one in env}
    found = {key: given.get(name, "") for key, name in ENVIRONMENT.items()}
    return ServingOptions(
        **{key: int(text) for key, text in found.items() if text.isascii() and text.isdecimal()}
    )


def _recording_of(annotations: Mapping[str, str]) -> Recording:
    """What the chart wrote; nobody else's annotation may stop the watch, so what is no such object is left out."""
    try:
        found = json.loads(annotations.get(RECORDING) or "{}")
        rate, days = float(found.get("rate", 0.0)), found.get("retention_days")
        days = None if days is None else int(days)
        answers = bool(found.get("answers", True))
    except (AttributeError, TypeError, ValueError):
        return Recording()
    is_usable = 0 <= rate <= 1 and (days is None or 1 <= days <= MAX_RETENTION_DAYS)
    return Recording(rate, answers, days) if is_usable else Recording()


def _readiness(status: Json) -> tuple[bool, str | None]:
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return True, None
    for kind in ("PredictorReady", "IngressReady", "Ready"):
        one = conditions.get(kind) or {}
        if one.get("status") == "False" and (said := one.get("message") or one.get("reason")):
            return False, str(said)
    return False, None


def _failure(status: Json) -> str | None:
    """KServe never clears `lastFailureInfo`, so it counts only while KServe itself calls the state a failure."""
    model = status.get("modelStatus") or {}
    if model.get("transitionStatus") != "InvalidSpec":
        return None
    info = model.get("lastFailureInfo") or {}
    return str(info.get("message") or info.get("reason") or "KServe calls the InferenceService invalid")
