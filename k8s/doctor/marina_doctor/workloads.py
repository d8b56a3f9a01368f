"""Deployments, StatefulSets and Jobs of the release: pods that are not made, stopped parts, failed jobs."""

from typing import Any

from marina_doctor import pods
from marina_doctor.findings import Finding, Level, fail, info, ok, warn
from marina_doctor.observed import Observed, labels

CHECK = "workloads"
COMPONENT = "app.kubernetes.io/component"


def check(observed: Observed) -> list[Finding]:
    """Whether the release is installed, and whether each part of it can have its pods."""
    release = observed.release
    if not release.installed:
        text = f"release {release.name} is not installed in namespace {release.namespace}"
        return [info("release", f"{text}: only what it needs was looked at")]
    found = [_status(observed)]
    if observed.deployments is None:
        return found
    parts = [*observed.of_release(observed.deployments), *observed.of_release(observed.stateful_sets)]
    for part in parts:
        found += _part(observed, part)
    for name in sorted(_required(observed) - {one.metadata.name for one in parts}):
        found.append(fail(CHECK, f"{name} does not exist", "Make it again: `make deploy`"))
    return [*found, *_jobs(observed)]


def not_created(observed: Observed, owner: str) -> tuple[str, str] | None:
    """(why, what to do) when pods of an object, or of its ReplicaSet, may not be made."""
    for item in observed.deployments or ():
        if item.metadata.name == owner:
            for one in item.status.conditions or ():
                if one.type == "ReplicaFailure" and one.status == "True":
                    return _reason(one.message or "")
    for event in reversed(observed.warnings or []):
        about = event.involved_object
        mine = about.name == owner and about.kind in ("StatefulSet", "Job")
        if event.reason == "FailedCreate" and mine:
            return _reason(event.message or "")
    return None


def _reason(message: str) -> tuple[str, str]:
    said = message.partition("forbidden: ")[2] or message
    if "PodSecurity" in said:
        remedy = (
            "Change what the pod asks for, or lower the namespace's label pod-security.kubernetes.io/enforce"
        )
        return f"Pod Security does not let its pods in: {said}", remedy
    if "exceeded quota" in said:
        return (
            f"its pods do not fit into the quota: {said}",
            "Raise that ResourceQuota, or stop something else",
        )
    if "must specify" in said or "failed quota" in said:
        remedy = "Make a LimitRange with defaults, or set `resources` of this part in the values"
        return f"the quota wants what its pods do not state: {said}", remedy
    return (
        f"its pods are not made: {said}",
        "Change what is named there, or `resources` of this part in the values",
    )


def _status(observed: Observed) -> Finding:
    status, name, space = observed.release.status, observed.release.name, observed.release.namespace
    if status == "deployed":
        return ok("release", f"{name} is installed in namespace {space}")
    if status.startswith("pending"):
        remedy = f"Wait for the helm that works on it, or helm rollback {name} --namespace {space}"
        return warn("release", f"{name} is {status}: an upgrade runs, or was interrupted", remedy)
    return warn(
        "release", f"Helm says that {name} is {status}", "Install it again when the lines below are fixed"
    )


def _required(observed: Observed) -> set[str]:
    values, prefix = observed.release.values, observed.release.prefix
    parts = {"metadata-api": True, "ui": values["ui"]["enabled"], "postgres": values["postgres"]["enabled"]}
    return {f"{prefix}-{part}" for part, enabled in parts.items() if enabled}


def _part(observed: Observed, item: Any) -> list[Finding]:
    name, kind = item.metadata.name, "statefulset" if _is_stateful(item) else "deployment"
    ready = item.status.ready_replicas or 0
    if item.spec.replicas == 0:
        command = f"kubectl --namespace {item.metadata.namespace} scale {kind} {name} --replicas 1"
        return [fail(CHECK, f"{name} is scaled to 0", command)]
    level = Level.WARN if ready else Level.FAIL
    complete = min(ready, item.status.updated_replicas or 0) >= item.spec.replicas
    if not complete and (rejection := not_created(observed, name)):
        return [Finding(level, CHECK, f"{name}: {rejection[0]}", rejection[1])]
    text = f"{name} has {ready} of {item.spec.replicas} pods ready"
    if ready >= item.spec.replicas:
        return [ok(CHECK, text)]
    # A pod that says why is a line of its own.
    same = labels(item).get(COMPONENT)
    mine = [pod for pod in observed.of_release(observed.pods) if labels(pod).get(COMPONENT) == same]
    if any(pods.of_pod(pod, observed) for pod in mine):
        return []
    command = f"kubectl --namespace {item.metadata.namespace} describe {kind} {name}"
    return [Finding(level, CHECK, text, f"Wait, and look again; if it stays: {command}")]


def _jobs(observed: Observed) -> list[Finding]:
    found = []
    for job in observed.of_release(observed.jobs):
        part = labels(job).get(COMPONENT, "")
        name = job.metadata.name
        if job.status.succeeded:
            continue
        failed = [one for one in job.status.conditions or () if one.type == "Failed" and one.status == "True"]
        rejection = None if job.status.active else not_created(observed, name)
        if failed:
            why, remedy = failed[0].message or failed[0].reason, f"Read kubectl logs job/{name}"
        elif rejection:
            why, remedy = rejection
        else:
            continue
        what = "backups" if part == "backup" else "the starter experiments are not registered"
        level = Level.WARN if part in pods.MINOR or failed else Level.FAIL
        found.append(Finding(level, CHECK, f"the Job {name} did not succeed ({what}): {why}", remedy))
    return found


def _is_stateful(item: Any) -> bool:
    return hasattr(item.spec, "volume_claim_templates")
