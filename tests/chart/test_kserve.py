"""What KServe gets: InferenceServices that roll out without a gap, on runtimes of our own."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.chart.rendering import Object, environment, render, shape


def service(values: dict[str, Any], name: str = "cnn") -> Object:
    """One InferenceService."""
    return render(values).one("InferenceService", name)


def with_one(**experiment: Any) -> dict[str, Any]:
    """Values with one experiment."""
    return {"experiments": {"cnn": {"experiment": "cnn-baseline", "version": 3, **experiment}}}


def test_an_inference_service_is_as_the_contract_says() -> None:
    found = service(with_one(replicas=2, sha256="a" * 64))
    assert found["metadata"]["labels"] == {
        "app.kubernetes.io/part-of": "marina",
        "app.kubernetes.io/instance": "marina",
        "app.kubernetes.io/managed-by": "Helm",
        "networking.kserve.io/visibility": "cluster-local",
        "marina/experiment": "cnn-baseline",
        "marina/version": "3",
        "marina/runtime": "torchserve",
    }
    assert found["metadata"]["annotations"] == {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "none",
    }
    predictor = found["spec"]["predictor"]
    assert predictor["minReplicas"] == 2
    assert predictor["deploymentStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert predictor["terminationGracePeriodSeconds"] == 60
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["enableServiceLinks"] is False
    assert predictor["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    model = predictor["model"]
    assert model["modelFormat"] == {"name": "marina-mar", "version": "1"}
    assert (model["runtime"], model["protocolVersion"]) == ("marina-torchserve", "v2")
    api = "http://marina-metadata-api.models.svc.cluster.local"
    assert model["storageUri"] == f"{api}/artifacts/cnn-baseline/3/cnn-baseline.mar"
    assert environment(model) == {"SERVING_MODEL_VERSION": "3", "SERVING_MODEL_SHA256": "a" * 64}


def test_an_unknown_hash_is_not_checked() -> None:
    assert environment(service(with_one())["spec"]["predictor"]["model"]) == {"SERVING_MODEL_VERSION": "3"}


def test_a_release_of_the_chart_restarts_no_model() -> None:
    # KServe copies labels and annotations to the pods.
    metadata = json.dumps(service(with_one())["metadata"])
    for changing in ("helm.sh/chart", "app.kubernetes.io/version", "checksum"):
        assert changing not in metadata


def test_zero_replicas_are_zero() -> None:
    assert service(with_one(replicas=0))["spec"]["predictor"]["minReplicas"] == 0


def test_large_versions_are_written_as_numbers() -> None:
    # Helm reads numbers of values as floats.
    found = service(with_one(version=12_345_678))
    assert found["metadata"]["labels"]["marina/version"] == "12345678"
    assert "/12345678/" in found["spec"]["predictor"]["model"]["storageUri"]


@pytest.mark.parametrize("runtime", ["torchserve", "native"])
class TestRuntime:
    def test_it_is_ours_alone(self, runtime: str) -> None:
        spec = render().one("ServingRuntime", f"marina-{runtime}")["spec"]
        assert spec["supportedModelFormats"] == [
            {"name": name, "version": "1", "autoSelect": False} for name in ("marina-mar", "pytorch")
        ]
        assert spec["protocolVersions"] == ["v2"]
        assert spec["multiModel"] is False

    def test_the_container_gets_what_the_serving_process_reads(self, runtime: str) -> None:
        (container,) = render().one("ServingRuntime", f"marina-{runtime}")["spec"]["containers"]
        assert container["name"] == "kserve-container"
        assert container["command"] == ["python", "-m", "serving_runtime"]
        found = environment(container)
        assert found["SERVING_MODEL_NAME"] == "{{.Name}}"
        assert found["SERVING_RUNTIME"] == runtime
        assert found["SERVING_MODEL_DIR"] == "/mnt/models"
        assert found["SERVING_WORK_DIR"].startswith("/tmp/")
        assert (found["SERVING_HOST"], found["SERVING_PORT"]) == ("0.0.0.0", "8080")

    def test_ready_means_a_real_inference(self, runtime: str) -> None:
        (container,) = render().one("ServingRuntime", f"marina-{runtime}")["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
        assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
        start = container["startupProbe"]
        assert start["httpGet"]["path"] == "/v2/health/ready"
        # The process itself says that its time is over, before it is killed.
        startup = int(environment(container)["SERVING_STARTUP_SECONDS"])
        assert startup == 180
        assert start["periodSeconds"] * start["failureThreshold"] >= startup + 30

    def test_only_tmp_can_be_written(self, runtime: str) -> None:
        spec = render().one("ServingRuntime", f"marina-{runtime}")["spec"]
        tmp, tokens, recordings = spec["volumes"]
        assert tmp == {"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}}
        assert tokens["secret"]["secretName"] == "marina-serving-tokens"
        assert recordings["secret"]["secretName"] == "marina-recordings"
        assert recordings["secret"]["optional"]  # a model answers without it
        assert spec["containers"][0]["volumeMounts"] == [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "tokens", "mountPath": "/run/secrets/tokens", "readOnly": True},
            {"name": "recordings", "mountPath": "/run/secrets/recordings", "readOnly": True},
        ]

    def test_five_of_them_fit_on_a_laptop(self, runtime: str) -> None:
        (container,) = render().one("ServingRuntime", f"marina-{runtime}")["spec"]["containers"]
        assert container["resources"]["requests"]["cpu"] == "50m"
        assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 5 < 8 * 1024


def test_braces_are_only_where_kserve_fills_them_in() -> None:
    # KServe takes a runtime's whole container for a Go template.
    for runtime in render().kind("ServingRuntime"):
        (container,) = runtime["spec"]["containers"]
        filled_in = {name for name, value in environment(container).items() if "{{" in str(value)}
        assert filled_in == {"SERVING_MODEL_NAME", "SERVING_ALLOWED_HOSTS"}
        braces = re.findall(r"\{\{.*?\}\}", json.dumps(container))
        assert set(braces) == {"{{.Name}}"}
        assert (
            json.dumps(container).count("{{")
            == len(braces)
            == sum(environment(container)[name].count("{{") for name in filled_in)
        )


class TestWhereArchivesAre:
    def test_s3_names_them_by_their_hash(self) -> None:
        found = service(shape("external-s3"))["spec"]["predictor"]
        digest = shape("external-s3")["experiments"]["cnn"]["sha256"]
        assert found["model"]["storageUri"] == f"s3://models/marina/artifacts/{digest}.mar"
        account = render(shape("external-s3")).one("ServiceAccount", found["serviceAccountName"])
        assert account["secrets"] == [{"name": "s3-keys"}]

    def test_the_api_gets_the_same_bucket_and_the_keys_as_files(self) -> None:
        rendered = render(shape("external-s3"))
        pod = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]
        found = environment(pod["containers"][0])
        assert found["METADATA_API_S3_BUCKET"] == "models"
        assert found["METADATA_API_S3_PREFIX"] == "marina/artifacts"
        assert found["METADATA_API_S3_ENDPOINT"] == "https://s3.example:9000"
        assert found["METADATA_API_S3_REGION"] == "eu-central-1"
        folder = found["METADATA_API_S3_CREDENTIALS_DIR"]
        (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == folder]
        (volume,) = [one for one in pod["volumes"] if one["name"] == mount["name"]]
        paths = {item["path"] for item in volume["secret"]["items"]}
        assert paths == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        assert volume["secret"]["secretName"] == "s3-keys"

    @pytest.mark.parametrize(
        ("endpoint", "address", "https"),
        [
            ("http://s3:8333", "s3:8333", "0"),
            ("https://s3.example/", "s3.example", "1"),
            ("", "s3.us-east-1.amazonaws.com", "1"),
        ],
    )
    def test_keys_in_values_become_a_secret_that_kserve_understands(
        self, endpoint: str, address: str, https: str
    ) -> None:
        s3 = {"bucket": "b", "endpoint": endpoint, "accessKeyId": "id", "secretAccessKey": "key"}
        rendered = render({"artifacts": {"s3": s3}})
        annotations = rendered.one("Secret", "marina-s3")["metadata"]["annotations"]
        assert annotations == {
            "serving.kserve.io/s3-endpoint": address,
            "serving.kserve.io/s3-usehttps": https,
            "serving.kserve.io/s3-region": "us-east-1",
        }
        account = rendered.one("ServiceAccount", "marina-predictor")
        assert account["secrets"] == [{"name": "marina-s3"}]

    def test_a_role_needs_no_key(self) -> None:
        rendered = render(shape("s3-role"))
        account = rendered.one("ServiceAccount", "marina-predictor")
        assert "secrets" not in account
        assert account["metadata"]["annotations"]
        (api,) = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]["containers"]
        assert "METADATA_API_S3_CREDENTIALS_DIR" not in environment(api)

    def test_the_development_store_is_wired_to_both_sides(self) -> None:
        rendered = render(shape("object-store"))
        secret = rendered.one("Secret", "marina-object-store")
        address = "marina-object-store.models.svc.cluster.local:8333"
        assert secret["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"] == address
        assert rendered.one("ServiceAccount", "marina-predictor")["secrets"] == [
            {"name": "marina-object-store"}
        ]
        (api,) = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]["containers"]
        assert environment(api)["METADATA_API_S3_ENDPOINT"] == f"http://{address}"


class TestWayIn:
    @pytest.mark.parametrize(("name", "kind"), [("ingress", "Ingress"), ("gateway", "HTTPRoute")])
    def test_each_experiment_has_its_own(self, name: str, kind: str) -> None:
        rendered = render(shape(name))
        route = rendered.one(kind, "cnn-v2")
        assert route["metadata"]["labels"] == rendered.one("InferenceService", "cnn")["metadata"]["labels"]
        assert "/v2/models/cnn" in json.dumps(route["spec"])
        assert "cnn-predictor" in json.dumps(route["spec"])

    def test_both_kinds_have_the_same_paths(self) -> None:
        (ingress,) = [
            one for one in render(shape("ingress")).kind("Ingress") if one["metadata"]["name"] == "marina"
        ]
        (route,) = [
            one for one in render(shape("gateway")).kind("HTTPRoute") if one["metadata"]["name"] == "marina"
        ]
        by_ingress = {
            (path["path"], path["backend"]["service"]["name"])
            for path in ingress["spec"]["rules"][0]["http"]["paths"]
        }
        by_route = {
            (rule["matches"][0]["path"]["value"], rule["backendRefs"][0]["name"])
            for rule in route["spec"]["rules"]
        }
        assert by_ingress == by_route
        assert ("/v1", "marina-metadata-api") in by_ingress
        assert ("/v2", "marina-metadata-api") in by_ingress
        assert ("/", "marina-ui") in by_ingress

    def test_https_is_in_every_address_that_people_see(self) -> None:
        for name in ("ingress", "gateway"):
            rendered = render(shape(name))
            (api,) = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"][
                "containers"
            ]
            assert environment(api)["METADATA_API_PUBLIC_SERVING_URL"] == "https://marina.example"
            assert "https://marina.example/docs" in rendered.notes

    def test_a_certificate_is_on_every_ingress(self) -> None:
        for ingress in render(shape("ingress")).kind("Ingress"):
            assert ingress["spec"]["tls"] == [{"hosts": ["marina.example"], "secretName": "marina-tls"}]
            assert ingress["spec"]["ingressClassName"] == "traefik"

    def test_none_is_none(self) -> None:
        rendered = render(with_one())
        assert rendered.kind("Ingress") == rendered.kind("HTTPRoute") == []


def test_without_kserve_nothing_of_it_is_there_and_the_api_starts() -> None:
    rendered = render(shape("no-kserve"))
    assert "serving.kserve.io" not in json.dumps(rendered.objects)
    assert rendered.kind("Role") == []
    (api,) = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]["containers"]
    assert environment(api)["METADATA_API_DEPLOYER"] == "local"
    (job,) = rendered.kind("Job")
    assert "--deploy=" in job["spec"]["template"]["spec"]["containers"][0]["args"]


def test_the_api_learns_all_that_it_needs() -> None:
    config = yaml.safe_load(
        render(shape("mirror")).one("ConfigMap", "marina-metadata-api")["data"]["kserve.yaml"]
    )
    assert config == {
        "release": "marina",
        "helm_release": "marina",
        "namespace": "models",
        "response_seconds": 10,
        "artifact_url": "http://marina-metadata-api.models.svc.cluster.local/artifacts",
        "tokens_secret": "marina-serving-tokens",
        "api_url": "http://marina-metadata-api.models.svc.cluster.local",
        "recordings_secret": "marina-recordings",
        "expose": {
            "mode": "none",
            "host": "",
            "ingress_class": "",
            "tls_secret": "",
            "annotations": {},
            "gateway": {"name": "", "namespace": "models", "section": ""},
        },
        "predictor": {
            "service_account": "marina-predictor",
            "node_selector": {"pool": "models"},
            "tolerations": [{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}],
            "image_pull_secrets": [{"name": "registry"}],
            "resources": {"requests": {"cpu": "100m"}},
        },
        "environments": {},
    }


class TestRole:
    @pytest.mark.parametrize("name", ["default", "ingress", "gateway"])
    def test_it_is_narrow(self, name: str) -> None:
        rendered = render(shape(name))
        (role,) = rendered.kind("Role")
        assert rendered.kind("ClusterRole") == rendered.kind("ClusterRoleBinding") == []
        assert "*" not in json.dumps(role["rules"])
        (secrets,) = [rule for rule in role["rules"] if "secrets" in rule["resources"]]
        assert secrets["resourceNames"] == ["marina-serving-tokens", "marina-recordings"]
        assert secrets["verbs"] == ["get", "patch", "create"]

    def test_only_the_routes_of_the_chosen_mode_may_be_written(self) -> None:
        def written(name: str) -> list[str]:
            (role,) = render(shape(name)).kind("Role")
            # But for the one Secret that is named.
            rules = [
                rule for rule in role["rules"] if "create" in rule["verbs"] and "resourceNames" not in rule
            ]
            return [resource for rule in rules for resource in rule["resources"]]

        assert written("default") == ["inferenceservices"]
        assert written("ingress") == ["inferenceservices", "ingresses"]
        assert written("gateway") == ["inferenceservices", "httproutes"]
