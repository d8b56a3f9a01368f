"""Every pod is closed but for what it needs: the policies are asked as a network would ask them."""

from typing import Any

import pytest

from tests.chart.rendering import Object, Rendered, render, shape
from tests.network import KUBERNETES, STRANGER, Matrix

MODEL = {
    "app.kubernetes.io/part-of": "marina",
    "app.kubernetes.io/instance": "marina",
    "serving.kserve.io/inferenceservice": "cnn",
}
MATRIX = Matrix()


def labels(rendered: Rendered, part: str) -> dict[str, str]:
    """Labels of a part's pods."""
    if part == STRANGER:
        return {"app": "stranger"}
    return MODEL if part == "model" else rendered.labels_of(part)


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


def reaches(rendered: Rendered, source: str, target: str) -> bool:
    """Whether a pod of one part may talk to another."""
    port = MATRIX.ports[target]
    here = labels(rendered, source)
    # The Kubernetes API is no pod.
    there = {} if target == KUBERNETES else labels(rendered, target)
    policies = [one["spec"] for one in rendered.kind("NetworkPolicy")]
    mine = [one for one in policies if selects(one["podSelector"], here)]
    out = not mine or lets([rule for one in mine for rule in one.get("egress", [])], "to", there, port)
    into = [rule for one in policies if selects(one["podSelector"], there) for rule in one.get("ingress", [])]
    return out and (target == KUBERNETES or lets(into, "from", here, port))


EVERYTHING: dict[str, Any] = {"objectStore": {"enabled": True}, "backup": {"enabled": True}}
EXPOSED: dict[str, Any] = {
    "expose": {"mode": "ingress", "host": "marina.example"},
    "tests": {"exposedUrl": "http://10.0.0.1"},
    "networkPolicy": {"ingressFrom": [{"podSelector": {"matchLabels": {"app": "way-in"}}}]},
}


@pytest.mark.parametrize("s3", [True, False], ids=["with S3", "without S3"])
@pytest.mark.parametrize("exposed", [True, False], ids=["exposed", "not exposed"])
def test_each_cell_of_the_documents_table_is_true(s3: bool, exposed: bool) -> None:
    values = {**EVERYTHING, "objectStore": {"enabled": s3}}
    if exposed:
        values |= EXPOSED
    rendered = render(values)
    pairs = {pair for pair in MATRIX.asked() if s3 or "object-store" not in pair}
    open_ = {(source, target) for source, target in pairs if reaches(rendered, source, target)}
    assert open_ == MATRIX.allowed(s3=s3) & pairs


def test_every_pod_is_closed_at_first() -> None:
    rendered = render(EVERYTHING)
    closed = rendered.one("NetworkPolicy", "marina-default-deny")["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in closed
    assert "egress" not in closed
    for part in set(MATRIX.sources) - {STRANGER}:
        assert selects(closed["podSelector"], labels(rendered, part)), part


CLUSTER_DNS: Object = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
DNS_PORTS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


def policy(rendered: Rendered, part: str) -> Object:
    """spec of a part's policy."""
    return rendered.one("NetworkPolicy", f"marina-{part}")["spec"]


@pytest.mark.parametrize("part", ["ui", "starter", "backup", "test", "metadata-api", "predictors"])
def test_names_are_resolved_over_udp_and_tcp(part: str) -> None:
    rules = policy(render(EVERYTHING), part)["egress"]
    assert {"to": [CLUSTER_DNS], "ports": DNS_PORTS} in rules


def test_who_asks_another_dns_server_names_it() -> None:
    node_local = {"ipBlock": {"cidr": "169.254.20.10/32"}}
    rendered = render({"networkPolicy": {"dns": [CLUSTER_DNS, node_local]}})
    assert {"to": [CLUSTER_DNS, node_local], "ports": DNS_PORTS} in policy(rendered, "ui")["egress"]


def test_with_no_dns_server_named_any_may_be_asked() -> None:
    assert {"ports": DNS_PORTS} in policy(render({"networkPolicy": {"dns": []}}), "ui")["egress"]


def test_postgres_calls_nothing() -> None:
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
        expected = found["metadata"]["name"] == "marina-metadata-api"
        assert ("6443" in str(found["spec"])) is expected, found["metadata"]["name"]
