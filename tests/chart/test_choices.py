"""A wrong value ends an install with one line that says what to do; a right one has its effect."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, Rejected, environment, leaves, render, shape

VALUES = (CHART / "values.yaml").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"api": {"replicass": 2}}, "at '/api': additional properties 'replicass' not allowed"),
        ({"api": {"persistence": {"sise": "1Gi"}}}, "at '/api/persistence': additional properties 'sise'"),
        ({"api": {"replicas": "two"}}, "at '/api/replicas': got string, want integer"),
        (
            {"expose": {"mode": "nodeport"}},
            "at '/expose/mode': value must be one of 'ingress', 'gateway', 'none'",
        ),
        ({"experiments": {"Cnn": {"experiment": "cnn", "version": 1}}}, "'Cnn' does not match pattern"),
        ({"experiments": {"cnn": {"experiment": "cnn"}}}, "missing property 'version'"),
        (
            {"experiments": {"cnn": {"experiment": "cnn", "version": 1, "sha256": "x"}}},
            "does not match pattern",
        ),
        ({"postgres": {"image": {"digest": "latest"}}}, "does not match pattern"),
    ],
    ids=lambda value: "" if isinstance(value, str) else json.dumps(value),
)
def test_a_value_that_the_schema_does_not_know_is_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Rejected) as rejected:
        render(values)
    assert words in str(rejected.value)


EXTERNAL = {"existingSecret": "db"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"externalDatabase": EXTERNAL}, "two databases: set postgres.enabled=false"),
        ({"externalDatabase": {"host": "db"}}, "two databases"),
        (
            {"postgres": {"enabled": False}},
            "no database: set postgres.enabled=true, or externalDatabase.existing",
        ),
        ({"postgres": {"enabled": False}, "externalDatabase": {"host": "db"}}, "no database"),
        ({"postgres": {"auth": {"generate": False}}}, "needs postgres.auth.existingSecret"),
        ({"expose": {"mode": "ingress"}}, "expose.mode=ingress needs expose.host"),
        ({"expose": {"mode": "gateway", "host": "a.example"}}, "needs expose.gateway.name"),
        ({"expose": {"host": "a.example"}}, "expose.mode is none: choose ingress or gateway"),
        (
            {"expose": {"mode": "gateway", "gateway": {"name": "x"}, "tls": {"secretName": "s"}}},
            "a Gateway has its certificate in its own listener",
        ),
        (
            {"expose": {"mode": "gateway", "gateway": {"name": "x"}}},
            "expose.mode=gateway without expose.host needs allowedHosts",
        ),
        (
            {"expose": {"mode": "ingress", "host": "a.example", "tls": {"secretName": "s"}}},
            "set expose.tls.enabled=true as well",
        ),
        ({"objectStore": {"enabled": True}, "artifacts": {"s3": {"bucket": "b"}}}, "two object stores"),
        ({"objectStore": {"enabled": True, "auth": {"generate": False}}}, "objectStore.auth.existingSecret"),
        ({"artifacts": {"s3": {"endpoint": "http://s3"}}}, "artifacts.s3 needs artifacts.s3.bucket"),
        ({"artifacts": {"s3": {"bucket": "b", "accessKeyId": "a"}}}, "go together"),
        (
            {
                "artifacts": {
                    "s3": {
                        "bucket": "b",
                        "existingSecret": "s",
                        "accessKeyId": "a",
                        "secretAccessKey": "b",
                    }
                }
            },
            "two sources of keys",
        ),
        ({"api": {"replicas": 2}}, "cannot share a ReadWriteOnce volume"),
        ({"api": {"autoscaling": {"enabled": True}}}, "cannot share a ReadWriteOnce volume"),
        ({"api": {"persistence": {"enabled": False}}}, "archives have no place"),
        (
            {"kserve": {"enabled": False}, "experiments": {"cnn": {"experiment": "cnn", "version": 1}}},
            "set kserve.enabled=true",
        ),
        (
            {
                "artifacts": {"s3": {"bucket": "b"}},
                "experiments": {"cnn": {"experiment": "cnn", "version": 1}},
            },
            "experiments.cnn needs sha256",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else json.dumps(value),
)
def test_choices_that_do_not_fit_together_are_refused_in_one_line(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Rejected) as rejected:
        render(values)
    message = str(rejected.value)
    assert words in message
    assert "\n" not in message.strip().rpartition("executing")[2].rpartition("error calling fail: ")[2]


def asked(tmp_path: Path, template: str) -> str:
    """What one of the chart's own helpers makes of arguments that only a cluster can give."""
    copy = tmp_path / "marina"
    shutil.copytree(CHART, copy)
    (copy / "templates" / "asked.txt").write_text(template)
    return next(text for path, text in render(chart=copy).texts.items() if path.endswith("asked.txt"))


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("kserve", "this cluster has no KServe: run `make kserve`"),
        ("gateway", "this cluster has no Gateway API"),
        ("monitoring", "this cluster has no Prometheus Operator"),
        ("kubernetes", "Marina needs Kubernetes 1.30 or newer"),
    ],
)
def test_what_the_cluster_lacks_is_said_with_what_to_do(tmp_path: Path, missing: str, words: str) -> None:
    with pytest.raises(Rejected, match=re.escape(words)):
        asked(tmp_path, f'{{{{ include "marina.reject" (dict "{missing}" true) }}}}')


class TestPasswords:
    """`lookup` finds nothing when there is no cluster, so the decision is asked with what it would find."""

    CALL = (
        '{{{{ include "marina.keptPasswords" (dict "secret" {secret} "claim" {claim} "secretName" "marina-postgres"'
        ' "claimName" "data-marina-postgres-0" "keys" (list "password" "superuser-password")) }}}}'
    )
    KEPT = '(dict "data" (dict "password" "b2xk"))'

    def test_they_are_made_once(self, tmp_path: Path) -> None:
        made = yaml.safe_load(asked(tmp_path, self.CALL.format(secret="dict", claim="dict")))
        assert made.keys() == {"password", "superuser-password"}
        assert len(set(made.values())) == 2

    def test_those_that_are_there_stay(self, tmp_path: Path) -> None:
        kept = yaml.safe_load(asked(tmp_path, self.CALL.format(secret=self.KEPT, claim='(dict "kind" "x")')))
        assert kept["password"] == "b2xk"
        assert kept["superuser-password"]

    def test_a_volume_without_its_secret_is_refused_by_both_names(self, tmp_path: Path) -> None:
        with pytest.raises(Rejected) as rejected:
            asked(tmp_path, self.CALL.format(secret="dict", claim='(dict "kind" "x")'))
        assert "claim data-marina-postgres-0 exists, but the Secret marina-postgres" in str(rejected.value)

    def test_the_secret_outlives_the_release(self) -> None:
        secret = render().one("Secret", "marina-postgres")
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"

    def test_without_lookup_nothing_is_made_and_the_same_comes_out_twice(self) -> None:
        first, second = (render(shape("gitops"), again=True) for _ in range(2))
        # These are empty: the API fills them in.
        secrets = {secret["metadata"]["name"]: secret for secret in first.kind("Secret")}
        assert secrets.keys() == {"marina-serving-tokens", "marina-recordings"}
        assert all(secret.keys() & {"data", "stringData"} == set() for secret in secrets.values())
        assert first.texts == second.texts


def test_a_chart_that_uses_this_one_may_set_its_own_globals() -> None:
    assert render({"global": {"anything": 1}}).objects


def test_every_leaf_of_the_values_is_typed() -> None:
    defaults = yaml.safe_load(VALUES)
    for path in leaves(defaults):
        found: Any = SCHEMA
        for key in path.split("."):
            if "$ref" in found:
                found = SCHEMA["$defs"][found["$ref"].rpartition("/")[2]]
            found = found.get("properties", {}).get(key, found.get("additionalProperties"))
            assert isinstance(found, dict), f"{path}: values.schema.json does not know {key}"
        assert found, path


def test_every_map_of_the_schema_is_closed() -> None:
    def maps(node: Any, path: str) -> None:
        if isinstance(node, dict):
            if "properties" in node and path != "/properties/global":
                assert node["additionalProperties"] is False, path
            for key, value in node.items():
                maps(value, f"{path}/{key}")

    maps(SCHEMA, "")


class TestScale:
    def test_a_number_of_replicas_and_an_autoscaler_never_meet(self) -> None:
        api = render(shape("ha")).one("Deployment", "marina-metadata-api")
        assert "replicas" not in api["spec"]
        scaler = render(shape("ha")).one("HorizontalPodAutoscaler", "marina-metadata-api")
        assert scaler["spec"]["behavior"]
        assert render().one("Deployment", "marina-metadata-api")["spec"]["replicas"] == 1

    def test_a_budget_never_stops_the_draining_of_a_single_pod(self) -> None:
        assert render().kind("PodDisruptionBudget") == []
        (budget,) = render(shape("ha")).kind("PodDisruptionBudget")
        assert budget["spec"]["maxUnavailable"] == 1

    def test_an_api_that_leaves_waits_for_whatever_a_model_may_take_and_is_not_killed_before(self) -> None:
        for values in ({}, {"serving": {"responseSeconds": 600}}, {"api": {"drainSeconds": 30}}):
            pod = render(values).one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            found = environment(container)
            drain = int(found["METADATA_API_MAX_DRAIN_SECONDS"])
            assert drain == values.get("api", {}).get("drainSeconds", 605)
            longest = values.get("serving", {}).get("responseSeconds", 10)
            assert found["METADATA_API_MAX_RESPONSE_SECONDS"] == str(longest)
            pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert pod["terminationGracePeriodSeconds"] >= drain + pause + 10

    def test_a_volume_of_one_node_is_left_before_it_is_taken(self) -> None:
        def strategy(name: str) -> str:
            found = render(shape(name)).one("Deployment", "marina-metadata-api")["spec"]["strategy"]["type"]
            return str(found)

        assert strategy("default") == "Recreate"
        assert strategy("ha") == strategy("external-s3") == "RollingUpdate"

    def test_pods_spread_over_nodes(self) -> None:
        pod = render(shape("ha")).one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]
        (spread,) = pod["topologySpreadConstraints"]
        assert spread["matchLabelKeys"] == ["pod-template-hash"]


def test_pods_restart_when_and_only_when_their_configuration_changes() -> None:
    def checksum(values: dict[str, Any]) -> str:
        pod = render(values).one("Deployment", "marina-metadata-api")["spec"]["template"]
        return str(pod["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) == checksum({"ui": {"replicas": 3}})
    assert checksum({}) != checksum(shape("ingress"))


def test_a_path_reaches_every_part_that_makes_addresses() -> None:
    rendered = render(shape("path"))
    (ingress,) = rendered.kind("Ingress")
    paths = {path["path"] for path in ingress["spec"]["rules"][0]["http"]["paths"]}
    assert paths == {
        "/marina",
        "/v2",  # models have no prefix
        *(f"/marina/{p}" for p in ("v1", "docs", "openapi.json", "static-offline-docs")),
    }
    (ui,) = rendered.one("Deployment", "marina-ui")["spec"]["template"]["spec"]["containers"]
    assert environment(ui)["UI_ROOT_PATH"] == "/marina"
    assert environment(ui)["UI_API_URL"] == "http://marina-metadata-api/marina"
    assert environment(ui)["UI_PUBLIC_API_URL"] == "http://tools.example/marina"
    assert environment(ui)["UI_UPLOAD_DIR"] == "/tmp/uploads"
    (api,) = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]["containers"]
    assert environment(api)["METADATA_API_ROOT_PATH"] == "/marina"


def test_extra_objects_are_templates() -> None:
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-mine"}}
    assert render({"extraObjects": [extra]}).one("ConfigMap", "marina-mine")


class TestStarter:
    def test_another_choice_is_another_job(self) -> None:
        def name(**starter: Any) -> str:
            (job,) = render({"starter": starter}).kind("Job")
            return str(job["metadata"]["name"])

        assert name() == name(deploy=["cnn-baseline"])
        assert len({name(), name(deploy=[]), name(deploy="all"), name(image={"tag": "9"})}) == 4

    @pytest.mark.parametrize(
        ("deploy", "words"),
        [(["a", "b"], ["--deploy=a,b"]), ([], ["--deploy="]), ("all", [])],
        ids=["some", "none", "all"],
    )
    def test_what_is_deployed_is_said_to_the_script(self, deploy: Any, words: list[str]) -> None:
        (job,) = render({"starter": {"deploy": deploy}}).kind("Job")
        (container,) = job["spec"]["template"]["spec"]["containers"]
        fixed = [
            "--api=http://marina-metadata-api",
            "--models=/models",
            "--token-file=/run/secrets/auth/admin-token",
        ]
        assert container["args"] == [*fixed, *words]
