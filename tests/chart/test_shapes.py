"""Every supported shape of the chart renders to objects that Kubernetes takes, safely made and well named."""

import json
import re
from functools import cache

import kubernetes_validate
import pytest
import yaml
from helm_python import lint

from tests.chart.rendering import BUILT_IN, CHART, SHAPES, Object, environment, render, shape
from tests.conftest import ROOT

EVERY = ["default", *SHAPES]
LONG = "a-release-with-a-name-as-long-as-helm-will-ever-allow"
OURS = ("marina-metadata-api", "marina-serving", "marina-ui", "marina-models")


@cache
def known_to(version: str, text: str) -> None:
    """Raise when this version of Kubernetes would not take an object; the same one is looked at once."""
    kubernetes_validate.validate(json.loads(text), version, strict=True)


def mebibytes(quantity: str) -> int:
    """A quantity of bytes as the chart's values have them."""
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


@pytest.mark.parametrize("name", EVERY)
class TestEveryShape:
    def test_lint_finds_nothing(self, name: str) -> None:
        report = lint(CHART, shape(name), strict=True)
        assert report["errors"] == []
        assert [found["error"] for found in report["messages"] if found["severity"] > 1] == []

    @pytest.mark.parametrize("version", ["1.30", "1.34", "1.37"])
    def test_kubernetes_knows_every_field(self, name: str, version: str) -> None:
        for found in render(shape(name)).objects:
            if found["apiVersion"].startswith(BUILT_IN) or found["apiVersion"] == "v1":
                known_to(version, json.dumps(found, sort_keys=True))

    def test_every_pod_is_restricted(self, name: str) -> None:
        for pod, spec in render(shape(name)).pods():
            if pod.startswith("ServingRuntime"):
                continue  # KServe takes a pod's own fields from the InferenceService: see test_kserve.py
            security = spec["securityContext"]
            assert security["runAsNonRoot"] is True, pod
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, pod
            ours = any(image in str(spec["containers"]) for image in OURS)
            assert security["runAsUser"] == security["fsGroup"] == security["runAsGroup"], pod
            assert security["runAsUser"] > 10_000 if ours else security["runAsUser"] > 0, pod
            assert spec["enableServiceLinks"] is False, pod

    def test_every_container_is_restricted(self, name: str) -> None:
        for container, spec in render(shape(name)).containers():
            security = spec["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, container
            assert security["readOnlyRootFilesystem"] is True, container
            assert security["capabilities"] == {"drop": ["ALL"]}, container

    def test_every_container_says_what_it_needs_and_why_it_ended(self, name: str) -> None:
        for container, spec in render(shape(name)).containers():
            assert {"cpu", "memory"} <= spec["resources"]["requests"].keys(), container
            assert "memory" in spec["resources"]["limits"], container
            assert spec["terminationMessagePolicy"] == "FallbackToLogsOnError", container

    def test_no_pod_can_fill_the_disk_of_its_node(self, name: str) -> None:
        for pod, spec in render(shape(name)).pods():
            scratch = [volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume]
            on_disk = [mebibytes(one["sizeLimit"]) for one in scratch if one.get("medium") != "Memory"]
            for container in spec["containers"]:
                resources = container["resources"]
                limit = mebibytes(resources["limits"]["ephemeral-storage"])
                assert sum(on_disk) <= limit, pod
                assert 0 < mebibytes(resources["requests"]["ephemeral-storage"]) < limit, pod

    def test_only_the_api_gets_a_token(self, name: str) -> None:
        rendered = render(shape(name))
        with_token = {pod for pod, spec in rendered.pods() if spec.get("automountServiceAccountToken", False)}
        assert with_token <= {"Deployment marina-metadata-api"}
        for pod, spec in rendered.pods():
            assert pod.startswith("ServingRuntime") or "automountServiceAccountToken" in spec, pod
        assert all(not account["automountServiceAccountToken"] for account in rendered.kind("ServiceAccount"))

    def test_every_account_and_volume_that_is_named_is_there(self, name: str) -> None:
        rendered = render(shape(name))
        accounts = {found["metadata"]["name"] for found in rendered.kind("ServiceAccount")} | {"default"}
        made = {
            (found["kind"], found["metadata"]["name"])
            for found in rendered.objects
            if found["kind"] in ("PersistentVolumeClaim", "ConfigMap")
        }
        for pod, spec in rendered.pods():
            assert spec.get("serviceAccountName", "default") in accounts, pod
            mounts = {
                mount["name"]
                for container in [*spec.get("initContainers", []), *spec["containers"]]
                for mount in container["volumeMounts"]
            }
            own = {"data"} if pod.startswith("StatefulSet") else set()
            assert mounts == {volume["name"] for volume in spec["volumes"]} | own, pod
            for volume in spec["volumes"]:
                if claim := volume.get("persistentVolumeClaim"):
                    assert ("PersistentVolumeClaim", claim["claimName"]) in made, pod
                if config := volume.get("configMap"):
                    assert ("ConfigMap", config["name"]) in made, pod

    def test_every_object_has_the_labels_of_its_kind(self, name: str) -> None:
        for found in render(shape(name)).objects:
            labels = found["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "marina"
            assert labels["app.kubernetes.io/instance"] == "marina"
            assert labels["app.kubernetes.io/managed-by"] == "Helm"
            assert found["metadata"]["namespace"] == "models"

    def test_selectors_and_claims_know_no_version(self, name: str) -> None:
        for found in render(shape(name)).objects:
            spec = found.get("spec", {})
            for labels in (
                spec.get("selector", {}).get("matchLabels", {})
                if isinstance(spec.get("selector"), dict)
                else {},
                *(claim["metadata"]["labels"] for claim in spec.get("volumeClaimTemplates", [])),
            ):
                assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys(), found["kind"]

    def test_no_image_is_the_latest(self, name: str) -> None:
        for container, spec in render(shape(name)).containers():
            assert re.search(r":[0-9][\w.-]*$|@sha256:[0-9a-f]{64}$", spec["image"]), container
            assert spec["imagePullPolicy"] == "IfNotPresent", container

    def test_no_password_is_in_an_environment(self, name: str) -> None:
        for container, spec in render(shape(name)).containers():
            for variable, value in environment(spec).items():
                if re.search("PASSWORD|SECRET|KEY", variable):
                    assert str(value).startswith("/run/secrets/"), f"{container}: {variable}"

    def test_names_fit_with_the_longest_release(self, name: str) -> None:
        rendered = render(shape(name), name=LONG)
        for found in rendered.objects:
            limit = 52 if found["kind"] in ("CronJob", "StatefulSet") else 63
            assert len(found["metadata"]["name"]) <= limit, found["metadata"]["name"]
            assert all(len(str(value)) <= 63 for value in found["metadata"]["labels"].values())

    def test_two_releases_share_no_name(self, name: str) -> None:
        def names(release: str) -> set[tuple[str, str]]:
            found = render({**shape(name), "experiments": {}}, name=release).objects
            return {(one["kind"], one["metadata"]["name"]) for one in found}

        assert not names(LONG) & names(LONG[:-1] + "x")
        assert not names("marina") & names("other")

    def test_probes_tell_alive_from_ready(self, name: str) -> None:
        for pod, spec in render(shape(name)).pods():
            if pod.split()[0] not in ("Deployment", "StatefulSet", "ServingRuntime"):
                continue
            for container in spec["containers"]:
                ready, live = container["readinessProbe"], container["livenessProbe"]
                assert container["startupProbe"], pod
                assert ready.get("httpGet", ready) != live.get("httpGet", live), pod

    def test_whoever_is_asked_leaves_slowly(self, name: str) -> None:
        for pod, spec in render(shape(name)).pods():
            for container in spec["containers"]:
                if "lifecycle" in container and "preStop" in container["lifecycle"]:
                    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
                    assert spec.get("terminationGracePeriodSeconds", 60) >= pause + 10, pod


def test_there_are_enough_shapes() -> None:
    assert len(SHAPES) >= 12
    for path in SHAPES.values():
        assert path.read_text().startswith("# "), f"{path.name} does not say what it is for"


def test_no_ingress_controller_is_presumed() -> None:
    for path in CHART.rglob("*"):
        if path.is_file() and path.suffix in (".yaml", ".tpl", ".txt", ".md"):
            assert "nginx" not in path.read_text().lower(), path


def test_every_object_has_a_file_of_its_own() -> None:
    for path, text in render(shape("ingress")).texts.items():
        # What is made for each experiment stands in one.
        if "/serving/" not in path and not path.endswith("NOTES.txt"):
            assert len(re.findall(r"^kind: ", text, re.M)) <= 1, path


def test_a_mirror_serves_every_image() -> None:
    rendered = render(shape("mirror"))
    for container, spec in rendered.containers():
        assert spec["image"].startswith(("registry.example/mirror/", "other.example/")), container
    (api, *_) = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]["containers"]
    assert api["image"] == f"registry.example/mirror/marina-metadata-api@sha256:{1:064x}"
    for pod, spec in rendered.pods():
        assert pod.startswith("ServingRuntime") or spec["imagePullSecrets"] == [{"name": "registry"}], pod
    (service,) = rendered.kind("InferenceService")
    assert service["spec"]["predictor"]["imagePullSecrets"] == [{"name": "registry"}]


def test_names_can_be_chosen() -> None:
    def api(**values: str) -> Object:
        (found,) = (
            one for one in render(values, name="rel").kind("Deployment") if "api" in str(one["metadata"])
        )
        return found["metadata"]

    assert render({}, name="rel").one("Deployment", "rel-marina-metadata-api")
    assert render({"nameOverride": "x"}, name="rel").one("Deployment", "rel-x-metadata-api")
    assert render({"fullnameOverride": "x"}, name="rel").one("Deployment", "x-metadata-api")


def test_every_image_can_be_installed_by_digest_as_the_document_says() -> None:
    document = (ROOT / "docs" / "security.md").read_text()
    (block,) = re.findall(r"```yaml\n(global: \{imageRegistry.*?)```", document, re.S)
    digest = f"sha256:{'ab' * 32}"
    values = yaml.safe_load(block.replace("sha256:...", digest))
    values["objectStore"]["enabled"] = True
    rendered = list(render({**values, "backup": {"enabled": True}}).containers())
    assert any("CronJob" in container for container, _ in rendered)
    assert any("seaweedfs" in spec["image"] for _, spec in rendered)
    for container, spec in rendered:
        assert re.fullmatch(rf"registry\.example/[\w/-]+@{digest}", spec["image"]), container
