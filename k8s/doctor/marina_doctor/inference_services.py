"""Each InferenceService with the reason why it does not answer, and the ServingRuntimes that they name."""

from typing import Any

from marina_doctor import pods
from marina_doctor.findings import Finding, fail, info, ok, warn
from marina_doctor.observed import Observed
from marina_doctor.platform import STANDARD
from marina_doctor.workloads import not_created

CHECK = "models"
RUNTIMES = ("native", "torchserve")
STOP = "serving.kserve.io/stop"
# A model that loads for longer than this will not come up by itself (serving.startupSeconds and some more).
PATIENCE_SECONDS = 300


def check(observed: Observed) -> list[Finding]:
    """One line for each InferenceService of the namespace, and one for each runtime that is missing."""
    if not observed.release.values["kserve"]["enabled"] or observed.services is None:
        return []
    found = _runtimes(observed)
    for service in observed.services:
        found.append(_service(observed, service))
    if not observed.services and observed.release.installed:
        found.append(info(CHECK, "there is no InferenceService: deploy an experiment in the UI"))
    return found


def _runtimes(observed: Observed) -> list[Finding]:
    """The release's own two; what an InferenceService names is said in its line."""
    if not observed.release.installed or observed.runtimes is None:
        return []
    there = {one.metadata.name for one in observed.runtimes}
    missing = sorted({f"{observed.release.prefix}-{one}" for one in RUNTIMES} - there)
    text = "the ServingRuntime {} of the release does not exist: no model of that kind can be deployed"
    found = [fail("runtimes", text.format(name), "Make it again: `make deploy`") for name in missing]
    return found or [ok("runtimes", "the ServingRuntimes of the release are there")]


def _service(observed: Observed, service: Any) -> Finding:
    name, status = service.metadata.name, service.status
    if (service.metadata.annotations or {}).get(STOP) == "true":
        return warn(CHECK, f"{name} is stopped by its annotation {STOP}", "Take that annotation off it")
    if text := _missing_runtime(observed, service):
        return fail(CHECK, f"{name} {text}", "Make that runtime (`make deploy`), or name one that exists")
    mode = status and status.deployment_mode
    if mode and mode not in STANDARD:
        remedy = "Annotate it with serving.kserve.io/deploymentMode=Standard and make it again"
        return fail(CHECK, f"{name} runs in mode {mode}, and Marina needs Standard", remedy)
    mine = observed.of_service(name)
    problem = _problem(observed, name, mine)
    if _is_ready(service):
        if problem:
            return warn(CHECK, f"{name} answers in its former version: {problem.text}", problem.remedy)
        return ok(CHECK, f"{name} is ready{_version(service)}")
    if problem:
        return fail(CHECK, f"{name} does not answer: {problem.text}", problem.remedy)
    return _undecided(observed, service, mine)


def _undecided(observed: Observed, service: Any, mine: list[Any]) -> Finding:
    """One that is not ready and whose pods have no problem to tell."""
    name, status = service.metadata.name, service.status
    if not status or not status.conditions:
        remedy = "Look at the lines on kserve: its controller makes the pods"
        return fail(CHECK, f"KServe has not looked at {name} since it was made", remedy)
    for pod in mine:
        if reason := observed.model_status.get(pod.metadata.name):
            return fail(
                CHECK, f"{name} does not answer: {reason}", "Deploy another version, or fix its archive"
            )
    if any(pods.age(pod) < PATIENCE_SECONDS for pod in mine):
        seconds = min(pods.age(pod) for pod in mine)
        return warn(CHECK, f"{name} has been loading for {seconds} s", "Wait, and look again")
    space = service.metadata.namespace
    return fail(
        CHECK, f"{name} is not ready: {_said(status)}", f"kubectl --namespace {space} describe isvc {name}"
    )


def _problem(observed: Observed, name: str, mine: list[Any]) -> pods.PodProblem | None:
    newest_first = sorted(mine, key=pods.age)
    for pod in newest_first:
        if problem := pods.of_pod(pod, observed):
            return problem
    if rejection := not_created(observed, f"{name}-predictor"):
        return pods.PodProblem(*rejection)
    return None


def _missing_runtime(observed: Observed, service: Any) -> str:
    model = service.spec.predictor.model
    named = model and model.runtime
    if not named or observed.runtimes is None:
        return ""
    own = [one for one in observed.runtimes if one.metadata.name == named]
    # Who may not list those of the cluster does not know that one is missing.
    shared = [one for one in observed.cluster_runtimes or () if one.metadata.name == named]
    if own or shared:
        return (
            f"names the ServingRuntime {named}, which is disabled" if (own or shared)[0].spec.disabled else ""
        )
    return (
        "" if observed.cluster_runtimes is None else f"names the ServingRuntime {named}, which does not exist"
    )


def _said(status: Any) -> str:
    """KServe's own words: of the last failure, else of the first condition that is not met."""
    failure = status.model_status and status.model_status.last_failure_info
    if failure and (failure.message or failure.reason):
        return str(failure.message or failure.reason)
    for one in status.conditions:
        if one.status == "False" and (one.message or one.reason):
            return f"{one.type}: {one.message or one.reason}"
    return "KServe gives no reason"


def _is_ready(service: Any) -> bool:
    conditions = (service.status and service.status.conditions) or ()
    return any(one.type == "Ready" and one.status == "True" for one in conditions)


def _version(service: Any) -> str:
    version = (service.metadata.labels or {}).get("marina/version")
    return f" with version {version}" if version else ""
