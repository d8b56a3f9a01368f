"""Kubernetes and KServe themselves: versions, kinds, nodes, KServe's controller, its mode and its webhook."""

import json
import re
from typing import Any

from marina_doctor.findings import Finding, fail, info, ok, warn
from marina_doctor.observed import Observed
from marina_doctor.values import ROOT

# The chart says no to what is older: charts/marina/templates/_validate.tpl.
OLDEST_KUBERNETES = (1, 30)
# The first that knows its mode without Knative by the name that InferenceServices ask for.
OLDEST_KSERVE = (0, 16)
CONTROLLER = "kserve-controller-manager"
STANDARD = {"Standard", "RawDeployment"}
INSTALL = "Install it with `make kserve`, or set kserve.enabled=false"


def check(observed: Observed) -> list[Finding]:
    """All of the platform; KServe only when the values want it."""
    found = [*kubernetes(observed), *nodes(observed)]
    if not observed.release.values["kserve"]["enabled"]:
        return [*found, info("kserve", "the values do without KServe: experiments are recorded, not served")]
    kinds = kserve_kinds(observed)
    found += kinds
    # Without its kinds KServe is not there, and all further lines on it would say the same again.
    if any(finding.remedy == INSTALL for finding in kinds):
        return found
    return [*found, *controller(observed), *mode(observed), *webhook(observed)]


def kubernetes(observed: Observed) -> list[Finding]:
    """The version of the API server."""
    number = version_of(observed.kubernetes)
    oldest = ".".join(map(str, OLDEST_KUBERNETES))
    if number and number < OLDEST_KUBERNETES:
        return [
            fail(
                "kubernetes", f"{observed.kubernetes} is too old", f"Upgrade the cluster to {oldest} or newer"
            )
        ]
    return [ok("kubernetes", f"version {observed.kubernetes} (Marina needs {oldest} or newer)")]


def nodes(observed: Observed) -> list[Finding]:
    """Whether any node takes pods, and which of them are short of something."""
    if observed.nodes is None:
        return []
    ready = [
        node for node in observed.nodes if _condition(node, "Ready") == "True" and not node.spec.unschedulable
    ]
    if not ready:
        return [
            fail(
                "nodes", f"none of {len(observed.nodes)} nodes takes pods", "Look at `kubectl describe nodes`"
            )
        ]
    found = [ok("nodes", f"{len(ready)} of {len(observed.nodes)} take pods")]
    for node in ready:
        for pressure in ("MemoryPressure", "DiskPressure", "PIDPressure"):
            if _condition(node, pressure) == "True":
                text = f"{node.metadata.name} has {pressure}: pods will be evicted or stay pending"
                found.append(warn("nodes", text, "Free some of it, or add a node"))
    return found


def kserve_kinds(observed: Observed) -> list[Finding]:
    """Whether the API server serves KServe's kinds in the versions that the chart writes."""
    required = {
        "serving.kserve.io/v1beta1": "inferenceservices",
        "serving.kserve.io/v1alpha1": "servingruntimes",
    }
    if all(observed.kinds.get(version) == [] for version in required):
        return [fail("kserve", "the cluster does not have KServe's kinds", INSTALL)]
    found = []
    for version, kind in required.items():
        served = observed.kinds.get(version)
        if served is not None and kind not in served:
            text = f"the cluster does not serve {kind} in {version}"
            found.append(
                fail("kserve", text, f"Install KServe {kserve_under_test()}'s kinds with `make kserve`")
            )
    return found or [ok("kserve", f"serves {', '.join(f'{kind} ({v})' for v, kind in required.items())}")]


def controller(observed: Observed) -> list[Finding]:
    """KServe's version, and whether its controller works."""
    if observed.controllers is None:
        return []
    space = observed.kserve_namespace
    [*found] = [one for one in observed.controllers if one.metadata.name == CONTROLLER]
    if not found:
        return [
            fail(
                "kserve",
                f"there is no controller {CONTROLLER} in namespace {space}",
                "Name KServe's namespace with --kserve-namespace, or install KServe with `make kserve`",
            )
        ]
    [deployment] = found
    image = next((one.image for one in deployment.spec.template.spec.containers if one.name == "manager"), "")
    lines = [_kserve_version(image)]
    if deployment.spec.replicas == 0:
        command = f"kubectl --namespace {space} scale deployment {CONTROLLER} --replicas 1"
        lines.append(
            fail("kserve", "its controller is scaled to 0: no model is deployed or changed", command)
        )
    elif not deployment.status.ready_replicas:
        command = f"kubectl --namespace {space} describe pods --selector control-plane={CONTROLLER}"
        lines.append(
            fail(
                "kserve",
                f"its controller is not ready{_why(observed)}: no model is deployed or changed",
                command,
            )
        )
    else:
        lines.append(ok("kserve", f"its controller is ready in namespace {space}"))
    return lines


def mode(observed: Observed) -> list[Finding]:
    """The mode of InferenceServices that do not ask for one, and whether KServe's configuration can be read."""
    if observed.kserve_config is None:
        return []
    try:
        default = str(json.loads((observed.kserve_config.data or {})["deploy"])["defaultDeploymentMode"])
    except (KeyError, TypeError, ValueError):
        default = "unknown"
    if default in STANDARD:
        return [ok("kserve", f"its default mode is {default}")]
    return [
        warn(
            "kserve",
            f"its default mode is {default}; Marina's models ask for Standard themselves, others would not",
            "Set kserve.controller.deploymentMode=Standard in KServe's values (see k8s/kserve-values.yaml)",
        )
    ]


def webhook(observed: Observed) -> list[Finding]:
    """Whether KServe's webhook takes an InferenceService: only that proves that it works."""
    if observed.webhook is None:
        return []
    if observed.webhook.status in (200, 201):
        return [ok("kserve", "its webhook takes an InferenceService")]
    said = observed.webhook.text
    remedy = "Read the log of its controller, and restart it once: its certificate is made with KServe"
    if "no endpoints" in said or "connection refused" in said or "deadline exceeded" in said:
        remedy = "Bring its controller up: the webhook is a part of it"
    elif "x509" in said or "certificate" in said:
        remedy = "Renew its certificate: run `make kserve` again"
    return [fail("kserve", f"its webhook does not take an InferenceService: {said}", remedy)]


def version_of(text: str) -> tuple[int, int] | None:
    """Major and minor number of a version; None for one that has none."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def kserve_under_test() -> str:
    """The version of KServe that the release is tested with."""
    versions = ROOT / "k8s" / "versions.env"
    found = re.search(r"^KSERVE_VERSION=(\S+)$", versions.read_text(), re.M)
    assert found, f"{versions} names no KSERVE_VERSION"
    return found[1]


def _kserve_version(image: str) -> Finding:
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    number, tested = version_of(tag), kserve_under_test()
    if number is None:
        text = f"the image {image or 'of its controller'} does not tell its version"
        return warn("kserve", text, f"Marina is tested with KServe {tested}")
    if number < OLDEST_KSERVE:
        return fail("kserve", f"version {tag} is too old", f"Upgrade it to {tested} (`make kserve`)")
    if number != version_of(tested):
        return warn("kserve", f"version {tag} was never tested with Marina", f"{tested} was (`make kserve`)")
    return ok("kserve", f"version {tag}")


def _why(observed: Observed) -> str:
    """What KServe's own pods wait for."""
    for pod in observed.controller_pods or ():
        for status in pod.status.container_statuses or ():
            waiting = status.state and status.state.waiting
            if waiting and waiting.reason:
                return f" ({waiting.reason} of {status.image})"
    return ""


def _condition(item: Any, kind: str) -> str:
    return next((one.status for one in item.status.conditions or () if one.type == kind), "")
