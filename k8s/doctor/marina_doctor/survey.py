"""Asks the cluster for all that the checks read."""

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from kubernetes import client

from marina_doctor import rights
from marina_doctor.cluster import GROUP, Cluster, message
from marina_doctor.looker import Looker
from marina_doctor.pods import MODEL, crashed, is_ready, last_line
from marina_doctor.seen import Answer, Right, Seen, labels
from marina_doctor.values import Values, of_helm

SECONDS = 20
HELM = "Helm's record of the release"
KINDS = (f"{GROUP}/v1beta1", f"{GROUP}/v1alpha1", "gateway.networking.k8s.io/v1")
# More of them say nothing new.
MOST_LOGS = 5
LOG_LINES = 20
Asked = Future[Any]


def survey(
    cluster: Cluster, release: str, namespace: str, planned: Values, kserve_namespace: str = "kserve"
) -> Seen:
    """All that was seen within the deadline. Raises Unreachable when the cluster does not answer at all."""
    version = cluster.version()
    look = Looker(SECONDS)
    try:
        # Only Helm's own Secrets of this release.
        selector = f"owner=helm,name={release}"
        helm = look.start(cluster.core.list_namespaced_secret, namespace, label_selector=selector)
        asked = _ask(cluster, look, namespace, kserve_namespace)
        secrets = look.found(HELM, helm)
        seen = Seen(of_helm(release, namespace, secrets.items if secrets else (), planned), blind=look.blind)
        if HELM in look.blind:
            seen.deployments = getattr(look.found(*asked["deployments"]), "items", None)
            if seen.of_release(seen.deployments):
                seen.release = replace(seen.release, status="deployed")
        seen.kubernetes, seen.kserve_namespace = version.git_version, kserve_namespace
        later = _ask_for_release(cluster, look, seen)
        _fill(look, seen, asked)
        _fill_later(look, seen, later)
        _look_closer(cluster, look, seen)
        return seen
    finally:
        look.close()


def _ask(cluster: Cluster, look: Looker, namespace: str, kserve: str) -> dict[str, tuple[str, Asked]]:
    """What does not depend on the values: field of `Seen` -> (its name for people, what was asked)."""
    core, apps = cluster.core, cluster.apps
    asked: dict[str, tuple[str, Asked]] = {
        "nodes": ("nodes", look.start(core.list_node)),
        "storage_classes": ("StorageClasses", look.start(cluster.storage.list_storage_class)),
        "ingress_classes": ("IngressClasses", look.start(cluster.networking.list_ingress_class)),
        "controllers": ("KServe's Deployments", look.start(apps.list_namespaced_deployment, kserve)),
        "controller_pods": ("KServe's pods", look.start(core.list_namespaced_pod, kserve)),
        "kserve_config": (
            "KServe's configuration",
            look.start(core.read_namespaced_config_map, "inferenceservice-config", kserve),
        ),
        "webhook": ("KServe's webhook", look.start(_dry_run, cluster, namespace)),
        "namespace": ("the namespace", look.start(core.read_namespace, namespace)),
        "quotas": ("ResourceQuotas", look.start(core.list_namespaced_resource_quota, namespace)),
        "limit_ranges": ("LimitRanges", look.start(core.list_namespaced_limit_range, namespace)),
        "deployments": ("Deployments", look.start(apps.list_namespaced_deployment, namespace)),
        "stateful_sets": ("StatefulSets", look.start(apps.list_namespaced_stateful_set, namespace)),
        "jobs": ("Jobs", look.start(cluster.batch.list_namespaced_job, namespace)),
        "pods": ("pods", look.start(core.list_namespaced_pod, namespace)),
        "claims": (
            "PersistentVolumeClaims",
            look.start(core.list_namespaced_persistent_volume_claim, namespace),
        ),
        "warnings": (
            "events",
            look.start(core.list_namespaced_event, namespace, field_selector="type=Warning", limit=500),
        ),
        "services": ("InferenceServices", look.start(cluster.inference_services, namespace)),
        "runtimes": ("ServingRuntimes", look.start(cluster.serving_runtimes, namespace)),
        "cluster_runtimes": ("ClusterServingRuntimes", look.start(cluster.cluster_serving_runtimes)),
    }
    for version in KINDS:
        group, _, number = version.partition("/")
        asked[version] = (f"kinds of {version}", look.start(cluster.custom.get_api_resources, group, number))
    return asked


def _fill(look: Looker, seen: Seen, asked: dict[str, tuple[str, Asked]]) -> None:
    single = {"kserve_config", "webhook", "namespace"}
    for field, (what, future) in asked.items():
        found = look.found(what, future, absent=None if field in single else [])
        if field in KINDS:
            seen.kinds[field] = found if found in (None, []) else [kind.name for kind in found.resources]
        else:
            setattr(seen, field, getattr(found, "items", found))
    if seen.warnings:
        seen.warnings.sort(key=lambda event: str(event.last_timestamp or event.event_time or ""))


def _ask_for_release(cluster: Cluster, look: Looker, seen: Seen) -> dict[str, Any]:
    """What depends on the values."""
    release, namespace = seen.release, seen.release.namespace
    expose = release.values["expose"]
    later: dict[str, Any] = {
        "rights": [
            look.start(_own_right, cluster, namespace, *needed)
            for needed in rights.for_installation(release.values)
        ],
        "api_rights": [],
    }
    if expose["mode"] == "gateway":
        kind = ("gateway.networking.k8s.io", "v1")
        space = expose["gateway"]["namespace"] or namespace
        name = expose["gateway"]["name"]
        later["gateway"] = look.start(
            cluster.custom.get_namespaced_custom_object, *kind, space, "gateways", name
        )
        later["routes"] = look.start(
            cluster.custom.list_namespaced_custom_object, *kind, namespace, "httproutes"
        )
    if release.installed:
        later["readyz"] = look.start(_readyz, cluster, namespace, release.prefix)
        if release.values["kserve"]["enabled"]:
            account = f"system:serviceaccount:{namespace}:{release.prefix}-metadata-api"
            later["api_rights"] = [
                look.start(_right_of, cluster, account, namespace, *needed)
                for needed in rights.for_the_api(release.values)
            ]
    return later


def _fill_later(look: Looker, seen: Seen, later: dict[str, Any]) -> None:
    seen.rights = _all_or_none(look, "rights of this user", later["rights"])
    seen.api_rights = _all_or_none(look, "rights of the API's service account", later["api_rights"])
    if "gateway" in later:
        seen.gateway = look.found("the Gateway", later["gateway"])
        routes = look.found("HTTPRoutes", later["routes"], absent={"items": []}) or {"items": []}
        seen.routes = [
            one
            for one in routes["items"]
            if one["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == seen.release.prefix
        ]
    if "readyz" in later:
        seen.readyz = look.found("the API", later["readyz"])


def _all_or_none(look: Looker, what: str, asked: list[Asked]) -> list[Right] | None:
    found = [look.found(what, one) for one in asked]
    return None if None in found else found


def _look_closer(cluster: Cluster, look: Looker, seen: Seen) -> None:
    """Logs of what crashed without a last word, and what models say that run and are not ready."""
    logs = _logs(cluster, look, seen)
    namespace = seen.release.namespace
    running = [pod.metadata.name for pod in seen.pods or () if _runs_unready(pod)][:MOST_LOGS]
    told = {name: look.start(cluster.model_status, namespace, name) for name in running}
    for where, asked in logs.items():
        seen.logs[where] = last_line(look.found(f"the log of {where}", asked, absent="") or "")
    for name, asked in told.items():
        seen.model_status[name] = look.found(f"the status of the model in {name}", asked, absent="") or ""


def _logs(cluster: Cluster, look: Looker, seen: Seen) -> dict[str, Asked]:
    asked: dict[str, Asked] = {}
    for pod in seen.pods or ():
        for status in crashed(pod):
            ended = status.state.terminated or status.last_state.terminated
            if ended.message or len(asked) == MOST_LOGS:
                continue
            asked[f"{pod.metadata.name}/{status.name}"] = look.start(
                cluster.core.read_namespaced_pod_log,
                pod.metadata.name,
                seen.release.namespace,
                container=status.name,
                tail_lines=LOG_LINES,
                previous=status.state.terminated is None,
            )
    return asked


def _runs_unready(pod: Any) -> bool:
    """Whether a model's process runs that does not answer for its model yet."""
    statuses = pod.status.container_statuses or ()
    return (
        "serving.kserve.io/inferenceservice" in labels(pod)
        and not is_ready(pod)
        and any(one.name == MODEL and one.state.running for one in statuses)
    )


def _readyz(cluster: Cluster, namespace: str, prefix: str) -> Answer | None:
    """What the API says through its Service; where that has no ready pod, what a running pod says."""
    name = f"{prefix}-metadata-api"
    try:
        said = cluster.core.connect_get_namespaced_service_proxy_with_path(f"{name}:80", namespace, "readyz")
        return Answer(200, str(said))
    except client.ApiException as error:
        if error.status not in (404, 503):
            return Answer(error.status, str(error.body or error.reason))
    selector = f"app.kubernetes.io/instance={prefix},app.kubernetes.io/component=metadata-api"
    pods = cluster.core.list_namespaced_pod(namespace, label_selector=selector).items
    running = [pod for pod in pods if any(one.state.running for one in pod.status.container_statuses or ())]
    for pod in running:
        address = f"{pod.metadata.name}:8000"
        try:
            said = cluster.core.connect_get_namespaced_pod_proxy_with_path(address, namespace, "readyz")
            return Answer(200, str(said))
        except client.ApiException as error:
            return Answer(error.status, str(error.body or error.reason))
    return None


def _dry_run(cluster: Cluster, namespace: str) -> Answer | None:
    """What the API server, and so KServe's webhook, says to an InferenceService that is not stored."""
    model = {
        "modelFormat": {"name": "marina-mar"},
        "protocolVersion": "v2",
        "storageUri": "https://example.org/a.mar",
    }
    body = {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "marina-doctor",
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {"predictor": {"model": model}},
    }
    for place in (namespace, "default"):
        try:
            cluster.custom.create_namespaced_custom_object(
                GROUP, "v1beta1", place, "inferenceservices", body, dry_run="All"
            )
            return Answer(201, "")
        except client.ApiException as error:
            if error.status in (401, 403):
                raise
            # There is no such namespace yet, or no such kind.
            if error.status != 404:
                return Answer(error.status, message(error))
    return None


def _own_right(cluster: Cluster, namespace: str, verb: str, group: str, resource: str) -> Right:
    expected = client.V1ResourceAttributes(namespace=namespace, verb=verb, group=group, resource=resource)
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=expected)
    review = client.V1SelfSubjectAccessReview(spec=spec)
    answer = cluster.authorization.create_self_subject_access_review(review)
    return Right(verb, group, resource, bool(answer.status.allowed))


def _right_of(cluster: Cluster, user: str, namespace: str, verb: str, group: str, resource: str) -> Right:
    expected = client.V1ResourceAttributes(namespace=namespace, verb=verb, group=group, resource=resource)
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    spec = client.V1SubjectAccessReviewSpec(resource_attributes=expected, user=user, groups=groups)
    meta = client.V1ObjectMeta(namespace=namespace)
    review = client.V1LocalSubjectAccessReview(metadata=meta, spec=spec)
    answer = cluster.authorization.create_namespaced_local_subject_access_review(namespace, review)
    return Right(verb, group, resource, bool(answer.status.allowed))
