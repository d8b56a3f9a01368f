"""The route from outside to a model: an Ingress or an HTTPRoute, owned by its InferenceService; pure functions."""

from dataclasses import dataclass
from typing import Any

from metadata_api.deploying.base import Desired
from metadata_api.deploying.kserve.config import Expose, KServeConfig
from metadata_api.deploying.kserve.inference_services import MANAGED_BY, labels
from metadata_api.kubernetes import HTTP_ROUTE, INFERENCE_SERVICE, INGRESS, Kind

Json = dict[str, Any]
KINDS: dict[str, Kind] = {"ingress": INGRESS, "gateway": HTTP_ROUTE}


@dataclass(frozen=True, slots=True)
class Route:
    """What is kept of a route."""

    name: str
    uid: str
    generation: int
    manager: str
    deleting: bool
    owner: str
    """uid of the InferenceService that owns it."""
    rejection: str | None
    """Why the Gateway does not take it."""


def route_name(deployment: str) -> str:
    """Not the deployment's own name: KServe would take the object for its own."""
    return f"{deployment}-v2"


def build(config: KServeConfig, desired: Desired, owner_uid: str) -> Json:
    """The route of a deployment; `owner_uid` names the InferenceService with which it goes away."""
    kind = KINDS[config.expose.mode]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": route_name(desired.name),
            "namespace": config.namespace,
            "labels": labels(config, desired),
            **({"annotations": config.expose.annotations} if config.expose.annotations else {}),
            "ownerReferences": [
                {
                    "apiVersion": INFERENCE_SERVICE.api_version,
                    "kind": INFERENCE_SERVICE.kind,
                    "name": desired.name,
                    "uid": owner_uid,
                    "controller": False,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": _ingress(config.expose, desired.name)
        if kind is INGRESS
        else _http_route(config.expose, desired.name),
    }


def parse(item: Json) -> Route:
    """What is kept of a route as the Kubernetes API shows it."""
    metadata = item["metadata"]
    references = metadata.get("ownerReferences") or ()
    return Route(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        manager=(metadata.get("labels") or {}).get(MANAGED_BY, ""),
        deleting="deletionTimestamp" in metadata,
        owner=next((one["uid"] for one in references if one.get("kind") == INFERENCE_SERVICE.kind), ""),
        rejection=_rejection(item.get("status") or {}),
    )


def _path(name: str) -> str:
    return f"/v2/models/{name}"


def _ingress(expose: Expose, name: str) -> Json:
    backend = {"service": {"name": f"{name}-predictor", "port": {"number": 80}}}
    path = {"path": _path(name), "pathType": "Prefix", "backend": backend}
    return {
        **({"ingressClassName": expose.ingress_class} if expose.ingress_class else {}),
        **({"tls": [{"hosts": [expose.host], "secretName": expose.tls_secret}]} if expose.tls_secret else {}),
        "rules": [{"host": expose.host, "http": {"paths": [path]}}],
    }


def _http_route(expose: Expose, name: str) -> Json:
    gateway = expose.gateway
    parent = {
        "name": gateway.name,
        **({"namespace": gateway.namespace} if gateway.namespace else {}),
        **({"sectionName": gateway.section} if gateway.section else {}),
    }
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": _path(name)}}],
        "backendRefs": [{"name": f"{name}-predictor", "port": 80}],
    }
    return {
        "parentRefs": [parent],
        **({"hostnames": [expose.host]} if expose.host else {}),
        "rules": [rule],
    }


def _rejection(status: Json) -> str | None:
    for parent in status.get("parents") or ():
        for one in parent.get("conditions") or ():
            if one.get("type") in ("Accepted", "ResolvedRefs") and one.get("status") == "False":
                return str(one.get("message") or one.get("reason") or "no reason given")
    return None
