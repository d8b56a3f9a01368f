"""What people read and run beside the chart is true: README, notes, samples, scripts, skaffold.yaml."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, SHAPES, render, shape
from tests.conftest import ROOT

K8S = ROOT / "k8s"
SCRIPTS = sorted(path for path in K8S.iterdir() if path.is_file() and not path.suffix)
SKAFFOLD = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
OURS = {"marina-metadata-api", "marina-serving", "marina-ui", "marina-models"}


def test_the_readmes_table_is_what_the_values_say() -> None:
    command = [sys.executable, str(ROOT / "charts" / "document"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr


def test_a_value_without_a_comment_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "charts" / "marina"
    folder.mkdir(parents=True)
    (folder / "values.yaml").write_text("# Why.\na: 1\nb:\n  c: 2\n")
    (folder / "README.md").write_text((CHART / "README.md").read_text())
    script = tmp_path / "charts" / "document"
    script.write_text((ROOT / "charts" / "document").read_text())
    command = [sys.executable, str(script)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert "b.c has no comment" in result.stderr


def values_in(text: str) -> set[str]:
    """Dotted names of values that a text tells to set."""
    return set(
        re.findall(
            r"\b((?:api|ui|postgres|externalDatabase|backup|artifacts|objectStore|kserve|serving"
            r"|predictor|starter|expose|networkPolicy|monitoring|tests)(?:\.[a-zA-Z0-9]+)+)\b",
            text,
        )
    )


@pytest.mark.parametrize(
    "path",
    [*CHART.glob("*.md"), *CHART.glob("templates/**/*.t*"), *(ROOT / "docs").glob("runbooks/*.md")],
    ids=lambda path: path.name,
)
def test_every_value_that_a_text_names_is_there(path: Path) -> None:
    values: Any = yaml.safe_load((CHART / "values.yaml").read_text())
    # Names of templates, of API groups and of files look like values.
    text = re.sub(r"marina\.[\w.]+|[\w.]+\.(io|com|yaml)\b", "", path.read_text())
    for name in values_in(text):
        found = values
        for key in name.split("."):
            if isinstance(found, dict) and key in found:
                found = found[key]
            else:
                assert key in ("requests", "limits", "cpu", "memory"), f"{path.name} names {name}"
                break


class TestNotes:
    @pytest.mark.parametrize("name", ["default", *SHAPES])
    def test_they_have_a_way_in_and_a_warning(self, name: str) -> None:
        notes = render(shape(name)).notes
        assert "http" in notes
        assert "admin-token" in notes
        assert "There is no login" not in notes
        assert "<no value>" not in notes
        assert not re.search(r"\n\n\n", notes)

    def test_they_warn_of_what_is_open(self) -> None:
        assert "There is no login" in render({"auth": {"enabled": False}}).notes
        assert "Whoever can reach a model may ask it" in render({"auth": {"inference": "open"}}).notes

    @pytest.mark.parametrize("name", ["default", *SHAPES])
    def test_every_object_that_they_name_is_there(self, name: str) -> None:
        rendered = render(shape(name))
        made = {(one["kind"].lower(), one["metadata"]["name"]) for one in rendered.objects}
        for kind, found in re.findall(r"\b(service|cronjob)/([a-z0-9-]+)", rendered.notes):
            assert (kind, found) in made

    def test_without_a_way_in_they_tell_to_forward_ports(self) -> None:
        assert "port-forward service/marina-ui 7860:80" in render().notes

    def test_they_name_what_outlives_the_release(self) -> None:
        notes = render().notes
        for name in ("data-marina-postgres-0", "marina-store", "Secret marina-postgres"):
            assert name in notes

    def test_they_show_the_annotations_that_kserve_wants(self) -> None:
        notes = render(shape("external-s3")).notes
        assert "annotate --overwrite secret s3-keys" in notes
        assert "serving.kserve.io/s3-endpoint=s3.example:9000" in notes

    def test_they_have_no_secret(self) -> None:
        s3 = {"bucket": "b", "accessKeyId": "the-id", "secretAccessKey": "the-key"}
        notes = render({"artifacts": {"s3": s3}}).notes
        assert "the-id" not in notes
        assert "the-key" not in notes


class TestHelmTest:
    def test_it_asks_each_part_with_our_own_image(self) -> None:
        pods = render().kind("Pod")
        assert {pod["metadata"]["name"] for pod in pods} == {
            f"marina-test-{name}" for name in ("api", "database", "inference", "ui")
        }
        for pod in pods:
            assert pod["metadata"]["annotations"] == {
                "helm.sh/hook": "test",
                "helm.sh/hook-delete-policy": "before-hook-creation",
            }
            assert pod["spec"]["containers"][0]["image"] == "marina-metadata-api:0.1.0"
            assert pod["spec"]["activeDeadlineSeconds"] > 0

    @pytest.mark.parametrize("pod", render().kind("Pod"), ids=lambda pod: pod["metadata"]["name"])
    def test_its_programs_are_programs(self, pod: dict[str, Any]) -> None:
        (container,) = pod["spec"]["containers"]
        compile(container["args"][0], pod["metadata"]["name"], "exec")

    def test_it_goes_the_way_that_clients_go(self) -> None:
        values = {**shape("ingress"), "tests": {"exposedUrl": "http://traefik.traefik"}}
        (container,) = render(values).one("Pod", "marina-test-inference")["spec"]["containers"]
        found = {item["name"]: item["value"] for item in container["env"]}
        assert (found["SERVING_URL"], found["HOST"]) == ("http://traefik.traefik", "marina.example")
        assert (found["MODEL"], found["EXPERIMENT"], found["VERSION"]) == ("cnn", "cnn-baseline", "1")

    def test_without_a_model_none_is_asked(self) -> None:
        names = {pod["metadata"]["name"] for pod in render({"starter": {"deploy": []}}).kind("Pod")}
        assert "marina-test-inference" not in names


class TestScripts:
    def test_they_are_sound(self) -> None:
        programs = [str(path) for path in [*SCRIPTS, *CHART.glob("files/*/*.sh")]]
        checker = Path(sys.executable).parent / "shellcheck"
        command = [str(checker), "--external-sources", *programs]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stdout

    @pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
    def test_each_says_what_it_is_and_shares_the_rest(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        assert os.access(path, os.X_OK)
        assert lines[0] == "#!/usr/bin/env bash"
        assert lines[1].startswith("# ")
        assert 'source "$(dirname "$0")/cluster.sh"' in lines

    @pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
    def test_every_wait_has_an_end(self, path: Path) -> None:
        for line in re.sub(r"\\\n\s*", "", path.read_text()).splitlines():
            if re.search(r"wait_flag|rollout status|--wait\b(?!=false)|inside wait ", line):
                assert "--timeout" in line or "--wait 180s" in line or "minikube" in line, line

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        where = {"PATH": os.environ["PATH"], **environment}
        command = [str(K8S / script)]
        return subprocess.run(command, env=where, capture_output=True, text=True, timeout=30, check=False)

    def test_an_unknown_cluster_is_refused(self) -> None:
        result = self.run("deploy", CLUSTER="somewhere")
        assert result.returncode == 1
        assert "CLUSTER is kind, minikube or test, not somewhere" in result.stderr

    def test_a_test_cluster_needs_its_script(self) -> None:
        result = self.run("deploy", CLUSTER="test")
        assert result.returncode == 1
        assert "CLUSTER=test needs TEST_CLUSTER" in result.stderr

    @pytest.mark.parametrize(("version", "flag"), [("v3.22.0", "--wait"), ("v4.3.1", "--wait=legacy")])
    def test_the_flag_for_waiting_fits_the_helm(self, tmp_path: Path, version: str, flag: str) -> None:
        helm = tmp_path / "helm"
        helm.write_text(f"#!/bin/sh\necho {version}\n")
        helm.chmod(0o755)
        command = ["bash", "-c", f"source {K8S}/cluster.sh; wait_flag"]
        where = {"PATH": os.environ["PATH"], "HELM": str(helm)}
        result = subprocess.run(command, env=where, capture_output=True, text=True, timeout=30, check=True)
        assert result.stdout.strip() == flag

    def test_what_is_installed_is_pinned(self) -> None:
        for line in (K8S / "versions.env").read_text().splitlines():
            if not line.startswith("#"):
                assert re.fullmatch(r"[A-Z_]+=(v?\d+\.\d+\.\d+|\S+@sha256:[0-9a-f]{64})", line), line

    @pytest.mark.parametrize("path", sorted(K8S.glob("*.yaml")), ids=lambda path: path.name)
    def test_samples_are_yaml(self, path: Path) -> None:
        assert yaml.safe_load(path.read_text())

    def test_the_local_values_render(self) -> None:
        assert render(yaml.safe_load((K8S / "local-values.yaml").read_text())).kind("Ingress")


class TestSkaffold:
    def test_it_builds_all_images_and_puts_each_in_its_place(self) -> None:
        assert {artifact["image"] for artifact in SKAFFOLD["build"]["artifacts"]} == OURS
        (release,) = SKAFFOLD["deploy"]["helm"]["releases"]
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        for path, template in release["setValueTemplates"].items():
            *parents, leaf = path.split(".")
            found = values
            for key in parents:
                found = found[key]
            image = found["repository"].replace("-", "_")
            assert template == f"{{{{.IMAGE_{'REPO' if leaf == 'repository' else 'TAG'}_{image}}}}}"
        assert len(release["setValueTemplates"]) == 2 * len(OURS)

    def test_it_never_waits_in_helms_way(self) -> None:
        (release,) = SKAFFOLD["deploy"]["helm"]["releases"]
        assert "wait" not in release

    def test_every_kind_of_kserves_with_an_image_is_allowed(self) -> None:
        allowed = {found["groupKind"] for found in SKAFFOLD["resourceSelector"]["allow"]}
        with_image = {
            f"{found['kind']}.{found['apiVersion'].split('/')[0]}"
            for found in render(shape("ingress")).objects
            if "kserve" in found["apiVersion"] and '"image"' in json.dumps(found)
        }
        assert allowed == with_image

    def test_the_values_of_its_profiles_render(self) -> None:
        for profile in SKAFFOLD["profiles"]:
            for patch in profile.get("patches", []):
                if patch["path"].endswith("setValues"):
                    values: dict[str, Any] = {}
                    for path, value in patch["value"].items():
                        *parents, leaf = path.split(".")
                        found = values
                        for key in parents:
                            found = found.setdefault(key, {})
                        found[leaf] = {"false": False, "true": True}.get(value, value)
                    assert render(values).objects
