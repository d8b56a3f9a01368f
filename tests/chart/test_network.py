"""Every pod is closed but for what it needs: the policies are asked as a network would ask them."""

from typing import Any

import pytest

from tests.chart.rendering import Object, Rendered, render, shape

MODEL = {
    "app.kubernetes.io/part-of": "marina",
    "app.kubernetes.io/instance": "marina",
    "serving.kserve.io/inferenceservice": "cnn",
}
PORTS = {"metadata-api": 8000, "ui": 7860, "postgres": 5432, "object-store": 8333, "model": 8080}


def labels(rendered: Rendered, part: str) -> dict[str, str]:
    """Labels of a part's pods."""
    if part == "model":
        return MODEL
    for found in rendered.objects:
        metadata = found["spec"].get("template", {}).get("metadata") if "spec" in found else None
        if found["kind"] == "Pod":
            metadata = found["metadata"]
        if found["kind"] == "CronJob":
            metadata = found["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
        if metadata and metadata["labels"]["app.kubernetes.io/component"] == part:
            return metadata["labels"]
    raise AssertionError(f"no pod of {part}")


def selects(selector: Object, found: dict[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    by_value = all(found.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return by_value and all(one["key"] in found for one in selector.get("matchExpressions", []))


def lets(rules: list[Object], side: str, other: dict[str, str], port: int) -> bool:
    """Whether one of the rules lets a pod with these labels through on this port."""
    for rule in rules:
        on_port = "ports" not in rule or any(one["port"] == port for one in rule["ports"])
        peers = rule.get(side)
        if on_port and (
            peers is None or any("podSelector" in p and selects(p["podSelector"], other) for p in peers)
        ):
            return True
    return False


def reaches(rendered: Rendered, source: str, target: str, port: int | None = None) -> bool:
    """Whether a pod of one part may talk to a pod of another."""
    port = port or PORTS[target]
    here, there = labels(rendered, source), labels(rendered, target)
    policies = [one["spec"] for one in rendered.kind("NetworkPolicy")]
    out = [rule for one in policies if selects(one["podSelector"], here) for rule in one.get("egress", [])]
    into = [rule for one in policies if selects(one["podSelector"], there) for rule in one.get("ingress", [])]
    return lets(out, "to", there, port) and lets(into, "from", here, port)


EVERYTHING: dict[str, Any] = {"objectStore": {"enabled": True}, "backup": {"enabled": True}}
ALLOWED = {
    ("ui", "metadata-api"),
    ("starter", "metadata-api"),
    ("model", "object-store"),
    ("model", "metadata-api"),
    ("metadata-api", "postgres"),
    ("metadata-api", "object-store"),
    ("metadata-api", "model"),
    ("backup", "postgres"),
    ("test", "metadata-api"),
    ("test", "ui"),
    ("test", "postgres"),
    ("test", "model"),
}
SOURCES = ("ui", "starter", "backup", "test", "metadata-api", "postgres", "object-store", "model")


@pytest.mark.parametrize("target", PORTS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_pod_reaches_what_it_needs_and_nothing_else(source: str, target: str) -> None:
    # Archives come from the API or from S3, never from both.
    values = {"backup": {"enabled": True}} if (source, target) == ("model", "metadata-api") else EVERYTHING
    assert reaches(render(values), source, target) is ((source, target) in ALLOWED)


def test_with_s3_models_have_no_business_with_the_api() -> None:
    assert not reaches(render(EVERYTHING), "model", "metadata-api")


def test_every_pod_is_closed_at_first() -> None:
    rendered = render(EVERYTHING)
    closed = rendered.one("NetworkPolicy", "marina-default-deny")["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in closed
    assert "egress" not in closed
    for part in SOURCES:
        assert selects(closed["podSelector"], labels(rendered, part)), part


def policy(rendered: Rendered, part: str) -> Object:
    """spec of a part's policy."""
    return rendered.one("NetworkPolicy", f"marina-{part}")["spec"]


@pytest.mark.parametrize("part", ["ui", "starter", "backup", "test", "metadata-api", "predictors"])
def test_names_are_resolved_over_udp_and_tcp(part: str) -> None:
    rules = policy(render(EVERYTHING), part)["egress"]
    assert {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]} in rules


def test_postgres_asks_nobody() -> None:
    assert policy(render(), "postgres")["egress"] == []


@pytest.mark.parametrize("part", ["ui", "metadata-api", "predictors"])
def test_from_outside_comes_only_who_is_named_and_only_when_exposed(part: str) -> None:
    named = shape("gateway")["networkPolicy"]["ingressFrom"]
    assert any(rule.get("from") == named for rule in policy(render(shape("gateway")), part)["ingress"])
    assert any("from" not in rule for rule in policy(render(shape("ingress")), part)["ingress"])
    assert all("from" in rule for rule in policy(render(), part)["ingress"])


def test_prometheus_comes_in_only_when_it_scrapes() -> None:
    named = shape("monitoring")["networkPolicy"]["monitoringFrom"]
    assert {"from": named, "ports": [{"port": 8080}]} in policy(render(shape("monitoring")), "predictors")[
        "ingress"
    ]
    assert str(named) not in str(policy(render(), "predictors"))


@pytest.mark.parametrize(
    ("s3", "port"),
    [
        ({"endpoint": "http://s3.example"}, 80),
        ({"endpoint": "https://s3.example"}, 443),
        ({"endpoint": "http://s3.example:9000"}, 9000),
        ({}, 443),
    ],
)
def test_s3_is_reached_at_its_port(s3: dict[str, str], port: int) -> None:
    rendered = render({"artifacts": {"s3": {"bucket": "b", **s3}}})
    for part in ("metadata-api", "predictors"):
        assert {"ports": [{"port": port}]} in policy(rendered, part)["egress"]


@pytest.mark.parametrize(("name", "port"), [("external-database", 6432), ("cloudnative-pg", 5432)])
def test_a_database_outside_is_reached_at_its_port(name: str, port: int) -> None:
    assert {"ports": [{"port": port}]} in policy(render(shape(name)), "metadata-api")["egress"]


def test_the_kubernetes_api_is_reached_by_the_api_alone() -> None:
    rendered = render(EVERYTHING)
    for found in rendered.kind("NetworkPolicy"):
        wanted = found["metadata"]["name"] == "marina-metadata-api"
        assert ("6443" in str(found["spec"])) is wanted, found["metadata"]["name"]
