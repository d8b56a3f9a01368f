"""The rule for Host and Origin, of serving and the API and of the UI: the same request, the same answer."""

from types import ModuleType
from typing import Any

import pytest

import model_ui.hosts
import serving_runtime.hosts

PORT = 8000
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "ANYTHING"]
ENTRIES = (
    "marina.example, other.example:8443, secure.example:443, *.models.svc.cluster.local, 10.0.0.0/8, fd00::/8"
)

pytestmark = pytest.mark.parametrize("rule", [serving_runtime.hosts, model_ui.hosts], ids=["shared", "ui"])


def status(
    rule: ModuleType,
    host: str | None,
    method: str = "GET",
    *,
    entries: str = "",
    port: int = PORT,
    **headers: str,
) -> int:
    """0, or the status with which a request is turned away."""
    allowed = rule.AllowedHosts(rule.entries(entries), "SOME_ALLOWED_HOSTS")
    pairs = [] if host is None else [(b"host", host.encode("latin-1"))]
    pairs += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "server": ("127.0.0.1", port),
        "headers": pairs,
    }
    rejection = allowed.rejection(scope)
    assert rejection is None or "SOME_ALLOWED_HOSTS" in rejection.detail
    return rejection.status if rejection else 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LocalHost:8000", "localhost.:8000"]
)
def test_loopback_with_our_port_is_ours(rule: ModuleType, host: str) -> None:
    assert {method: status(rule, host, method) for method in METHODS} == dict.fromkeys(METHODS, 0)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000", "localhost.evil.example:8000", "127.0.0.1.evil.example:8000", "localhost:8001",
        "127.0.0.1", "localhost", "[::1]", "localhost:", "localhost:8000:8000", "localhost:8000 ",
        "evil.example,localhost:8000",
        "user@localhost:8000", "127.0.0.2:8000", "127.1:8000", "2130706433:8000", "0.0.0.0:8000", "[::]:8000",
        "[::ffff:127.0.0.1]:8000", "10.0.0.7:8000", "[fd00::1]:8000", "", ".", "a" * 5000, "\xff", None,
    ],
)  # fmt: skip
def test_everything_else_is_foreign(rule: ModuleType, host: str | None) -> None:
    assert {method: status(rule, host, method) for method in METHODS} == dict.fromkeys(METHODS, 421)


def test_the_usual_port_may_be_left_out(rule: ModuleType) -> None:
    assert [status(rule, "localhost", port=port) for port in (80, 443, 8000)] == [0, 0, 421]
    assert status(rule, "localhost", "POST", port=80, origin="http://localhost") == 0
    assert status(rule, "localhost", "POST", port=80, origin="https://localhost") == 403


@pytest.mark.parametrize(
    "host",
    [
        "marina.example", "marina.example:80", "marina.example:8443", "MARINA.example.", "other.example:8443",
        "secure.example", "secure.example:443", "cnn-predictor.models.svc.cluster.local",
        "a.b.models.svc.cluster.local.:80", "10.1.2.3", "10.1.2.3:8080", "[fd00::7]:8080",
    ],
)  # fmt: skip
def test_the_setting_adds_hosts(rule: ModuleType, host: str) -> None:
    assert status(rule, host, entries=ENTRIES) == 0
    assert status(rule, "localhost:8000", entries=ENTRIES) == 0


@pytest.mark.parametrize(
    "host",
    [
        "sub.marina.example", "marina.example.evil.example", "other.example", "other.example:80", "secure.example:80",
        "models.svc.cluster.local", "evilmodels.svc.cluster.local", "11.1.2.3", "[fe80::7]", "10.1.2.3.evil.example",
    ],
)  # fmt: skip
def test_the_setting_adds_no_more_than_it_says(rule: ModuleType, host: str) -> None:
    assert status(rule, host, entries=ENTRIES) == 421


def test_several_hosts_are_none(rule: ModuleType) -> None:
    pairs = [(b"host", b"evil.example"), (b"host", b"localhost:8000")]
    for given in (pairs, pairs[::-1]):
        scope = {"type": "http", "method": "GET", "server": ("127.0.0.1", PORT), "headers": given}
        assert rule.AllowedHosts((), "X").rejection(scope).status == 421


CHANGES = ["POST", "PUT", "PATCH", "DELETE", "ANYTHING"]


@pytest.mark.parametrize("method", CHANGES)
def test_a_page_of_another_site_changes_nothing(rule: ModuleType, method: str) -> None:
    for site in ("cross-site", "same-site", "", "SAME-ORIGIN", "made-up"):
        assert status(rule, "localhost:8000", method, sec_fetch_site=site) == 403, site
        # What the browser says of the site counts more than an Origin.
        assert (
            status(rule, "localhost:8000", method, sec_fetch_site=site, origin="http://localhost:8000") == 403
        )
    for origin in (
        "null", "http://evil.example", "http://localhost:8001", "http://localhost", "https://localhost", "file://",
        "http://localhost:8000.evil.example", "", "http://[", "chrome-extension://localhost:8000", "http://10.1.2.3",
    ):  # fmt: skip
        assert status(rule, "localhost:8000", method, origin=origin, entries=ENTRIES) == 403, origin


@pytest.mark.parametrize("method", CHANGES)
def test_an_origin_is_never_compared_to_the_host(rule: ModuleType, method: str) -> None:
    assert status(rule, "10.1.2.3:8080", method, origin="http://10.1.2.3:8080", entries="10.0.0.0/8") == 403
    assert status(rule, "evil.example:8000", method, origin="http://evil.example:8000") == 421


@pytest.mark.parametrize("method", CHANGES)
def test_our_own_pages_and_programs_change_what_they_like(rule: ModuleType, method: str) -> None:
    given: tuple[dict[str, Any], ...] = (
        {}, {"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}, {"origin": "http://localhost:8000"},
        {"origin": "http://127.0.0.1:8000"}, {"origin": "http://[::1]:8000"}, {"origin": "https://marina.example"},
        {"origin": "https://other.example:8443"}, {"origin": "https://secure.example"},
    )  # fmt: skip
    for headers in given:
        assert status(rule, "localhost:8000", method, entries=ENTRIES, **headers) == 0, headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_needs_no_origin_of_ours(rule: ModuleType, method: str) -> None:
    assert (
        status(rule, "localhost:8000", method, sec_fetch_site="cross-site", origin="http://evil.example") == 0
    )


@pytest.mark.parametrize(
    "value", ["a.example,b.example:80", '["a.example", "b.example:80"]', ("A.example", "b.example:80 ")]
)
def test_a_list_is_written_with_commas_or_as_json(rule: ModuleType, value: object) -> None:
    assert rule.entries(value) == ("a.example", "b.example:80")
    assert rule.entries("") == rule.entries(" , ") == ()


@pytest.mark.parametrize(
    "value", ["*", "*.", "http://a.example", "a b", "10.0.0.1/8", "a.example:x", "[1", "[1]", 7, "a/b"]
)
def test_what_cannot_be_read_is_named(rule: ModuleType, value: object) -> None:
    with pytest.raises(ValueError):
        rule.entries(value)
