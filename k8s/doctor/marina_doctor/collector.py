"""Asks the cluster for all that the checks read."""

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from kubernetes import client

from marina_doctor import rights
from marina_doctor.cluster import GROUP, Cluster, message
from marina_doctor.observed import HttpResponse, Observed, Right, labels
from marina_doctor.pods import MODEL, crashed, is_ready, last_line
from marina_doctor.queries import Queries
from marina_doctor.values import Values, of_helm

SECONDS = 20
HELM = "Helm's record of the release"
KINDS = (f"{GROUP}/v1beta1", f"{GROUP}/v1alpha1", "gateway.networking.k8s.io/v1")
# More of them say nothing new.
MOST_LOGS = 5
LOG_LINES = 20
Asked = Future[Any]


def collect(
    cluster: Cluster, release: str, namespace: str, planned: Values, kserve_namespace: str = "kserve"
) -> Observed:
    """All that was observed within the deadline. Raises Unreachable when the cluster does not answer at all."""
    version = cluster.version()
    queries = Queries(SECONDS)
    try:
        # Only Helm's own Secrets of this release.
        selector = f"owner=helm,name={release}"
        helm = queries.start(cluster.core.list_namespaced_secret, namespace, label_selector=selector)
        asked = _ask(cluster, queries, namespace, kserve_namespace)
        secrets = queries.result(HELM, helm)
        observed = Observed(
            of_helm(release, namespace, secrets.items if secrets else (), planned),
            unreadable=queries.unreadable,
        )
        if HELM in queries.unreadable:
            observed.deployments = getattr(queries.result(*asked["deployments"]), "items", None)
            if observed.of_release(observed.deployments):
                observed.release = replace(observed.release, status="deployed")
        observed.kubernetes, observed.kserve_namespace = version.git_version, kserve_namespace
        later = _ask_for_release(cluster, queries, observed)
        _fill(queries, observed, asked)
        _fill_later(queries, observed, later)
        _look_closer(cluster, queries, observed)
        return observed
    finally:
        queries.close()


def _ask(cluster: Cluster, queries: Queries, namespace: str, kserve: str) -> dict[str, tuple[str, Asked]]:
    """What does not depend on the values: field of `Observed` -> (its name for people, what was asked)."""
    core, apps = cluster.core, cluster.apps
    asked: dict[str, tuple[str, Asked]] = {
        "nodes": ("nodes", queries.start(core.list_node)),
        "storage_classes": ("StorageClasses", queries.start(cluster.storage.list_storage_class)),
        "ingress_classes": ("IngressClasses", queries.start(cluster.networking.list_ingress_class)),
        "controllers": ("KServe's Deployments", queries.start(apps.list_namespaced_deployment, kserve)),
        "controller_pods": ("KServe's pods", queries.start(core.list_namespaced_pod, kserve)),
        "kserve_config": (
            "KServe's configuration",
            queries.start(core.read_namespaced_config_map, "inferenceservice-config", kserve),
        ),
        "webhook": ("KServe's webhook", queries.start(_dry_run, cluster, namespace)),
        "namespace": ("the namespace", queries.start(core.read_namespace, namespace)),
        "quotas": ("ResourceQuotas", queries.start(core.list_namespaced_resource_quota, namespace)),
        "limit_ranges": ("LimitRanges", queries.start(core.list_namespaced_limit_range, namespace)),
        "deployments": ("Deployments", queries.start(apps.list_namespaced_deployment, namespace)),
        "stateful_sets": ("StatefulSets", queries.start(apps.list_namespaced_stateful_set, namespace)),
        "jobs": ("Jobs", queries.start(cluster.batch.list_namespaced_job, namespace)),
        "pods": ("pods", queries.start(core.list_namespaced_pod, namespace)),
        "claims": (
            "PersistentVolumeClaims",
            queries.start(core.list_namespaced_persistent_volume_claim, namespace),
        ),
        "warnings": (
            "events",
            queries.start(core.list_namespaced_event, namespace, field_selector="type=Warning", limit=500),
        ),
        "services": ("InferenceServices", queries.start(cluster.inference_services, namespace)),
        "runtimes": ("ServingRuntimes", queries.start(cluster.serving_runtimes, namespace)),
        "cluster_runtimes": ("ClusterServingRuntimes", queries.start(cluster.cluster_serving_runtimes)),
    }
    for version in KINDS:
        group, _, number = version.partition("/")
        asked[version] = (
            f"kinds of {version}",
            queries.start(cluster.custom.get_api_resources, group, number),
        )
    return asked


def _fill(queries: Queries, observed: Observed, asked: dict[str, tuple[str, Asked]]) -> None:
    single = {"kserve_config", "webhook", "namespace"}
    for field, (what, future) in asked.items():
        found = queries.result(what, future, absent=None if field in single else [])
        if field in KINDS:
            observed.kinds[field] = found if found in (None, []) else [kind.name for kind in found.resources]
        else:
            setattr(observed, field, getattr(found, "items", found))
    if observed.warnings:
        observed.warnings.sort(key=lambda event: str(event.last_timestamp or event.event_time or ""))


def _ask_for_release(cluster: Cluster, queries: Queries, observed: Observed) -> dict[str, Any]:
    """What depends on the values."""
    release, namespace = observed.release, observed.release.namespace
    expose = release.values["expose"]
    later: dict[str, Any] = {
        "rights": [
            queries.start(_own_right, cluster, namespace, *needed)
            for needed in rights.for_installation(release.values)
        ],
        "api_rights": [],
    }
    if expose["mode"] == "gateway":
        kind = ("gateway.networking.k8s.io", "v1")
        space = expose["gateway"]["namespace"] or namespace
        name = expose["gateway"]["name"]
        later["gateway"] = queries.start(
            cluster.custom.get_namespaced_custom_object, *kind, space, "gateways", name
        )
        later["routes"] = queries.start(
            cluster.custom.list_namespaced_custom_object, *kind, namespace, "httproutes"
        )
    if release.installed:
        later["readyz"] = queries.start(_readyz, cluster, namespace, release.prefix)
        if release.values["kserve"]["enabled"]:
            account = f"system:serviceaccount:{namespace}:{release.prefix}-metadata-api"
            later["api_rights"] = [
                queries.start(_right_of, cluster, account, namespace, *needed)
                for needed in rights.for_the_api(release.values)
            ]
    return later


def _fill_later(queries: Queries, observed: Observed, later: dict[str, Any]) -> None:
    observed.rights = _all_or_none(queries, "rights of this user", later["rights"])
    observed.api_rights = _all_or_none(queries, "rights of the API's service account", later["api_rights"])
    if "gateway" in later:
        observed.gateway = queries.result("the Gateway", later["gateway"])
        routes = queries.result("HTTPRoutes", later["routes"], absent={"items": []}) or {"items": []}
        observed.routes = [
            one
            for one in routes["items"]
            if one["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == observed.release.prefix
        ]
    if "readyz" in later:
        observed.readyz = queries.result("the API", later["readyz"])


def _all_or_none(queries: Queries, what: str, asked: list[Asked]) -> list[Right] | None:
    found = [queries.result(what, one) for one in asked]
    return None if None in found else found


def _look_closer(cluster: Cluster, queries: Queries, observed: Observed) -> None:
    """Logs of what crashed without a last word, and what models say that run and are not ready."""
    logs = _logs(cluster, queries, observed)
    namespace = observed.release.namespace
    running = [pod.metadata.name for pod in observed.pods or () if _runs_unready(pod)][:MOST_LOGS]
    told = {name: queries.start(cluster.model_status, namespace, name) for name in running}
    for where, asked in logs.items():
        observed.logs[where] = last_line(queries.result(f"the log of {where}", asked, absent="") or "")
    for name, asked in told.items():
        observed.model_status[name] = (
            queries.result(f"the status of the model in {name}", asked, absent="") or ""
        )


def _logs(cluster: Cluster, queries: Queries, observed: Observed) -> dict[str, Asked]:
    asked: dict[str, Asked] = {}
    for pod in observed.pods or ():
        for status in crashed(pod):
            ended = status.state.terminated or status.last_state.terminated
            if ended.message or len(asked) == MOST_LOGS:
                continue
            asked[f"{pod.metadata.name}/{status.name}"] = queries.start(
                cluster.core.read_namespaced_pod_log,
                pod.metadata.name,
                observed.release.namespace,
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


def _readyz(cluster: Cluster, namespace: str, prefix: str) -> HttpResponse | None:
    """What the API says through its Service; where that has no ready pod, what a running pod says."""
    name = f"{prefix}-metadata-api"
    try:
        said = cluster.core.connect_get_namespaced_service_proxy_with_path(f"{name}:80", namespace, "readyz")
        return HttpResponse(200, str(said))
    except client.ApiException as error:
        if error.status not in (404, 503):
            return HttpResponse(error.status, str(error.body or error.reason))
    selector = f"app.kubernetes.io/instance={prefix},app.kubernetes.io/component=metadata-api"
    pods = cluster.core.list_namespaced_pod(namespace, label_selector=selector).items
    running = [pod for pod in pods if any(one.state.running for one in pod.status.container_statuses or ())]
    for pod in running:
        address = f"{pod.metadata.name}:8000"
        try:
            said = cluster.core.connect_get_namespaced_pod_proxy_with_path(address, namespace, "readyz")
            return HttpResponse(200, str(said))
        except client.ApiException as error:
            return HttpResponse(error.status, str(error.body or error.reason))
    return None


def _dry_run(cluster: Cluster, namespace: str) -> HttpResponse | None:
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
            return HttpResponse(201, "")
        except client.ApiException as error:
            if error.status in (401, 403):
                raise
            # There is no such namespace yet, or no such kind.
            if error.status != 404:
                return HttpResponse(error.status, message(error))
    return None


def _own_right(cluster: Cluster, namespace: str, verb: str, group: str, resource: str) -> Right:
    attributes = client.V1ResourceAttributes(namespace=namespace, verb=verb, group=group, resource=resource)
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    review = client.V1SelfSubjectAccessReview(spec=spec)
    response = cluster.authorization.create_self_subject_access_review(review)
    return Right(verb, group, resource, bool(response.status.allowed))


def _right_of(cluster: Cluster, user: str, namespace: str, verb: str, group: str, resource: str) -> Right:
    attributes = client.V1ResourceAttributes(namespace=namespace, verb=verb, group=group, resource=resource)
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    spec = client.V1SubjectAccessReviewSpec(resource_attributes=attributes, user=user, groups=groups)
    meta = client.V1ObjectMeta(namespace=namespace)
    review = client.V1LocalSubjectAccessReview(metadata=meta, spec=spec)
    response = cluster.authorization.create_namespaced_local_subject_access_review(namespace, review)
    return Right(verb, group, resource, bool(response.status.allowed))
