"""Why a pod does not do its work: the image, the scheduler, a volume, a crash with the last line of its log."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marina_doctor.findings import Finding, Level, ok, warn
from marina_doctor.observed import Observed, labels

CHECK = "pods"
STORAGE_INITIALIZER = "storage-initializer"
MODEL = "kserve-container"
NO_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
NO_CONTAINER = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
NO_VOLUME = {"FailedMount", "FailedAttachVolume"}
# A Deployment replaces such pods, and what a Job's pods did is said of the Job.
ENDED = {"Succeeded", "Failed"}
# Parts whose pods may fail while the product works.
MINOR = {"backup", "test"}
# Time, logger and place, which no reason needs.
LOG_HEAD = re.compile(r"^\d{4}-\d\d-\d\d .{0,80}?\b(?:ERROR|CRITICAL|WARNING)\b:? (?:\[[^\]]*\] ?)?")


@dataclass(frozen=True, slots=True)
class PodProblem:
    """What keeps a pod from its work, and what to do."""

    text: str
    remedy: str


def check(observed: Observed) -> list[Finding]:
    """Each problem of the release's own pods once, whatever the number of pods that have it."""
    if observed.pods is None:
        return []
    found: dict[tuple[str, str], Finding] = {}
    mine = observed.of_release(observed.pods)
    for pod in mine:
        part = labels(pod).get("app.kubernetes.io/component", "")
        if (problem := of_pod(pod, observed)) and part != "test":
            level = Level.WARN if part in MINOR or _answers(observed, part) else Level.FAIL
            text = f"{pod.metadata.name}: {problem.text}"
            found.setdefault((part, problem.text), Finding(level, CHECK, text, problem.remedy))
    working = [pod for pod in mine if is_ready(pod) and not pod.metadata.deletion_timestamp]
    found_early = [*found.values(), *_starting(observed, mine)]
    if working and not found_early:
        return [ok(CHECK, f"{len(working)} pods of the release run, and their images are there")]
    return found_early


def of_pod(pod: Any, observed: Observed) -> PodProblem | None:
    """Why a pod does not do its work; None when it does, when it has ended, or when it only needs time."""
    if is_ready(pod) or pod.metadata.deletion_timestamp or pod.status.phase in ENDED:
        return None
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return _unscheduled(condition)
    statuses = [
        *(one for one in pod.status.init_container_statuses or () if not _finished_well(one)),
        *(one for one in pod.status.container_statuses or () if not one.ready),
    ]
    for status in statuses:
        if problem := _container(pod, status, observed):
            return problem
    return _volume(pod, observed)


def crashed(pod: Any) -> list[Any]:
    """Statuses of containers that ended badly, now or before they were started again."""
    if is_ready(pod):
        return []
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    return [one for one in statuses if _end(one) and not _finished_well(one)]


def is_ready(pod: Any) -> bool:
    """Whether the pod does its work."""
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())


def last_line(log: str) -> str:
    """The end of a log says most: a traceback's last line is the error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return LOG_HEAD.sub("", lines[-1]) if lines else ""


def _unscheduled(condition: Any) -> PodProblem:
    said = condition.message or condition.reason or "no reason given"
    if "persistentvolumeclaim" in said.lower():
        remedy = "Look at the lines on storage: the pod waits for its volume"
    elif "Insufficient" in said:
        remedy = "Add a node, stop what is not needed, or lower `resources` in the values"
    else:
        remedy = (
            "Check `nodeSelector` and `tolerations` in the values against `kubectl get nodes --show-labels`"
        )
    return PodProblem(f"no node can take the pod: {said}", remedy)


def _container(pod: Any, status: Any, observed: Observed) -> PodProblem | None:
    """Judge a container that does not do its work; also by its last end, so that a restart hides nothing."""
    waiting: Any = status.state and status.state.waiting
    reason = waiting.reason if waiting else ""
    if reason in NO_IMAGE:
        return _image(pod, status, waiting)
    if reason in NO_CONTAINER:
        return PodProblem(
            f"the container {status.name} cannot be started: {waiting.message or reason}",
            "Make the Secret or ConfigMap that it names, or take it out of the values",
        )
    ended = _end(status)
    if not ended or ended.exit_code == 0:
        return None
    if ended.reason == "OOMKilled":
        return PodProblem(
            f"the container {status.name} needed more memory than its limit and was killed",
            "Raise `resources.limits.memory` of this part in the values",
        )
    where = f"{pod.metadata.name}/{status.name}"
    said = last_line(ended.message or "") or observed.logs.get(where, "")
    said = said or f"exit code {ended.exit_code}, {ended.reason or 'no reason given'}"
    logs = (
        f"kubectl --namespace {pod.metadata.namespace} logs {pod.metadata.name} -c {status.name} --previous"
    )
    if status.name == STORAGE_INITIALIZER:
        return PodProblem(
            f"the archive cannot be fetched: {said}",
            "Check that the API, or the bucket, is up and has the archive that `storageUri` names",
        )
    again = f", {status.restart_count} restarts" if status.restart_count else ""
    what = "the model's process" if status.name == MODEL else f"the container {status.name}"
    return PodProblem(f"{what} ended{again}: {said}", f"Read all of it: {logs}")


def _image(pod: Any, status: Any, waiting: Any) -> PodProblem:
    specified = [*(pod.spec.init_containers or ()), *pod.spec.containers]
    image = next((one.image for one in specified if one.name == status.name), status.image)
    return PodProblem(
        f"the image {image} cannot be pulled ({waiting.reason})",
        "Check its name, tag and pull secret in the values, or copy it into the cluster with `make images-load`",
    )


def _volume(pod: Any, observed: Observed) -> PodProblem | None:
    for event in reversed(observed.warnings or []):
        if event.involved_object.uid == pod.metadata.uid and event.reason in NO_VOLUME:
            return PodProblem(
                f"a volume cannot be mounted: {event.message}",
                "Make the Secret, ConfigMap or claim that it names, or take it out of the values",
            )
    return None


def _starting(observed: Observed, pods: list[Any]) -> list[Finding]:
    """Pods without any problem that are not ready yet."""
    found = []
    for pod in pods:
        if pod.status.phase in ENDED or is_ready(pod) or pod.metadata.deletion_timestamp:
            continue
        if labels(pod).get("app.kubernetes.io/component") not in MINOR and not of_pod(pod, observed):
            found.append(
                warn(
                    CHECK,
                    f"{pod.metadata.name} has been starting for {age(pod)} s",
                    f"Wait, or read kubectl --namespace {pod.metadata.namespace} logs {pod.metadata.name}",
                )
            )
    return found


def age(item: Any) -> int:
    """Seconds since an object was made, by this machine's clock."""
    created = item.metadata.creation_timestamp
    return max(0, int((datetime.now(UTC) - created).total_seconds())) if created else 0


def _answers(observed: Observed, part: str) -> bool:
    """Whether other pods of the part do its work meanwhile."""
    controllers = [*observed.of_release(observed.deployments), *observed.of_release(observed.stateful_sets)]
    return any(
        labels(one).get("app.kubernetes.io/component") == part and (one.status.ready_replicas or 0) > 0
        for one in controllers
    )


def _end(status: Any) -> Any:
    """How the container ended, now or before it was started again."""
    now = status.state and status.state.terminated
    return now or (status.last_state and status.last_state.terminated)


def _finished_well(status: Any) -> bool:
    return bool(status.ready) or bool(
        status.state and status.state.terminated and status.state.terminated.exit_code == 0
    )
