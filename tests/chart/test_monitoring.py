"""Alerts, dashboard and scraping ask only for what is there, and each alert says what to do."""

import json
import re
from importlib import import_module
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine

from serving_runtime.models.metrics import Gauges, Metrics
from tests.chart.rendering import CHART, Rendered, environment, render, shape
from tests.conftest import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
# Of kube-state-metrics and of the kubelet.
FOREIGN = {
    "kube_cronjob_status_last_successful_time",
    "kube_deployment_status_condition",
    "kube_deployment_status_replicas_available",
    "kube_statefulset_status_replicas_ready",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
}
METRIC = re.compile(r"\b(?:marina|kube|kubelet)_[a-z0-9_]+")


def own_metrics() -> set[str]:
    """Names of all samples that the serving process, the API and the UI show."""
    return serving_metrics() | api_metrics() | ui_metrics()


def names(text: bytes) -> set[str]:
    families = text_string_to_metric_families(text.decode())
    return {sample.name for family in families for sample in family.samples}


def api_metrics() -> set[str]:
    metrics = import_module("metadata_api.metrics").Metrics()
    components = SimpleNamespace(
        engine=create_engine("postgresql+psycopg2://nowhere"),
        metrics=metrics,
        settings=SimpleNamespace(database=SimpleNamespace(pool=5)),
        deployer=SimpleNamespace(watches={"inferenceservices": 0.0}),
        rejected={"401": 1},
        maintenance=SimpleNamespace(problems={"missing": 0}),
        recorder=SimpleNamespace(events={"stored": 1}, predictions={"front": 1}, queued=0),
    )
    import_module("metadata_api.routes.metrics").show_gauges(components)
    metrics.count_request("GET", "/livez", 200, 0.1)
    metrics.count_import(accepted=1, unchanged=0, rejected=0)
    metrics.count_round(0.1, failed=False)
    metrics.set_states(["ready"])
    return names(metrics.text())


def ui_metrics() -> set[str]:
    metrics = import_module("model_ui.metrics").Metrics()
    metrics.count_request("/", 200, 0.1)
    metrics.count_call(None, 0.1)
    return names(generate_latest(metrics.registry))


def serving_metrics() -> set[str]:
    metrics = Metrics()
    version = metrics.version("cnn", "1")
    version.seconds.observe(1)
    version.batch_rows.observe(1)
    version.batch_requests.observe(1)
    version.restarts.inc()
    metrics.count(version, 200, rows=1, began=1.0)
    return names(metrics.text([Gauges(version, 0, True)]))


def rules() -> list[dict]:
    """All alerts."""
    (rule,) = render(shape("monitoring")).kind("PrometheusRule")
    (group,) = rule["spec"]["groups"]
    return group["rules"]


def test_alerts_ask_only_for_metrics_that_are_there() -> None:
    known = own_metrics() | FOREIGN
    for rule in rules():
        assert set(METRIC.findall(rule["expr"])) <= known, rule["alert"]


def test_the_dashboard_asks_only_for_metrics_that_are_there() -> None:
    text = (CHART / "files" / "dashboard.json").read_text()
    found = set(METRIC.findall(re.sub(r"marina-models", "", text)))
    assert found <= own_metrics()
    assert {"marina_infer_seconds_bucket", "marina_queue_requests", "marina_model_ready"} <= found


def test_there_are_enough_alerts_and_each_has_its_runbook() -> None:
    assert len(rules()) >= 6
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"https://runbooks.example/marina/{rule['alert']}.md"
        text = (RUNBOOKS / f"{rule['alert']}.md").read_text()
        assert text.startswith(f"# {rule['alert']}\n")
        assert "## Diagnose" in text
        assert "## Fix" in text
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_about_this_release_alone(rule: dict) -> None:
    for metric in METRIC.finditer(rule["expr"]):
        selector = rule["expr"][metric.end() :].split("}")[0]
        assert 'namespace="models"' in selector, metric[0]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert not re.search(r"\{\{ [^$]", rule["annotations"]["summary"])


def test_the_pods_of_models_are_scraped_at_a_port_that_they_have() -> None:
    rendered = render(shape("monitoring"))
    monitor = rendered.one("PodMonitor", "marina-predictors")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for runtime in rendered.kind("ServingRuntime"):
        (container,) = runtime["spec"]["containers"]
        assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_prometheus_has_a_token_of_its_own_that_the_api_makes_good_for_metrics_alone() -> None:
    rendered = render(shape("monitoring"))
    assert sent(rendered) == {
        "marina-predictors": "metrics-token",
        "marina-metadata-api": "metrics-token",
        "marina-ui": None,
    }
    assert "metrics-token" in rendered.one("Secret", "marina-auth")["data"]
    pod = rendered.one("Deployment", "marina-metadata-api")["spec"]["template"]["spec"]
    found = environment(pod["containers"][0])["METADATA_API_AUTH_METRICS_TOKEN_FILE"]
    assert found == "/run/secrets/auth/metrics-token"
    (volume,) = [one for one in pod["volumes"] if one["name"] == "auth"]
    assert "metrics-token" in [item["path"] for item in volume["secret"]["items"]]


def test_who_asks_for_no_token_gets_none() -> None:
    models_open = sent(render({**shape("monitoring"), "auth": {"inference": "open"}}))
    assert models_open["marina-predictors"] is None
    assert models_open["marina-metadata-api"] == "metrics-token"
    off = render({**shape("monitoring"), "auth": {"enabled": False}})
    assert set(sent(off).values()) == {None}
    assert "METRICS_TOKEN" not in json.dumps(off.kind("Deployment"))


def test_a_secret_of_ones_own_needs_the_token_only_where_it_is_used() -> None:
    own = {"auth": {"generate": False, "existingSecret": "mine"}}
    assert "metrics-token" not in json.dumps(render(own).objects)
    assert "metrics-token" in json.dumps(render({**shape("monitoring"), **own}).kind("Deployment"))


def sent(rendered: Rendered) -> dict[str, str | None]:
    """PodMonitor -> key of the token that Prometheus sends."""
    found = {}
    for monitor in rendered.kind("PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        credentials = endpoint.get("authorization", {}).get("credentials")
        assert credentials is None or credentials["name"] == "marina-auth"
        found[monitor["metadata"]["name"]] = credentials and credentials["key"]
    return found


def test_the_api_and_the_ui_are_scraped_at_ports_that_they_have_and_that_are_open() -> None:
    rendered = render(shape("monitoring"))
    for part in ("metadata-api", "ui"):
        (endpoint,) = rendered.one("PodMonitor", f"marina-{part}")["spec"]["podMetricsEndpoints"]
        (container,) = rendered.one("Deployment", f"marina-{part}")["spec"]["template"]["spec"]["containers"]
        (port,) = [one["containerPort"] for one in container["ports"] if one["name"] == endpoint["port"]]
        rules = rendered.one("NetworkPolicy", f"marina-{part}")["spec"]["ingress"]
        named = shape("monitoring")["networkPolicy"]["monitoringFrom"]
        assert {"from": named, "ports": [{"port": port}]} in rules


def test_the_dashboard_shows_every_kind_of_metric() -> None:
    text = (CHART / "files" / "dashboard.json").read_text()
    shown = re.sub(r"_(bucket|total)\b", "", text)
    families = {
        re.sub(r"_(bucket|total|count|sum|created)$", "", name) for name in api_metrics() | ui_metrics()
    }
    asked = shown + json.dumps(rules())
    missing = {name for name in families if name not in asked}
    assert not missing


def test_the_dashboard_is_found_by_grafana() -> None:
    (found,) = [one for one in render(shape("monitoring")).kind("ConfigMap") if "marina.json" in one["data"]]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["marina.json"])["panels"]


def test_nothing_of_it_is_there_unless_it_is_asked_for() -> None:
    assert not {"PodMonitor", "PrometheusRule"} & {found["kind"] for found in render().objects}
