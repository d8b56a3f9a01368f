"""What is written to a cluster, field by field, and from which settings."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from metadata_api.deploying.base import Desired, Resources, ServingOptions
from metadata_api.deploying.kserve import inference_services, routes
from metadata_api.deploying.kserve.config import KServeConfig, Unreadable, read
from metadata_api.deploying.kserve.rules import RULES
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth

DESIRED = Desired("champion", "cnn-baseline", 3, "ab" * 32, "native", 2)
WHOLE = """
release: marina
namespace: models
artifact_url: http://marina-metadata-api.models.svc.cluster.local/artifacts
expose:
  mode: ingress
  host: marina.example
  ingress_class: traefik
  tls_secret: marina-tls
  annotations: {team: vision}
  gateway: {name: traefik, namespace: traefik, section: web}
predictor:
  service_account: reader
  node_selector: {disk: fast}
  tolerations: [{key: gpu, operator: Exists}]
  image_pull_secrets: [{name: registry}]
  resources: {limits: {memory: 1Gi}}
"""


@pytest.fixture
def config(tmp_path: Path) -> KServeConfig:
    (tmp_path / "kserve.yaml").write_text(WHOLE)
    return read(tmp_path / "kserve.yaml")


def changed(config: KServeConfig, **values: Any) -> KServeConfig:
    return KServeConfig.model_validate({**config.model_dump(), **values})


def test_an_inference_service_field_by_field(config: KServeConfig) -> None:
    assert inference_services.build(config, DESIRED) == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "champion",
            "namespace": "models",
            "labels": {
                "app.kubernetes.io/part-of": "marina",
                "app.kubernetes.io/instance": "marina",
                "app.kubernetes.io/managed-by": "marina-metadata-api",
                "networking.kserve.io/visibility": "cluster-local",
                "marina/experiment": "cnn-baseline",
                "marina/version": "3",
                "marina/runtime": "native",
            },
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": 2,
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
                },
                "terminationGracePeriodSeconds": 60,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "runAsGroup": 10001,
                    "fsGroup": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "serviceAccountName": "reader",
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "imagePullSecrets": [{"name": "registry"}],
                "model": {
                    "modelFormat": {"name": "marina-mar", "version": "1"},
                    "runtime": "marina-native",
                    "protocolVersion": "v2",
                    "storageUri": "http://marina-metadata-api.models.svc.cluster.local/artifacts"
                    "/cnn-baseline/3/cnn-baseline.mar",
                    "env": [
                        {"name": "SERVING_MODEL_VERSION", "value": "3"},
                        {"name": "SERVING_MODEL_SHA256", "value": "ab" * 32},
                    ],
                    "resources": {"limits": {"memory": "1Gi"}},
                },
            }
        },
    }


def test_what_the_installation_leaves_open_is_left_out(config: KServeConfig) -> None:
    predictor = inference_services.build(changed(config, predictor={}), DESIRED)["spec"]["predictor"]
    assert {"serviceAccountName", "nodeSelector", "tolerations", "imagePullSecrets"} & set(predictor) == set()
    assert "resources" not in predictor["model"]


@pytest.mark.parametrize(
    ("default", "own", "written"),
    [
        ({}, Resources(), None),
        (
            {},
            Resources(cpu="2", memory="1Gi"),
            {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
        ),
        (
            {"requests": {"cpu": "50m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            Resources(cpu="2"),
            {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi", "cpu": "2"}},
        ),
    ],
    ids=["the runtime's", "its own", "one of its own and one of the installation's"],
)
def test_a_deployments_own_resources_are_requested_and_its_limit(
    config: KServeConfig, default: dict[str, Any], own: Resources, written: dict[str, Any] | None
) -> None:
    desired = dataclasses.replace(DESIRED, resources=own)
    made = inference_services.build(changed(config, predictor={"resources": default}), desired)
    assert made["spec"]["predictor"]["model"].get("resources") == written


def test_what_helm_gives_a_deployment_is_read_back(config: KServeConfig) -> None:
    own = Resources(cpu="2")
    item = inference_services.build(config, dataclasses.replace(DESIRED, resources=own))
    item["metadata"]["uid"] = "u"
    assert inference_services.parse(item).resources == own, "the default limit of memory is not its own"


def test_a_deployments_own_timeouts_reach_the_process_the_probe_and_the_end_of_its_pod(
    config: KServeConfig,
) -> None:
    own = ServingOptions(startup_seconds=900, response_seconds=300)
    item = inference_services.build(config, dataclasses.replace(DESIRED, options=own))
    predictor = item["spec"]["predictor"]
    environment = {one["name"]: one["value"] for one in predictor["model"]["env"]}
    assert environment["SERVING_MODEL_STARTUP_SECONDS"] == "900"
    assert environment["SERVING_MODEL_RESPONSE_SECONDS"] == "300"
    probe = predictor["model"]["startupProbe"]
    # The process says itself that its time is over, before it is killed.
    assert 930 <= probe["periodSeconds"] * probe["failureThreshold"] <= 990
    assert predictor["terminationGracePeriodSeconds"] > 300
    item["metadata"]["uid"] = "u"
    assert inference_services.parse(item).options == own


def test_without_timeouts_the_runtimes_stand(config: KServeConfig) -> None:
    item = inference_services.build(config, DESIRED)
    assert "startupProbe" not in item["spec"]["predictor"]["model"]
    assert item["spec"]["predictor"]["terminationGracePeriodSeconds"] == 60
    item["metadata"]["uid"] = "u"
    assert inference_services.parse(item).options == ServingOptions()


def test_archives_in_a_bucket_are_named_by_their_hash(config: KServeConfig) -> None:
    in_bucket = changed(config, artifact_url="s3://marina/artifacts/")
    assert inference_services.storage_uri(in_bucket, DESIRED) == f"s3://marina/artifacts/{'ab' * 32}.mar"


def test_more_replicas_change_nothing_that_restarts_pods(config: KServeConfig) -> None:
    one = inference_services.build(config, DESIRED)
    more = inference_services.build(config, Desired("champion", "cnn-baseline", 3, "ab" * 32, "native", 9))
    one["spec"]["predictor"].pop("minReplicas")
    assert more["spec"]["predictor"].pop("minReplicas") == 9
    assert one == more


def test_an_ingress_field_by_field(config: KServeConfig) -> None:
    route = routes.build(config, DESIRED, "uid-1")
    assert (route["apiVersion"], route["kind"]) == ("networking.k8s.io/v1", "Ingress")
    assert route["metadata"]["name"] == "champion-v2"
    assert route["metadata"]["annotations"] == {"team": "vision"}
    assert route["metadata"]["labels"] == inference_services.labels(config, DESIRED)
    backend = {"service": {"name": "champion-predictor", "port": {"number": 80}}}
    path = {"path": "/v2/models/champion", "pathType": "Prefix", "backend": backend}
    assert route["spec"] == {
        "ingressClassName": "traefik",
        "tls": [{"hosts": ["marina.example"], "secretName": "marina-tls"}],
        "rules": [{"host": "marina.example", "http": {"paths": [path]}}],
    }


def test_an_http_route_field_by_field(config: KServeConfig) -> None:
    exposed = changed(config, expose={**config.expose.model_dump(), "mode": "gateway", "host": ""})
    route = routes.build(exposed, DESIRED, "uid-1")
    assert (route["apiVersion"], route["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")
    assert route["spec"] == {
        "parentRefs": [{"name": "traefik", "namespace": "traefik", "sectionName": "web"}],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/v2/models/champion"}}],
                "backendRefs": [{"name": "champion-predictor", "port": 80}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"expose": {"mode": "ingress"}}, "mode ingress needs a host"),
        ({"expose": {"mode": "gateway"}}, "mode gateway needs gateway.name"),
        ({"expose": {"mode": "magic"}}, "expose.mode: Input should be"),
        ({"artifact_url": "ftp://x"}, "artifact_url: String should match"),
        ({"release": ""}, "release: String should have"),
    ],
)
def test_a_file_that_is_wrong_names_the_key(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "kserve.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(WHOLE), **change}))
    with pytest.raises(Unreadable, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [None, "a: [", "just text"])
def test_a_file_that_is_missing_or_no_yaml_says_so(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kserve.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Unreadable, match=str(path)):
        read(path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "SERVING_MODELS_FILE"),
        ({"deployer": "kserve"}, "KSERVE_FILE"),
        ({"serving_models_file": "/m", "s3": {"bucket": "b"}}, "S3_BUCKET"),
        ({"deployer": "kserve", "kserve_file": "/k", "s3": {"prefix": "p"}}, "bucket"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(auth=Auth(mode="off"), database_url="postgresql://x", store_dir=Path("/s"), **given)


def test_the_rules_name_what_is_written_and_nothing_else() -> None:
    found = {
        mode: {rule["resources"][0]: set(rule["verbs"]) for rule in rules} for mode, rules in RULES.items()
    }
    written = {"get", "list", "watch", "create", "patch", "delete"}
    stale, models, pods = (
        {"list", "delete"},
        {"inferenceservices": written},
        {"pods": {"list"}, "pods/log": {"get"}, "secrets": {"get", "patch", "create"}},
    )
    assert found == {
        "ingress": {**models, "ingresses": written, "httproutes": stale, **pods},
        "gateway": {**models, "ingresses": stale, "httproutes": written, **pods},
        "none": {**models, "ingresses": stale, "httproutes": stale, **pods},
    }
