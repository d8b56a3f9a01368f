"""Rights: of the user, for an installation, and of the API's service account, for its work."""

from marina_doctor.findings import Finding, fail, ok, warn
from marina_doctor.observed import Observed, Right
from marina_doctor.values import Values

CHECK = "rights"
INSTALL_VERBS = ("get", "list", "create", "patch", "delete")
CORE, APPS, BATCH = "", "apps", "batch"
NETWORK, KSERVE, GATEWAY = "networking.k8s.io", "serving.kserve.io", "gateway.networking.k8s.io"
API_VERBS = ("get", "list", "watch", "create", "patch", "delete")


def for_installation(values: Values) -> list[tuple[str, str, str]]:
    """(verb, group, resource) of all that Helm does with the chart's objects."""
    kinds = [
        *((CORE, name) for name in ("configmaps", "secrets", "services", "serviceaccounts")),
        (CORE, "persistentvolumeclaims"),
        (CORE, "pods"),
        (APPS, "deployments"),
        (BATCH, "jobs"),
    ]
    if values["postgres"]["enabled"]:
        kinds.append((APPS, "statefulsets"))
    if values["backup"]["enabled"]:
        kinds.append((BATCH, "cronjobs"))
    if values["networkPolicy"]["enabled"]:
        kinds.append((NETWORK, "networkpolicies"))
    if values["expose"]["mode"] == "ingress":
        kinds.append((NETWORK, "ingresses"))
    if values["expose"]["mode"] == "gateway":
        kinds.append((GATEWAY, "httproutes"))
    if values["kserve"]["enabled"]:
        kinds += [(KSERVE, "servingruntimes"), (KSERVE, "inferenceservices")]
        kinds += [("rbac.authorization.k8s.io", name) for name in ("roles", "rolebindings")]
    if values["api"]["autoscaling"]["enabled"]:
        kinds.append(("autoscaling", "horizontalpodautoscalers"))
    return [(verb, group, resource) for group, resource in kinds for verb in INSTALL_VERBS]


def for_the_api(values: Values) -> list[tuple[str, str, str]]:
    """(verb, group, resource) of what the API's own Role must give."""
    needed = [(verb, KSERVE, "inferenceservices") for verb in API_VERBS]
    needed.append(("list", CORE, "pods"))
    if values["expose"]["mode"] == "ingress":
        needed += [(verb, NETWORK, "ingresses") for verb in API_VERBS]
    if values["expose"]["mode"] == "gateway":
        needed += [(verb, GATEWAY, "httproutes") for verb in API_VERBS]
    return needed


def check(observed: Observed) -> list[Finding]:
    """What the user may not do, and what the API's service account may not do."""
    return [*_of_the_user(observed), *_of_the_api(observed)]


def _of_the_user(observed: Observed) -> list[Finding]:
    if observed.rights is None:
        return []
    missing = [right for right in observed.rights if not right.allowed]
    if not missing:
        return [ok(CHECK, f"this user may install the release in namespace {observed.release.namespace}")]
    text = f"this user may not {_listed(missing)} in namespace {observed.release.namespace}"
    remedy = "Ask the cluster's administrator for the role `admin` there and for KServe's kinds"
    if observed.release.installed:
        return [warn(CHECK, f"{text}, which an upgrade needs", remedy)]
    return [fail(CHECK, text, remedy)]


def _of_the_api(observed: Observed) -> list[Finding]:
    missing = [right for right in observed.api_rights or () if not right.allowed]
    if not missing:
        return []
    text = f"the API's service account may not {_listed(missing)}: it cannot deploy models"
    return [
        fail(
            CHECK,
            text,
            f"Make its Role and RoleBinding {observed.release.prefix}-metadata-api: `make deploy`",
        )
    ]


def _listed(rights: list[Right]) -> str:
    """Rights by resource: `create, delete pods; get secrets`."""
    by_resource: dict[str, list[str]] = {}
    for right in rights:
        name = f"{right.resource}.{right.group}" if right.group else right.resource
        by_resource.setdefault(name, []).append(right.verb)
    return "; ".join(f"{', '.join(verbs)} {name}" for name, verbs in by_resource.items())
