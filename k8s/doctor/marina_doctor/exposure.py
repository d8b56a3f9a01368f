"""The way in from outside: an IngressClass or a Gateway, as the values want."""

from typing import Any

from marina_doctor.findings import Finding, fail, info, ok, warn
from marina_doctor.observed import Observed

CHECK = "exposure"
DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def check(observed: Observed) -> list[Finding]:
    """What the chosen mode needs."""
    expose = observed.release.values["expose"]
    if expose["mode"] == "ingress":
        return _ingress(observed, expose["ingress"]["className"])
    if expose["mode"] == "gateway":
        return _gateway(observed, expose["gateway"])
    return [info(CHECK, "the values open no way in from outside (expose.mode is none)")]


def _ingress(observed: Observed, desired: str) -> list[Finding]:
    if observed.ingress_classes is None:
        return []
    names = [one.metadata.name for one in observed.ingress_classes]
    listed = ", ".join(names) or "none"
    if desired:
        if desired in names:
            return [ok(CHECK, f"the IngressClass {desired} is there")]
        text = f"the IngressClass {desired} of the values does not exist (there is: {listed})"
        return [
            fail(CHECK, text, "Set expose.ingress.className to one that exists, or install its controller")
        ]
    if not names:
        text = "the cluster has no IngressClass: nothing serves the addresses of UI, API and models"
        return [fail(CHECK, text, "Install an Ingress controller, or set expose.mode to gateway or none")]
    defaults = [
        one.metadata.name
        for one in observed.ingress_classes
        if (one.metadata.annotations or {}).get(DEFAULT) == "true"
    ]
    if defaults:
        return [ok(CHECK, f"the default IngressClass is {defaults[0]}")]
    text = f"no IngressClass is the default (there is: {listed}), and the values name none"
    return [warn(CHECK, text, f"Set expose.ingress.className={names[0]}")]


def _gateway(observed: Observed, desired: dict[str, str]) -> list[Finding]:
    served = observed.kinds.get("gateway.networking.k8s.io/v1")
    if served is not None and "httproutes" not in served:
        remedy = "Install its CRDs and a controller, or set expose.mode=ingress"
        return [fail(CHECK, "the cluster does not serve HTTPRoutes of gateway.networking.k8s.io/v1", remedy)]
    if "the Gateway" in observed.unreadable:
        return []
    space = desired["namespace"] or observed.release.namespace
    name = f"the Gateway {desired['name']} in namespace {space}"
    if observed.gateway is None:
        return [fail(CHECK, f"{name} does not exist", "Make it, or set expose.gateway.name and .namespace")]
    listeners = [one["name"] for one in observed.gateway["spec"]["listeners"]]
    if desired["section"] and desired["section"] not in listeners:
        text = f"{name} has no listener {desired['section']} (there is: {', '.join(listeners)})"
        return [fail(CHECK, text, "Set expose.gateway.section to one of its listeners, or leave it empty")]
    for condition in observed.gateway.get("status", {}).get("conditions", ()):
        if condition["type"] in ("Accepted", "Programmed") and condition["status"] == "False":
            text = f"{name} is not {condition['type']}: {condition.get('message') or condition.get('reason')}"
            return [fail(CHECK, text, "Look at its controller and its listeners")]
    return [ok(CHECK, f"{name} is there"), *_routes(observed.routes or [])]


def _routes(routes: list[dict[str, Any]]) -> list[Finding]:
    found = []
    for route in routes:
        conditions = [
            one
            for parent in route.get("status", {}).get("parents", ())
            for one in parent.get("conditions", ())
        ]
        for one in conditions:
            if one["status"] == "False":
                text = f"the HTTPRoute {route['metadata']['name']} is not {one['type']}: {one.get('message')}"
                remedy = "Let the Gateway's listener take routes of this namespace (allowedRoutes) and host"
                found.append(fail(CHECK, text, remedy))
    return found
