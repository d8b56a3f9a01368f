"""The way in from outside: an IngressClass or a Gateway, as the values want."""

from typing import Any

from marina_doctor.findings import Finding, fail, info, ok, warn
from marina_doctor.seen import Seen

CHECK = "exposure"
DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def check(seen: Seen) -> list[Finding]:
    """What the chosen mode needs."""
    expose = seen.release.values["expose"]
    if expose["mode"] == "ingress":
        return _ingress(seen, expose["ingress"]["className"])
    if expose["mode"] == "gateway":
        return _gateway(seen, expose["gateway"])
    return [info(CHECK, "the values open no way in from outside (expose.mode is none)")]


def _ingress(seen: Seen, expected: str) -> list[Finding]:
    if seen.ingress_classes is None:
        return []
    names = [one.metadata.name for one in seen.ingress_classes]
    listed = ", ".join(names) or "none"
    if expected:
        if expected in names:
            return [ok(CHECK, f"the IngressClass {expected} is there")]
        text = f"the IngressClass {expected} of the values does not exist (there is: {listed})"
        return [
            fail(CHECK, text, "Set expose.ingress.className to one that exists, or install its controller")
        ]
    if not names:
        text = "the cluster has no IngressClass: nothing serves the addresses of UI, API and models"
        return [fail(CHECK, text, "Install an Ingress controller, or set expose.mode to gateway or none")]
    defaults = [
        one.metadata.name
        for one in seen.ingress_classes
        if (one.metadata.annotations or {}).get(DEFAULT) == "true"
    ]
    if defaults:
        return [ok(CHECK, f"the default IngressClass is {defaults[0]}")]
    text = f"no IngressClass is the default (there is: {listed}), and the values name none"
    return [warn(CHECK, text, f"Set expose.ingress.className={names[0]}")]


def _gateway(seen: Seen, expected: dict[str, str]) -> list[Finding]:
    served = seen.kinds.get("gateway.networking.k8s.io/v1")
    if served is not None and "httproutes" not in served:
        remedy = "Install its CRDs and a controller, or set expose.mode=ingress"
        return [fail(CHECK, "the cluster does not serve HTTPRoutes of gateway.networking.k8s.io/v1", remedy)]
    if "the Gateway" in seen.blind:
        return []
    space = expected["namespace"] or seen.release.namespace
    name = f"the Gateway {expected['name']} in namespace {space}"
    if seen.gateway is None:
        return [fail(CHECK, f"{name} does not exist", "Make it, or set expose.gateway.name and .namespace")]
    listeners = [one["name"] for one in seen.gateway["spec"]["listeners"]]
    if expected["section"] and expected["section"] not in listeners:
        text = f"{name} has no listener {expected['section']} (there is: {', '.join(listeners)})"
        return [fail(CHECK, text, "Set expose.gateway.section to one of its listeners, or leave it empty")]
    for condition in seen.gateway.get("status", {}).get("conditions", ()):
        if condition["type"] in ("Accepted", "Programmed") and condition["status"] == "False":
            text = f"{name} is not {condition['type']}: {condition.get('message') or condition.get('reason')}"
            return [fail(CHECK, text, "Look at its controller and its listeners")]
    return [ok(CHECK, f"{name} is there"), *_routes(seen.routes or [])]


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
