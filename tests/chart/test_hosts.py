"""Which hosts each part answers to: its Services' names, the exposed host, and addresses; nothing else."""

from typing import Any

import pytest

from serving_runtime.hosts import AllowedHosts, entries
from tests.chart.rendering import environment, render, shape

PARTS = ["metadata-api", "ui", "model"]


def hosts(part: str, values: dict[str, Any] | None = None) -> AllowedHosts:
    """What a part answers to, as it will read it; a model called cnn, as KServe fills its name in."""
    rendered = render(values)
    if part == "model":
        (container,) = rendered.one("ServingRuntime", "marina-native")["spec"]["containers"]
        listed = environment(container)["SERVING_ALLOWED_HOSTS"].replace("{{.Name}}", "cnn")
    else:
        (container,) = rendered.one("Deployment", f"marina-{part}")["spec"]["template"]["spec"]["containers"]
        variable = {"metadata-api": "METADATA_API_ALLOWED_HOSTS", "ui": "UI_ALLOWED_HOSTS"}[part]
        listed = environment(container)[variable]
    found = entries(listed)
    assert isinstance(found, tuple)
    return AllowedHosts(found, "X")


def answered(allowed: AllowedHosts, host: str, **headers: str) -> bool:
    pairs = [(b"host", host.encode()), *((name.encode(), value.encode()) for name, value in headers.items())]
    method = "POST" if headers else "GET"
    return allowed.rejection({"method": method, "server": ("10.0.0.9", 8080), "headers": pairs}) is None


@pytest.mark.parametrize("part", PARTS)
def test_a_service_is_asked_by_any_form_of_its_name(part: str) -> None:
    services = ["cnn", "cnn-predictor"] if part == "model" else [f"marina-{part}"]
    for service in services:
        for end in ("", ".models", ".models.svc", ".models.svc.cluster.local", ".models.svc.cluster.local."):
            assert answered(hosts(part), service + end), service + end
            assert answered(hosts(part), f"{service}{end}:80"), service + end
        assert not answered(hosts(part), f"{service}.other.svc.cluster.local")
    assert not answered(hosts(part), "other")


@pytest.mark.parametrize("part", PARTS)
def test_probes_and_prometheus_ask_by_address_and_people_through_a_port_forward(part: str) -> None:
    for host in ("10.244.0.7:8080", "[fd00:10::7]:8080", "192.168.1.4", "localhost:7861", "127.0.0.1:9000"):
        assert answered(hosts(part), host), host
    # An address is a host of ours, but not an origin of ours: the page may be anybody's.
    assert not answered(hosts(part), "10.244.0.7:8080", origin="http://198.51.100.7")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["ingress", "gateway"])
def test_what_is_exposed_is_asked_by_its_host(part: str, name: str) -> None:
    allowed = hosts(part, shape(name))
    assert answered(allowed, "marina.example")
    assert answered(allowed, "marina.example", origin="https://marina.example")
    assert answered(allowed, "marina.example:8443")
    assert not answered(allowed, "evil.example")
    assert not answered(allowed, "marina.example", origin="https://evil.example")
    assert not answered(hosts(part), "marina.example")


@pytest.mark.parametrize("part", PARTS)
def test_values_add_hosts(part: str) -> None:
    values = {
        "expose": {"mode": "gateway", "gateway": {"name": "public"}},
        "allowedHosts": ["*.example.org", "old.example:8443", "198.51.100.0/24"],
        "clusterDomain": "corp.internal",
    }
    allowed = hosts(part, values)
    service = "cnn-predictor" if part == "model" else f"marina-{part}"
    for host in ("a.example.org", "old.example:8443", f"{service}.models.svc.corp.internal"):
        assert answered(allowed, host), host
    assert not answered(allowed, "old.example")


def test_a_wildcard_host_is_exposed_as_such() -> None:
    allowed = hosts("ui", {"expose": {"mode": "ingress", "host": "*.example.org"}})
    assert answered(allowed, "marina.example.org")
    assert not answered(allowed, "example.org")
