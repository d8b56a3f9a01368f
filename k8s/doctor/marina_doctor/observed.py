"""What was observed of a cluster, as the checks read it. A list that is None could not be looked at."""

from dataclasses import dataclass, field
from typing import Any

from marina_doctor.values import Release


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What an HTTP endpoint said through the API server's proxy."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Right:
    """A right that an installation or the API needs, and whether it is granted."""

    verb: str
    group: str
    resource: str
    allowed: bool


@dataclass(slots=True)
class Observed:
    """Typed objects of the official client and of KServe's SDK."""

    release: Release
    kubernetes: str = ""
    """Version of Kubernetes, such as `v1.34.4`."""
    kserve_namespace: str = "kserve"
    kinds: dict[str, list[str] | None] = field(default_factory=dict)
    """Plural names of the served kinds by `group/version`; empty where that version is not served."""
    nodes: list[Any] | None = None
    storage_classes: list[Any] | None = None
    ingress_classes: list[Any] | None = None
    gateway: Any = None
    """The document of the Gateway that the values name; None when there is none."""
    controllers: list[Any] | None = None
    """Deployments in KServe's namespace."""
    controller_pods: list[Any] | None = None
    kserve_config: Any = None
    """KServe's ConfigMap."""
    webhook: HttpResponse | None = None
    """What the API server said to an InferenceService that was not stored (a dry run)."""

    namespace: Any = None
    quotas: list[Any] | None = None
    limit_ranges: list[Any] | None = None
    secrets: set[str] = field(default_factory=set)
    """Those of the Secrets that the values name which exist."""
    rights: list[Right] | None = None
    """Of the user, for an installation."""
    api_rights: list[Right] | None = None
    """Of the API's service account."""

    deployments: list[Any] | None = None
    stateful_sets: list[Any] | None = None
    jobs: list[Any] | None = None
    pods: list[Any] | None = None
    claims: list[Any] | None = None
    warnings: list[Any] | None = None
    """Warning events of the namespace, newest last."""
    routes: list[Any] | None = None
    """Documents of the release's HTTPRoutes."""
    services: list[Any] | None = None
    """InferenceServices of the namespace."""
    runtimes: list[Any] | None = None
    cluster_runtimes: list[Any] | None = None
    logs: dict[str, str] = field(default_factory=dict)
    """Last line of the log of a container that crashed, by `POD/CONTAINER`."""
    model_status: dict[str, str] = field(default_factory=dict)
    """Why a model cannot be served, by pod, as its process says."""
    readyz: HttpResponse | None = None
    """The API's answer to /readyz through its Service, or through its pod where the Service has none."""

    unreadable: dict[str, str] = field(default_factory=dict)
    """What could not be looked at, and why."""

    def of_release(self, objects: list[Any] | None) -> list[Any]:
        """Those of the objects that belong to the release, InferenceServices' aside."""
        return [
            item
            for item in objects or ()
            if labels(item).get("app.kubernetes.io/instance") == self.release.prefix
            and "serving.kserve.io/inferenceservice" not in labels(item)
        ]

    def of_service(self, name: str) -> list[Any]:
        """The pods of an InferenceService."""
        return [
            pod for pod in self.pods or () if labels(pod).get("serving.kserve.io/inferenceservice") == name
        ]


def labels(item: Any) -> dict[str, str]:
    """Labels of a typed object."""
    return item.metadata.labels or {}
