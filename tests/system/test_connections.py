"""Connections to the three ports of the running system: offers of other protocols, and thousands that only wait."""

import json
import resource
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import Stack
from tests.raw_http import Line

H2C = {
    "connection": "Upgrade, HTTP2-Settings",
    "upgrade": "h2c",
    "http2_settings": "AAMAAABkAAQAoAAAAAIAAAAA",
}
PIXELS = [0] * 784
DEPLOYMENT = "cnn-baseline"
SOCKETS = 2000


def infer_body() -> bytes:
    """A request that a starter model answers."""
    tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": PIXELS}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize("port", ["api", "front", "ui"])
@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.3"])
def test_an_offer_is_ignored_and_the_body_arrives(stack: Stack, port: str, upgrade: str) -> None:
    url = {"api": stack.api_url, "front": stack.serving_url, "ui": stack.ui_url}[port]
    # The UI's login form says whether the token in it is right.
    path, body, kind = f"/v2/models/{DEPLOYMENT}/infer", infer_body(), "application/json"
    expected = 200
    if port == "ui":
        token = (stack.home / "run" / "token").read_text().strip()
        path, body, kind, expected = (
            "/login",
            f"token={token}".encode(),
            "application/x-www-form-urlencoded",
            303,
        )
    headers = stack.headers | {"content_type": kind, "content_length": str(len(body))}
    stack.wait_until_ready(DEPLOYMENT)
    with Line(url, 30) as line:
        line.send(line.head("POST", path, **headers, **{**H2C, "upgrade": upgrade}), body)
        assert [one.status for one in line.answers(0.3)] == [expected]
        line.send(line.head("POST", path, **headers) + body)
        assert [one.status for one in line.answers(0.3)] == [expected], "the connection goes on"


@contextmanager
def many(url: str, sent: bytes) -> Iterator[list[socket.socket]]:
    """So many connections on which this was sent and nothing more comes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * SOCKETS + 500), hard), hard))
    parts, opened = urlsplit(url), []
    try:
        for _ in range(SOCKETS):
            opened.append(socket.create_connection((parts.hostname, parts.port), 10))
            opened[-1].sendall(sent)
        yield opened
    finally:
        for each in opened:
            each.close()


@pytest.mark.long
@pytest.mark.parametrize("port", ["api", "front", "ui"])
@pytest.mark.parametrize("kind", ["idle", "half a head", "half a body"])
def test_two_thousand_leave_room_for_others(stack: Stack, port: str, kind: str) -> None:
    url, path = {
        "api": (stack.api_url, "/livez"),
        "front": (stack.serving_url, "/v2/health/live"),
        "ui": (stack.ui_url, "/livez"),
    }[port]
    host = urlsplit(url).netloc.encode()
    token = "\r\n".join(f"{name}: {value}" for name, value in stack.headers.items()).encode()
    infer = f"/v2/models/{DEPLOYMENT}/infer" if port != "ui" else "/gradio_api/run/predict"
    head = b"POST %b HTTP/1.1\r\nhost: %b\r\n%b\r\ncontent-length: 900\r\n\r\n" % (
        infer.encode(),
        host,
        token,
    )
    sent = {"idle": b"", "half a head": head[:-20], "half a body": head + b'{"inp'}[kind]

    def took() -> tuple[float, float]:
        times = []
        for _ in range(100):
            begin = time.perf_counter()
            assert httpx.get(url + path, timeout=10).status_code == 200
            times.append(time.perf_counter() - begin)
        return statistics.median(times) * 1000, max(times) * 1000

    before = took()
    with many(url, sent):
        during = took()
    print(
        f"{port}, {kind}: p50 {before[0]:.1f} -> {during[0]:.1f} ms, worst {before[1]:.0f} -> {during[1]:.0f} ms"
    )
    assert during[0] < 5 * before[0] + 5
    assert during[1] < 2000
