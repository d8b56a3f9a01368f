"""What is observed of a deployment on Kubernetes, from its InferenceService and its pods; pure functions."""

from collections.abc import Sequence

from metadata_api.deploying.base import Observed
from metadata_api.deploying.kserve.inference_services import Service
from metadata_api.deploying.kserve.pods import Pod
from serving_runtime.contracts import DeploymentState


def derive(service: Service, pods: Sequence[Pod] | None, rejection: str | None = None) -> Observed:
    """State, answering version and reason.

    Args:
        pods: those of the service; None when they were not listed, because it was seen settled, or because
            they cannot be listed.
        rejection: why the Gateway does not take the route; the model answers inside of the cluster all the same.
    """
    state, live, reason = _derived(service, pods)
    if state == "ready" and rejection and reason is None:
        reason = f"It is not reachable from outside: {rejection}"
    return Observed(state, service.version, live, reason, service.runtime or None)


def is_settled(service: Service, pods: Sequence[Pod]) -> bool:
    """Whether every pod is of what is desired and answers: then the InferenceService alone can be believed."""
    return (
        service.ready
        and len(pods) == service.replicas
        and len({pod.template for pod in pods}) <= 1
        and all(pod.ready and not pod.terminating and is_of(pod, service) for pod in pods)
    )


def is_of(pod: Pod, service: Service) -> bool:
    """Whether a pod runs what its service has now."""
    return pod.version == service.version and pod.runtime == service.runtime


def waiting(service: Service, pods: Sequence[Pod]) -> Pod | None:
    """The newest pod of what is desired, if it runs, is not ready and says nothing to Kubernetes about why."""
    newest = _newest(_desired(pods, service))
    return newest if newest and not newest.ready and newest.problem is None and newest.status_url else None


def _derived(service: Service, pods: Sequence[Pod] | None) -> tuple[DeploymentState, int | None, str | None]:
    if service.deleting:
        return "pending", None, "The earlier InferenceService of this name is being deleted."
    if pods is None:
        if service.ready:
            return "ready", service.version, None
        return _unseen(service)
    desired = _desired(pods, service)
    ready = [pod for pod in desired if pod.ready]
    # Also those that are terminating: ready in a version means that no other version answers any more.
    others = [pod for pod in pods if not is_of(pod, service)]
    live = service.version if ready else _live(others)
    newest = _newest(desired)
    problem = newest.problem if newest else None
    if service.failure and not ready:
        return "failed", live, service.failure
    one_template = len({pod.template for pod in desired}) == 1
    # Other resources are a rollout too: of the same version, and the old pods answer meanwhile.
    if problem is not None and (len(ready) < service.replicas or others or not one_template):
        if ready and not others and one_template:
            # Not a rollout: some replicas answer, one has a problem.
            return "ready", live, f"{len(ready)} of {service.replicas} replicas answer. {problem.reason}"
        return problem.state, live, problem.reason
    if ready and not others and service.ready:
        short = len(ready) < service.replicas
        return "ready", live, f"{len(ready)} of {service.replicas} replicas answer." if short else None
    if not desired and not others:
        return _unseen(service)
    return "starting", live, None


def _unseen(service: Service) -> tuple[DeploymentState, int | None, str | None]:
    """No pod is known: what the InferenceService itself says is all there is."""
    if service.failure:
        return "failed", None, service.failure
    if service.problem:
        return "pending", None, service.problem
    return "pending", None, "KServe has not made its pods yet."


def _desired(pods: Sequence[Pod], service: Service) -> list[Pod]:
    return [pod for pod in pods if not pod.terminating and is_of(pod, service)]


def _live(pods: Sequence[Pod]) -> int | None:
    newest = _newest([pod for pod in pods if pod.ready])
    return newest.version if newest else None


def _newest(pods: Sequence[Pod]) -> Pod | None:
    return max(pods, key=lambda pod: pod.created, default=None)
