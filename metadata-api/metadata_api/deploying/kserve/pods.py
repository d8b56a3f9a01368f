"""Pods of InferenceServices: which version each one runs, whether it answers, and in plain words why not.

An InferenceService says Ready during a rollout that fails, because the old pods answer; the pods do not lie.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from metadata_api.deploying.kserve.inference_services import RUNTIME, VERSION

Json = dict[str, Any]
SERVICE = "serving.kserve.io/inferenceservice"
TEMPLATE = "pod-template-hash"
STORAGE_INITIALIZER = "storage-initializer"
MODEL = "kserve-container"
LONGEST_LINE = 300
# Time, logger and place, which a reason does not need.
LOG_HEAD = re.compile(r"^\d{4}-\d\d-\d\d .{0,80}?\b(?:ERROR|CRITICAL|WARNING)\b:? (?:\[[^\]]*\] ?)?")
NO_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
NO_CONTAINER = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


@dataclass(frozen=True, slots=True)
class PodProblem:
    """What keeps a pod from answering; `failed` when waiting alone will not help."""

    state: Literal["failed", "pending"]
    reason: str


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a pod while its deployment is looked at."""

    service: str
    version: int | None
    runtime: str
    template: str
    """Hash of what the pod was made from: the newest pod's is the one that is being rolled out."""
    created: str
    ready: bool
    problem: PodProblem | None
    status_url: str | None
    """Where a model's process that runs says what it does."""
    terminating: bool = False
    """Whether it is on its way out and answers all the same, until every proxy has forgotten it."""


def parse(item: Json) -> Pod | None:
    """What is kept of a pod as the Kubernetes API shows it; None for one that has ended or is about to."""
    metadata, status = item["metadata"], item.get("status") or {}
    item_labels = metadata.get("labels") or {}
    number = item_labels.get(VERSION, "")
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready", {}).get("status") == "True"
    terminating = "deletionTimestamp" in metadata
    if status.get("phase") in ("Succeeded", "Failed") or (terminating and not ready):
        return None
    return Pod(
        service=item_labels.get(SERVICE, ""),
        version=int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else None,
        runtime=item_labels.get(RUNTIME, ""),
        template=item_labels.get(TEMPLATE, ""),
        created=str(metadata.get("creationTimestamp") or ""),
        ready=ready,
        problem=None if ready else _problem_of(item, conditions),
        status_url=_status_url(item),
        terminating=terminating,
    )


def reason_of_status(body: bytes) -> str | None:
    """Why the only model of a serving process cannot be served, by the process's own /status."""
    try:
        [model] = orjson.loads(body)["models"]
        if model["state"] == "failed" and isinstance(model["reason"], str):
            return _plain(model["reason"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        pass
    return None


def _problem_of(item: Json, conditions: dict[Any, Json]) -> PodProblem | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        said = _plain(str(scheduled.get("message") or scheduled.get("reason") or ""))
        return PodProblem("pending", f"No node can take the pod: {said}")
    status = item.get("status") or {}
    images = {one["name"]: one.get("image", "") for one in (item.get("spec") or {}).get("containers") or ()}
    for one in status.get("initContainerStatuses") or ():
        if _finished_well(one):
            continue
        if problem := _container(one, images):
            return problem
    for one in status.get("containerStatuses") or ():
        if not one.get("ready") and (problem := _container(one, images)):
            return problem
    return None


def _container(one: Json, images: dict[str, str]) -> PodProblem | None:
    """Judge a container that does not do its work; also by its last end, so that a restart hides nothing."""
    waiting = (one.get("state") or {}).get("waiting") or {}
    name, reason = one.get("name", ""), waiting.get("reason", "")
    if reason in NO_IMAGE:
        image = one.get("image") or images.get(name, "")
        return PodProblem(
            "failed", f"The image {image} cannot be pulled: {_plain(waiting.get('message') or reason)}"
        )
    if reason in NO_CONTAINER:
        return PodProblem(
            "failed",
            f"The container {name} cannot be started: {_plain(waiting.get('message') or reason)}",
        )
    ended = (one.get("state") or {}).get("terminated") or (one.get("lastState") or {}).get("terminated") or {}
    if not ended:
        return None
    if ended.get("reason") == "OOMKilled":
        return PodProblem(
            "failed",
            f"The container {name} needs more memory than its limit and was killed. Give it more `resources`.",
        )
    said = _last_line(ended.get("message") or "")
    if name == STORAGE_INITIALIZER:
        return PodProblem("failed", f"The archive cannot be fetched: {said or _code(ended)}")
    if name == MODEL:
        return PodProblem("failed", f"The model's process ended: {said or _code(ended)}")
    return PodProblem("failed", f"The container {name} ended: {said or _code(ended)}")


def _finished_well(one: Json) -> bool:
    ended = (one.get("state") or {}).get("terminated") or {}
    return bool(one.get("ready")) or ended.get("exitCode") == 0


def _status_url(item: Json) -> str | None:
    """Only when the model's container runs: before that nothing listens."""
    status = item.get("status") or {}
    running = any(
        one.get("name") == MODEL and "running" in (one.get("state") or {})
        for one in status.get("containerStatuses") or ()
    )
    address = status.get("podIP")
    if not running or not address:
        return None
    ports = next(
        (one.get("ports") for one in item["spec"].get("containers") or () if one.get("name") == MODEL), None
    )
    port = (ports or [{}])[0].get("containerPort", 8080)
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/status"


def _code(ended: Json) -> str:
    return f"exit code {ended.get('exitCode')}, {ended.get('reason') or 'no reason given'}"


def _last_line(log: str) -> str:
    """The end of a log says most: a traceback's last line is the error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return _plain(LOG_HEAD.sub("", lines[-1])) if lines else ""


def _plain(text: str) -> str:
    """Text of others, cut to what a database and a page can hold."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:LONGEST_LINE]
