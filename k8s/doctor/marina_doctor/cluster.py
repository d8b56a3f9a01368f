"""The cluster behind a kubeconfig: the official client and KServe's, with a deadline on every call."""

import json
import pkgutil
import re
from importlib import import_module
from typing import Any

import kserve
import kubernetes.client
import urllib3
from kubernetes import client, config

CALL_SECONDS = 5
# Structures in KServe's Go sources, and so in its SDK, that are strings in its documents.
STRINGS = ("KnativeURL", "KnativeVolatileTime", "V1Time")
GROUP = "serving.kserve.io"
# What a call to a cluster that is away, or is none, raises.
CALL_ERRORS = (client.ApiException, urllib3.exceptions.HTTPError, OSError, ValueError)


class Unreachable(Exception):
    """The cluster cannot be asked; the text says what to do."""


class ClientWithDeadline(client.ApiClient):  # type: ignore[misc]
    """The official client, which without this waits for an answer for ever."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Ask the API server, within the deadline unless the caller sets another one."""
        if options.get("_request_timeout") is None:
            options["_request_timeout"] = CALL_SECONDS
        return super().request(method, url, **options)

    def read(self, body: dict[str, Any], kind: str) -> Any:
        """A document as the typed model of that name, such as `V1Pod` or `V1beta1InferenceService`."""
        return self.deserialize(_Body(body), kind)


class Cluster:
    """The APIs that the checks ask, all of them over one client."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        """Read the kubeconfig; asks nothing yet. Raises Unreachable when there is none to read."""
        try:
            # Sets the client's defaults, by the kubeconfig or, in a pod, by the pod's service account.
            self.kserve = kserve.KServeClient(
                config_file=kubeconfig, context=context, client_configuration=None, persist_config=False
            )
        except (config.ConfigException, OSError, ValueError) as error:
            raise Unreachable(f"no kubeconfig to use: {error}") from error
        settings = client.Configuration.get_default_copy()
        settings.retries = False
        # What is read was accepted by the API server already.
        settings.client_side_validation = False
        settings.connection_pool_maxsize = 16
        self.address: str = settings.host
        self.client = ClientWithDeadline(settings)
        self.core = client.CoreV1Api(self.client)
        self.apps = client.AppsV1Api(self.client)
        self.batch = client.BatchV1Api(self.client)
        self.networking = client.NetworkingV1Api(self.client)
        self.storage = client.StorageV1Api(self.client)
        self.authorization = client.AuthorizationV1Api(self.client)
        self.custom = client.CustomObjectsApi(self.client)
        # KServe's client has no deadline of its own.
        self.kserve.api_instance = self.custom
        register_kserve_models()

    def version(self) -> Any:
        """The server's version. Raises Unreachable."""
        try:
            return client.VersionApi(self.client).get_code()
        except client.ApiException as error:
            raise Unreachable(f"{self.address} answers {error.status} {error.reason}") from error
        except CALL_ERRORS as error:
            raise Unreachable(f"{self.address} does not answer: {_cause(error)}") from error

    def inference_services(self, namespace: str) -> list[Any]:
        """KServe's typed InferenceServices of a namespace."""
        found = self.custom.list_namespaced_custom_object(GROUP, "v1beta1", namespace, "inferenceservices")
        return [self.client.read(item, "V1beta1InferenceService") for item in found["items"]]

    def serving_runtimes(self, namespace: str) -> list[Any]:
        """KServe's typed ServingRuntimes of a namespace."""
        found = self.custom.list_namespaced_custom_object(GROUP, "v1alpha1", namespace, "servingruntimes")
        return [self.client.read(item, "V1alpha1ServingRuntime") for item in found["items"]]

    def cluster_serving_runtimes(self) -> list[Any]:
        """KServe's typed ClusterServingRuntimes."""
        found = self.custom.list_cluster_custom_object(GROUP, "v1alpha1", "clusterservingruntimes")
        return [self.client.read(item, "V1alpha1ClusterServingRuntime") for item in found["items"]]

    def model_status(self, namespace: str, pod: str) -> str:
        """Why the model in a serving pod cannot be served, by the process itself; empty when it can, or may yet.

        Readiness needs no token, which could not be sent through the API server's proxy.
        """
        name = pod.partition("-predictor")[0]
        try:
            self.core.connect_get_namespaced_pod_proxy_with_path(
                f"{pod}:8080", namespace, f"v2/models/{name}/ready", _preload_content=False
            )
        except kubernetes.client.ApiException as error:
            document = json.loads(error.body)
            return str(document["error"]) if document.get("state") == "failed" else ""
        return ""


def message(error: Any) -> str:
    """What the API server said to a call that failed."""
    try:
        return str(json.loads(error.body)["message"])
    except (KeyError, TypeError, ValueError):
        return str(error.body or error.reason)


def register_kserve_models() -> None:
    """Teach the official client's (de)serialiser KServe's models, which it finds by their names."""
    known = kubernetes.client.models
    for model in _kserve_models():
        setattr(known, model.__name__, model)
        for kind in model.openapi_types.values():
            # The SDK calls Kubernetes' own types by their place in its Go sources.
            for long, short in re.findall(r"\b(K8sIoApi[A-Z]\w*?(V1[A-Z]\w*))", kind):
                setattr(known, long, getattr(known, short))
    for name in STRINGS:
        setattr(known, name, str)


def _kserve_models() -> list[Any]:
    """All of them: the SDK's packages export many, but not `V1beta1ModelStatus` and its like."""
    path = kserve.models.__path__
    modules = [import_module(f"kserve.models.{found.name}") for found in pkgutil.iter_modules(path)]
    classes = [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    return [one for one in classes if hasattr(one, "openapi_types")]


class _Body:
    """What the client's deserialiser takes."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.data = json.dumps(body)


def _cause(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error)
